package fetch

import (
	"errors"
	"time"

	"dlfs/cache"
	"dlfs/fetch/evict"
	"dlfs/fetch/origin"
)

// EvictsComplete reports whether published files may go, too (Options.EvictComplete), so that
// one may have another generation later.
func (s *Set) EvictsComplete() bool { return s.room != nil && s.opts.EvictComplete }

// wholeRun is what the policy knows a published file by.
func wholeRun(fi *fill) evict.Run { return evict.Run{File: fi.number} }

// mayWithdraw reports whether a published file may go to make room.
func (r *room) mayWithdraw(fi *fill) bool {
	return r.set.opts.EvictComplete && fi.blob.Own()
}

// loaded has room be made if what earlier runs left is above the bound; r may be nil.
func (r *room) loaded() {
	if r != nil && r.set.opts.EvictComplete {
		r.poke()
	}
}

// opened notes that the kernel reads a published file by itself. Its reads are not seen, so each
// open counts as one. r may be nil.
func (r *room) opened(fi *fill) {
	if r == nil || !r.set.opts.EvictComplete {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.policy.Read(wholeRun(fi))
}

// withdraw takes published files out of the output directory, and returns how many bytes that
// were. Of each, the version is known then, and no block is present. A file that is in use is
// offered to the policy again. One that could not be fetched again stays. Both are noted in inUse,
// so that the pass goes on without them.
func (r *room) withdraw(fills map[*cache.Blob]*fill, inUse map[*fill]bool) (freed int64) {
	var blobs []*cache.Blob
	for blob, fi := range fills {
		if r.mayWithdraw(fi) && fi.canComeBack() {
			blobs = append(blobs, blob)
		} else {
			inUse[fi] = true
		}
	}
	if len(blobs) == 0 {
		return 0
	}
	// Each file stays under its name until withdrawOne, which also tells the fill of it.
	going, err := r.set.store.Withdraw(blobs)
	if err != nil {
		r.set.log.Warn("finished files cannot be evicted", "dir", r.set.store.Path(), "err", err)
	}
	for _, w := range going {
		fi := fills[w.Blob()]
		if err := r.withdrawOne(fi, w); err != nil {
			r.set.log.Warn("finished file is not evicted", "name", fi.file.name, "err", err)
			continue
		}
		freed += fi.blob.Version().Size
	}
	for _, blob := range blobs {
		// Without an error, a file that is still published was left there because it is in use.
		if err == nil && blob.Published() {
			inUse[fills[blob]] = true
		}
		if err != nil || blob.InUse() {
			r.offer(fills[blob])
		}
	}
	return freed
}

// withdrawOne ends a withdrawal: the file goes, and its version is filled anew.
func (r *room) withdrawOne(fi *fill, w *cache.Withdrawal) error {
	// Until Remove has succeeded the file stands under its name, and Stay has the store say so again.
	if err := w.Remove(); err != nil {
		return errors.Join(err, w.Stay())
	}
	f := fi.file
	f.change(func() {
		if !fi.current() {
			w.Again().Abandon()
			return
		}
		r.delist(fi)
		again := f.pinLocked(w.Again())
		again.proven = true // its bytes were shown
		r.tookAll(again)
	})
	if err := w.Finish(); err != nil {
		r.set.log.Warn("a power cut may bring an evicted file back", "name", f.name, "err", err)
	}
	return nil
}

// canComeBack reports whether the file can be fetched again, as far as is known: the list has it,
// and a URL of it that has not expired.
func (fi *fill) canComeBack() bool {
	f := fi.file
	f.mu.Lock()
	listed, urls := fi.current() && !f.mu.removed, f.mu.entry.URLs()
	f.mu.Unlock()
	expires, known := origin.LastExpiry(urls)
	return listed && (!known || time.Now().Before(expires))
}

// tookAll notes that all runs of a version have gone.
func (r *room) tookAll(fi *fill) {
	var all []cache.Extent
	r.eachRun(fi, 0, fi.blob.Version().Size, func(run evict.Run) {
		all = append(all, cache.Extent{Off: int64(run.Index) * r.runBytes, N: r.runBytes})
	})
	r.took(fi, all)
}
