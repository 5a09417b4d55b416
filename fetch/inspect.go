package fetch

import (
	"time"

	"dlfs/cache"
	"dlfs/fetch/origin"
)

// MaxCells is how many cells a map has at most.
const MaxCells = 4096

// The states of a run of cells.
const (
	CellsPresent = "present"   // all of each is present
	CellsPartial = "partial"   // some of each is present
	CellsMissing = "missing"   // nothing of each is present
	CellsEvicted = "evicted"   // some of each was present, and had to make room
	CellsFlight  = "in-flight" // missing blocks of each are being fetched
	CellsAwaited = "awaited"   // and a reader waits for them
)

// Cells are cells of a map that are next to each other and alike.
type Cells struct {
	Count  int    `json:"count"`
	State  string `json:"state"`  // present, partial, missing, evicted, in-flight or awaited
	Tenths int    `json:"tenths"` // of each that are present: 0 to 10
}

// Detail is one file with what is known of it. No secret of a URL is in it.
type Detail struct {
	EntryStatus
	BlockBytes int64          `json:"block_bytes"`
	CellBytes  int64          `json:"cell_bytes"` // a multiple of BlockBytes
	Map        []Cells        `json:"map"`        // in the order of the file; empty while its size is not known
	ETag       string         `json:"etag"`       // of the version that is here; "" if it has none
	Modified   string         `json:"last_modified"`
	Digest     string         `json:"digest"`  // that the bytes must have; "" if none is known
	Readers    int            `json:"readers"` // handles that are open
	Expires    *time.Time     `json:"expires"` // when the last of its URLs dies; null if one does not, or does not tell
	Mirrors    []MirrorStatus `json:"mirrors"` // the URLs of the file, in the order of the list
}

// MirrorStatus is one URL of a file.
type MirrorStatus struct {
	URL     string  `json:"url"` // without what is secret in it
	Flights int     `json:"flights"`
	Rate    float64 `json:"bytes_per_second"` // of one flight, typically; 0 while none has ended
	Error   string  `json:"error"`            // why it is not asked for now; "" if it may be asked
}

// Inspect returns a file as it is now, with a map of at most the given number of cells,
// from 1 to MaxCells. It blocks for the disk if the file was not loaded yet, or is at rest.
func (s *Set) Inspect(f *File, cells int) Detail {
	f.Blob() // which has the validators
	d := Detail{EntryStatus: f.Status(), BlockBytes: cache.BlockSize,
		Map: []Cells{}, Mirrors: []MirrorStatus{}, Readers: s.handles(f)}
	if sum := f.Digest(); !sum.IsZero() {
		d.Digest = sum.String()
	}
	if at := f.Expires(); !at.IsZero() {
		at = at.UTC()
		d.Expires = &at
	}
	f.mu.Lock()
	fi, spans := f.fill(), []span(nil)
	for i, url := range f.mu.entry.URLs() {
		if url == "" { // of a list whose URLs are not known
			continue
		}
		m := MirrorStatus{URL: origin.Redact(url)}
		if made := f.mu.mirrors.all(); i < len(made) {
			m.describe(made[i])
		}
		d.Mirrors = append(d.Mirrors, m)
	}
	if fi != nil {
		spans = fi.flights.spans()
	}
	f.mu.Unlock()
	if d.CellBytes = cellSize(d.Size, cells); fi != nil {
		v := fi.blob.Version()
		d.ETag, d.Modified = v.ETag, v.LastModified
		d.Map = mapOf(fi.blob, spans, s.room.goneOf(fi), d.CellBytes)
	}
	return d
}

// cellSize is how many bytes a cell has in a map of size bytes with at most most cells.
func cellSize(size int64, most int) int64 {
	blocks, cells := (size+cache.BlockSize-1)/cache.BlockSize, int64(min(max(most, 1), MaxCells))
	return max(1, (blocks+cells-1)/cells) * cache.BlockSize
}

// describe fills in what is known of a mirror. The caller holds file.mu.
func (s *MirrorStatus) describe(m *mirror) {
	s.Flights, s.Rate = m.flights, m.rate
	if m.failure != nil {
		s.Error = m.failure.err.Error()
	}
}

// handles is how many handles of f are open.
func (s *Set) handles(f *File) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.held[f]
}

// span is the rest of a flight, [pos, end). Readers wait for the part before awaited.
type span struct{ pos, end, awaited int64 }

// spans returns what is left of each flight. The caller holds file.mu.
func (fs flights) spans() (list []span) {
	for _, fl := range fs {
		s := span{pos: fl.pos, end: fl.end}
		for seat := range fl.seats {
			s.awaited = max(s.awaited, seat.want)
		}
		if s.pos < s.end {
			list = append(list, s)
		}
	}
	return list
}

// mapOf draws blob in cells of size bytes each, and joins runs of equal cells. A cell that is not
// wholly present has the first of these states that is true of some of it: a reader waits for it,
// it is in flight, it was evicted; else it says how much of it is present.
func mapOf(blob *cache.Blob, spans []span, gone goneRuns, size int64) []Cells {
	all := blob.Version().Size
	cells := make([]Cells, (all+size-1)/size)
	for i := range cells {
		off := int64(i) * size
		n := min(size, all-off)
		cells[i] = cellOf(blob.PresentIn(off, n), n)
		if cells[i].State != CellsPresent && gone.any(off, n) {
			cells[i].State = CellsEvicted
		}
	}
	for _, s := range spans {
		for i := s.pos / size; i <= (s.end-1)/size; i++ {
			switch {
			case cells[i].State == CellsPresent:
			case i*size < s.awaited:
				cells[i].State = CellsAwaited
			case cells[i].State != CellsAwaited:
				cells[i].State = CellsFlight
			}
		}
	}
	return runsOf(cells)
}

// cellOf returns a cell of n bytes with so many present.
func cellOf(present, n int64) Cells {
	switch present {
	case n:
		return Cells{1, CellsPresent, 10}
	case 0:
		return Cells{1, CellsMissing, 0}
	}
	return Cells{1, CellsPartial, min(max(1, int(present*10/n)), 9)}
}

// runsOf puts cells together that are next to each other and alike.
func runsOf(cells []Cells) []Cells {
	runs := []Cells{} // not nil, for JSON
	for _, c := range cells {
		if n := len(runs); n > 0 && runs[n-1].State == c.State && runs[n-1].Tenths == c.Tenths {
			runs[n-1].Count++
			continue
		}
		runs = append(runs, c)
	}
	return runs
}
