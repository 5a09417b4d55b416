package fetch

// state is what a person is told of a file.
type state int

const (
	unknown  state = iota // nothing is known yet, not even its size
	waiting               // incomplete, and nothing is in flight
	fetching              // incomplete, and something is in flight
	complete              // published: a file of the output directory
	failed                // the last attempt failed; more may follow
	states                // how many there are
)

func (s state) String() string {
	return [...]string{"unknown", "waiting", "fetching", "complete", "failed"}[s]
}

// tally is what the totals of a Set hold of one file.
type tally struct {
	state state
	known bool // the size is known
	size  int64
}

// tallyLocked describes the file as it is.
func (f *File) tallyLocked() (t tally) {
	blob := f.mu.blob
	if blob != nil {
		t.known, t.size = true, blob.Version().Size
	}
	switch {
	case blob != nil && blob.Published():
		t.state = complete
	case f.mu.failure != nil:
		t.state = failed
	case len(f.mu.flights) > 0:
		t.state = fetching
	case blob != nil:
		t.state = waiting
	}
	return t
}

// countLocked tells the Set what the file has become.
func (f *File) countLocked() {
	if is := f.tallyLocked(); is != f.mu.counted {
		f.set.count(f, f.mu.counted, is)
		f.mu.counted = is
	}
}

// Totals are the figures of a whole Set.
type Totals struct {
	TotalBytes    int64 `json:"total_bytes"`    // sum of the sizes known
	PresentBytes  int64 `json:"present_bytes"`  // of those, materialized blocks
	OriginBytes   int64 `json:"origin_bytes"`   // body bytes received from origins since start
	FilesTotal    int   `json:"files_total"`    // entries of the list
	FilesKnown    int   `json:"files_known"`    // whose size is known
	FilesComplete int   `json:"files_complete"` // published
	FilesFailed   int   `json:"files_failed"`   // whose last attempt failed
}

// EntryStatus is one file.
type EntryStatus struct {
	Name    string `json:"name"`
	Size    int64  `json:"size"`    // -1 while it is not known
	Present int64  `json:"present"` // bytes
	State   string `json:"state"`   // unknown, waiting, fetching, complete or failed
	Error   string `json:"error"`   // of the last attempt; "" if it went well
}

// Status returns the file as it is now. It does not block.
func (f *File) Status() EntryStatus {
	f.Blob() // loads it
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tallyLocked()
	e := EntryStatus{Name: f.name, Size: -1, State: t.state.String()}
	if t.known {
		e.Size, e.Present = t.size, f.mu.blob.Present()
	}
	if f.mu.failure != nil {
		e.Error = f.mu.failure.err.Error()
	}
	return e
}

// Totals returns the figures as they are now, in time that does not depend on
// the length of the list.
func (s *Set) Totals() Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := Totals{
		TotalBytes: s.mu.knownBytes, PresentBytes: s.mu.completeBytes, OriginBytes: s.client.Received(),
		FilesTotal: len(s.files), FilesKnown: s.mu.knownFiles,
		FilesComplete: s.mu.counts[complete], FilesFailed: s.mu.counts[failed],
	}
	for _, blob := range s.mu.partial {
		t.PresentBytes += blob.Present()
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
		if !seen[fl.file] {
			seen[fl.file] = true
			files = append(files, fl.file)
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
