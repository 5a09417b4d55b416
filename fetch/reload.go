package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"dlfs/cache"
	"dlfs/fetch/hosts"
	"dlfs/fetch/origin"
	"dlfs/listfile"
)

// Order is in which order prefetch takes the files.
type Order string

// The orders.
const (
	ListOrder   Order = "list"   // as the list has them
	ExpiryOrder Order = "expiry" // those whose URL dies first, first
)

// list is what a Set has been told to materialize. It is immutable, but for what
// has been said of it.
type list struct {
	files  []*File // in the order of the list
	byName byName
	queue  []*File // in the order of prefetch

	replaced chan struct{} // closed when another list is the set's

	saidNeedsURL atomic.Bool
}

// newList gives each file its place. The queue of prefetch is in the order asked for.
func newList(files []*File, order Order) *list {
	l := &list{files: files, byName: newByName(files), queue: files, replaced: make(chan struct{})}
	for i, f := range files {
		f.order.Store(int32(i))
	}
	if order == ExpiryOrder {
		l.queue = byExpiry(files)
	}
	return l
}

// byExpiry returns the files by when their last URL expires. Files whose URLs tell no time come
// last, in the order of the list.
func byExpiry(files []*File) []*File {
	type dated struct {
		f  *File
		at time.Time
	}
	all := make([]dated, len(files))
	for i, f := range files {
		all[i] = dated{f, f.Expires()}
	}
	slices.SortStableFunc(all, func(a, b dated) int {
		switch {
		case a.at.IsZero() || b.at.IsZero():
			return cmp.Compare(btoi(a.at.IsZero()), btoi(b.at.IsZero()))
		default:
			return a.at.Compare(b.at)
		}
	})
	sorted := make([]*File, len(all))
	for i := range all {
		sorted[i] = all[i].f
	}
	return sorted
}

// btoi returns 1 for true, for a comparison that sorts.
func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Expires is when the last of the file's URLs dies, as far as they tell; zero if
// one does not.
func (f *File) Expires() time.Time {
	last, _ := origin.LastExpiry(f.Entry().URLs())
	return last
}

// Difference is how a list differs from the one before, by name.
type Difference struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	NewURL  []string `json:"new_url"` // the same name, other URLs
	Changed []string `json:"changed"` // the same name, with another size or digest in the list
}

// Reload replaces the list by another one, whose names are distinct, and returns
// how it differs. What is known of a name stays, and so do its blocks: under a
// new URL they go on being used once that is found to serve the same version. A
// file that needed a URL, or failed, is tried again. Flights and readers are not
// interrupted, not even those of a name that is gone; its blocks stay on disk.
func (s *Set) Reload(entries []listfile.Entry) Difference {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	var diff Difference
	old := s.list.Load()
	kept := make([]bool, len(old.files)) // by their order there
	files := make([]*File, len(entries))
	for i := range entries {
		e := &entries[i]
		// A name that stays keeps its File, and with it its blocks, flights and open handles.
		if f := old.byName.find(e.Name); f != nil {
			files[i] = f
			kept[f.order.Load()] = true
			newURL, changed := f.replace(e)
			if newURL {
				diff.NewURL = append(diff.NewURL, e.Name)
			}
			if changed {
				diff.Changed = append(diff.Changed, e.Name)
			}
			continue
		}
		files[i] = s.admit(e)
		diff.Added = append(diff.Added, e.Name)
	}
	s.list.Store(newList(files, s.opts.Order))
	// This wakes those who wait for another list, such as watchExpiry.
	close(old.replaced)
	for i, f := range old.files {
		if !kept[i] {
			diff.Removed = append(diff.Removed, f.name)
			// The File is kept for a later list that has the name again (admit).
			f.remove()
			s.removed[f.name] = f
		}
	}
	s.mu.Lock()
	if s.mu.tallies.allComplete() {
		s.finish()
	}
	s.mu.Unlock()
	s.poke()
	return diff
}

// admit returns the file of a name that was not in the list. If it was before,
// it is the same file again: two of one name must not share a blob.
func (s *Set) admit(e *listfile.Entry) *File {
	s.mu.Lock()
	s.mu.tallies.counts[unknown]++
	s.mu.Unlock()
	f := s.removed[e.Name]
	if f == nil {
		f = &File{set: s, name: e.Name}
		f.mu.entry = e
		return f
	}
	delete(s.removed, e.Name)
	f.mu.Lock()
	f.mu.removed, f.mu.counted = false, tally{}
	f.mu.Unlock()
	f.replace(e)
	return f
}

// replace has the file go on with another entry of its name. newURL says that the two entries
// have different URLs, changed that they have different sizes or digests.
func (f *File) replace(e *listfile.Entry) (newURL, changed bool) {
	var fi *fill
	f.change(func() {
		was, now := f.mu.entry.Said(), e.Said()
		newURL = !slices.Equal(f.mu.entry.URLs(), e.URLs())
		f.mu.entry = e
		otherDigest := was.Digest != now.Digest
		changed = otherDigest || was.Size != now.Size
		if keep := f.mu.mirrors.all(); keep != nil {
			if otherDigest || was.Refused != nil || now.Refused != nil || !maps.EqualFunc(was.Header, now.Header, slices.Equal) {
				keep = nil // the old requests have other headers, or another digest to expect
			}
			f.mu.mirrors.list = f.newMirrors(keep)
		}
		// A failure was of the old URL or of the old digest, so the file is tried again at once.
		f.forgiveLocked()
		f.mu.conduct.changes, f.mu.conduct.restarts, f.mu.conduct.peersLie = 0, 0, false
		if fi = f.fill(); fi != nil && otherDigest {
			fi.digest = fi.newDigesting()
			if ms := f.mu.mirrors; ms != nil {
				ms.mismatches = 0
			}
		}
	})
	if r := f.set.room; r != nil && fi != nil && fi.blob.Published() {
		r.offer(fi) // it may have stayed because it could not be fetched again
	}
	return newURL, changed
}

// remove takes the file out of the totals. Readers that have it open may go on.
func (f *File) remove() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.removed = true
	f.set.forget(f, f.mu.counted)
	fi := f.fill()
	if fi == nil {
		return
	}
	for _, fl := range fi.flights {
		if fl.class == hosts.Bulk && len(fl.seats) == 0 && !fl.whole {
			fl.windUpLocked()
		}
	}
}

// load asks the store for every file, and records the list. One pass over the index finds the
// records of all files, which takes far less time than to ask for each by its name; files that
// the pass has not found are asked for by name. It returns when ctx ends, with its error.
func (s *Set) load(ctx context.Context, l *list) error {
	err := s.store.Recorded(func(name string, lookup func() (*cache.Blob, error)) error {
		if f := l.byName.find(name); f != nil {
			f.load(lookup)
		}
		return ctx.Err()
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		s.log.Warn("state is read file by file", "err", err)
	}
	// What the pass did not come by is looked up by name: it may be hidden by damage,
	// or have failed.
	names := make([]cache.Listed, len(l.files))
	for i, f := range l.files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		names[i] = cache.Listed{Name: f.name, URL: urlHash(f.Entry().URL)}
		f.load(nil)
		f.change(func() {}) // complete, perhaps, before it could be published
	}
	err = s.store.SetList(names)
	if errors.Is(err, cache.ErrNoSpace) { // "dlfs status" reads the list when nothing runs
		return nil
	}
	if err != nil {
		return fmt.Errorf("record the list: %w", err)
	}
	return nil
}

// Compare tells how entries differ from the list the store was last used with;
// none is one of the differences if it was not used before.
func Compare(store *cache.Store, entries []listfile.Entry) (diff Difference, err error) {
	last, err := store.List()
	if err != nil {
		return diff, err
	}
	was := make(map[string]uint64, len(last))
	for _, l := range last {
		was[l.Name] = l.URL
	}
	for i := range entries {
		e := &entries[i]
		hash, known := was[e.Name]
		switch {
		case !known:
			diff.Added = append(diff.Added, e.Name)
		case hash != 0 && hash != urlHash(e.URL):
			diff.NewURL = append(diff.NewURL, e.Name)
		}
		delete(was, e.Name)
	}
	for _, l := range last {
		if _, gone := was[l.Name]; gone {
			diff.Removed = append(diff.Removed, l.Name)
		}
	}
	return diff, nil
}

// sortByOrder sorts files into the order of the list.
func sortByOrder(files []*File) {
	slices.SortFunc(files, func(a, b *File) int { return int(a.order.Load() - b.order.Load()) })
}
