package fetch

import (
	"context"
	"log/slog"
	"time"
)

// expiryWarning is how long before the URLs die that is said.
const expiryWarning = time.Hour

// Expiry tells when the URLs of files that are not complete die: the first of
// them, and how many die at all. Both are zero if none does. It looks at every
// file.
func (s *Set) Expiry() (first time.Time, n int) {
	for _, f := range s.Files() {
		at := f.Expires()
		if at.IsZero() || f.isComplete() {
			continue
		}
		n++
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first, n
}

// isComplete reports whether all of the file is there and, where a digest is known, has it.
func (f *File) isComplete() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tally().state == complete
}

// watchExpiry says once for every list, in time, that its URLs are about to die.
func (s *Set) watchExpiry(ctx context.Context) {
	for ctx.Err() == nil {
		l := s.list.Load()
		// The warning comes once for each list: the next one waits for another list.
		if s.awaitExpiry(ctx, l) {
			select {
			case <-l.replaced:
			case <-ctx.Done():
			}
		}
	}
}

// awaitExpiry waits until it is time to warn, and warns. It reports false if the
// list has been replaced before.
func (s *Set) awaitExpiry(ctx context.Context, l *list) bool {
	for {
		first, n := s.Expiry()
		// No URL of an incomplete file tells when it expires. sayNeedsURL tells of one that a
		// host refuses.
		if n == 0 {
			return true
		}
		left := time.Until(first)
		if left <= expiryWarning {
			what := "URLs are about to expire; give a fresh list with \"dlfs reload\""
			if left <= 0 {
				what = "URLs have expired; give a fresh list with \"dlfs reload\""
			}
			s.log.Warn(what, "first", first.UTC().Format(time.RFC3339), "files", n)
			return true
		}
		t := time.NewTimer(left - expiryWarning)
		select {
		case <-t.C:
		case <-l.replaced:
			t.Stop()
			return false
		case <-ctx.Done():
			t.Stop()
			return true
		}
	}
}

// sayNeedsURL logs that the URL of a file is of no use any more: the first file of a
// list as a warning, the others at the level of details (INFO), since they are likely
// many.
func (s *Set) sayNeedsURL(f *File, err error) {
	level := slog.LevelInfo
	if s.list.Load().saidNeedsURL.CompareAndSwap(false, true) {
		level = slog.LevelWarn
	}
	s.log.Log(s.ctx, level, "file needs a new URL and waits for it; give a fresh list with \"dlfs reload\"", "name", f.name, "err", err)
}
