package fetch

// Totals are the figures of a whole Set.
type Totals struct {
	TotalBytes    int64 `json:"total_bytes"`    // sum of the sizes known; 2^63 - 1 if it is more
	PresentBytes  int64 `json:"present_bytes"`  // of those, materialized blocks
	OriginBytes   int64 `json:"origin_bytes"`   // body bytes received from origins since start
	PeerBytes     int64 `json:"peer_bytes"`     // of files, received from other machines since start
	ServedBytes   int64 `json:"served_bytes"`   // of files, sent to other machines since start
	FilesTotal    int   `json:"files_total"`    // entries of the list
	FilesKnown    int   `json:"files_known"`    // whose size is known
	FilesComplete int   `json:"files_complete"` // published
	FilesFailed   int   `json:"files_failed"`   // whose last attempt failed, for any reason
	FilesNeedURL  int   `json:"files_need_url"` // of those, because the URL is not, or no longer, good
	FilesMismatch int   `json:"files_mismatch"` // of those, because the bytes have the wrong digest
	Paused        bool  `json:"paused"`         // by Pause
}

// EntryStatus is one file.
type EntryStatus struct {
	Name    string `json:"name"`
	Size    int64  `json:"size"`    // -1 while it is not known
	Present int64  `json:"present"` // bytes
	State   string `json:"state"`   // unknown, waiting, fetching, complete, failed, needs-url or mismatch
	Error   string `json:"error"`   // of the last attempt; "" if it went well
	Changes int    `json:"changes"` // how often it was found changed on its origin, in this run
}

// Status returns the file as it is now. It does not block.
func (f *File) Status() EntryStatus {
	f.load(nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tally()
	e := EntryStatus{Name: f.name, Size: -1, State: t.state.String(), Changes: int(f.mu.conduct.changes)}
	if t.known {
		e.Size = t.size
	}
	if c := f.copy(); c != nil {
		e.Present = c.Present()
	}
	if f.mu.failure != nil {
		e.Error = f.mu.failure.err.Error()
	}
	return e
}

// Totals returns the figures as they are now. It looks at every file that is known
// and incomplete.
func (s *Set) Totals() Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	ts := &s.mu.tallies
	count := &ts.counts
	t := Totals{
		TotalBytes: ts.knownBytes.value(), OriginBytes: s.client.Received(),
		FilesTotal: ts.files(), FilesKnown: ts.knownFiles, FilesComplete: count[complete],
		FilesFailed:  count[failed] + count[needsURL] + count[mismatch],
		FilesNeedURL: count[needsURL], FilesMismatch: count[mismatch],
		Paused: s.paused.Load(),
	}
	present := ts.completeBytes
	for _, blob := range ts.partial {
		present.add(blob.Present())
	}
	t.PresentBytes = present.value()
	if p := s.peering; p != nil {
		t.PeerBytes, t.ServedBytes = p.Client.Received(), p.served.Load()
	}
	return t
}

// Active returns the files with something in flight, at most n of them, in the
// order of the list.
func (s *Set) Active(n int) []EntryStatus {
	s.mu.Lock()
	var files []*File
	seen := map[*File]bool{}
	for fl := range s.mu.running {
		if !seen[fl.fill.file] {
			seen[fl.fill.file] = true
			files = append(files, fl.fill.file)
		}
	}
	s.mu.Unlock()
	sortByOrder(files)
	var list []EntryStatus
	for _, f := range files[:min(n, len(files))] {
		list = append(list, f.Status())
	}
	return list
}

// Failures returns the files that failed or need a URL, in the order of the
// list.
func (s *Set) Failures() []EntryStatus {
	var list []EntryStatus
	for _, f := range s.Files() {
		f.mu.Lock()
		failed := f.mu.failure != nil
		f.mu.Unlock()
		if !failed { // Status would load the file
			continue
		}
		if e := f.Status(); e.Error != "" {
			list = append(list, e)
		}
	}
	return list
}
