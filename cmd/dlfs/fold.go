package main

import (
	"hash/maphash"
	"io"
	"log/slog"
	"sync"
	"time"
)

// How much is logged. Each user who may read a mount can have calls fail, and
// each origin requests, as often as it likes.
const (
	foldFor     = time.Minute // records of one kind and entry are one line in this time
	linesAtOnce = 1000        // lines that may come all at once,
	linesASec   = 20          // and then so many a second
	leftOutFor  = 10 * time.Second
)

// folder writes records and bounds how many. The first of a kind and entry is
// written at once; how often it came again within foldFor, and the last of them,
// is written after that. Of different ones, those beyond the bound are counted.
type folder struct {
	form logForm
	seed maphash.Seed

	mu       sync.Mutex
	w        io.Writer           // guarded by mu, as is all below
	seen     map[uint64]*repeats // by kind and entry
	order    []*repeats          // those of seen, the oldest first
	timer    *time.Timer         // runs while something is yet to be written
	lines    float64             // that may be written now
	counted  time.Time           // when lines was counted
	leftOut  int                 // records not written for want of lines
	leftFrom time.Time           // when the first of them came
	closed   bool
}

// repeats are the records of one kind and entry.
type repeats struct {
	key   uint64
	since time.Time
	n     int // not written
	last  slog.Record
}

// newFolder returns a folder that writes to w in that form. The caller calls close.
func newFolder(w io.Writer, form logForm) *folder {
	return &folder{form: form, seed: maphash.MakeSeed(), w: w, seen: map[uint64]*repeats{}, lines: linesAtOnce}
}

// key is what a record has in common with those that repeat it: all but the
// attributes that tell how it happened this time.
func (f *folder) key(r slog.Record) uint64 {
	var h maphash.Hash
	h.SetSeed(f.seed)
	h.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "err", "errno", "in", "range", "panic", "stack":
			return true
		}
		h.WriteByte(0)
		h.WriteString(a.Value.Resolve().String())
		return true
	})
	return h.Sum64()
}

// write writes a record.
func (f *folder) write(r slog.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writeLocked(r)
}

// writeLocked writes a record. The caller holds mu.
func (f *folder) writeLocked(r slog.Record) error {
	_, err := io.WriteString(f.w, f.form(r))
	return err
}

// fold writes a record if it is the first of its kind and entry in the last foldFor, and there are
// lines left. Otherwise the record is counted, and the count is written later. The error is the
// one of the log.
func (f *folder) fold(r slog.Record) error {
	key := f.key(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.settleLocked(now, false)
	if s := f.seen[key]; s != nil {
		s.n, s.last = s.n+1, r
		f.wakeLocked(now)
		return nil
	}
	if !f.spendLocked(now, 1) {
		f.wakeLocked(now)
		return nil
	}
	s := &repeats{key: key, since: now}
	f.seen[key] = s
	f.order = append(f.order, s)
	return f.writeLocked(r)
}

// spendLocked reports whether a line may be written that stands for n records; if
// not, these are left out.
func (f *folder) spendLocked(now time.Time, n int) bool {
	f.lines = min(linesAtOnce, f.lines+now.Sub(f.counted).Seconds()*linesASec)
	f.counted = now
	if f.lines >= 1 {
		f.lines--
		return true
	}
	if f.leftOut == 0 {
		f.leftFrom = now
	}
	f.leftOut += n
	return false
}

// settleLocked writes what was counted and whose time is over; all of it at the
// end. Its errors are those of a log that cannot be written, so they
// cannot be told.
func (f *folder) settleLocked(now time.Time, all bool) {
	for range len(f.order) {
		if !all && now.Sub(f.order[0].since) < foldFor {
			break
		}
		s := f.order[0]
		f.order = f.order[1:]
		if s.n == 0 || !f.spendLocked(now, s.n) {
			delete(f.seen, s.key)
			continue
		}
		s.last.AddAttrs(slog.Int("repeated", s.n))
		f.writeLocked(s.last)
		s.n, s.last, s.since = 0, slog.Record{}, now
		f.order = append(f.order, s)
	}
	if f.leftOut > 0 && (all || now.Sub(f.leftFrom) >= leftOutFor) {
		r := slog.NewRecord(now, slog.LevelWarn, "log has too many different lines, and not all are written", 0)
		r.AddAttrs(slog.Int("left_out", f.leftOut))
		f.writeLocked(r)
		f.leftOut = 0
	}
}

// wakeLocked has what was counted written in time, even if nothing more comes.
func (f *folder) wakeLocked(now time.Time) {
	if f.timer != nil || f.closed {
		return
	}
	f.timer = time.AfterFunc(foldFor, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.timer = nil
		now := time.Now()
		f.settleLocked(now, false)
		if f.leftOut > 0 || f.countingLocked() {
			f.wakeLocked(now)
		}
	})
}

// countingLocked reports whether a record waits to be written.
func (f *folder) countingLocked() bool {
	for _, s := range f.order {
		if s.n > 0 {
			return true
		}
	}
	return false
}

// close writes what was counted. What comes later is written or folded as
// before, but what is folded then is not told.
func (f *folder) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	f.settleLocked(time.Now(), true)
}
