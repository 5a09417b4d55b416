package fetch

import (
	"dlfs/cache"
	"dlfs/fetch/evict"
)

// choose picks runs of blocks to go, in the order of the policy, until they have n present bytes,
// or none is left. Runs that a reader waits for stay, and so do files that the kernel reads by
// itself or that are in inUse; pinned files are taken out of the policy, and so are published
// ones that cannot be withdrawn.
func (r *room) choose(n int64, inUse map[*fill]bool) map[*fill][]cache.Extent {
	going := map[*fill][]cache.Extent{}
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &r.mu
	for n > 0 {
		run, ok := m.policy.Next(func(run evict.Run) bool {
			fi := m.fills[run.File]
			return m.awaited[run] > 0 || m.holds[fi] > 0 || inUse[fi]
		})
		if !ok {
			break
		}
		fi := m.fills[run.File]
		// The policy is not told of everything that happens to a version, so a run may be of one that
		// is gone, pinned by now or published by now. Such a run is dropped here.
		whole := fi != nil && fi.blob.Published()
		if fi == nil || fi.file.pinned.Load() || whole && (run != wholeRun(fi) || !r.mayWithdraw(fi)) {
			m.policy.Remove(run)
			continue
		}
		if whole {
			// The file goes as a whole; it needs no extents.
			going[fi] = nil
			n -= fi.blob.Version().Size
			continue
		}
		off := int64(run.Index) * r.runBytes
		if here := fi.blob.PresentIn(off, r.runBytes); here > 0 {
			going[fi] = append(going[fi], cache.Extent{Off: off, N: r.runBytes})
			n -= here
		}
	}
	return going
}

// evict evicts what was chosen, and returns how many bytes that were. A published file goes as
// a whole, whatever its extents are. Runs that could not go
// after an error are offered to the policy again, and so are files that another program has
// open, which are noted in inUse. A file that was complete is incomplete then.
func (r *room) evict(going map[*fill][]cache.Extent, inUse map[*fill]bool) int64 {
	if len(going) == 0 {
		return 0
	}
	var list []cache.Eviction
	whole := map[*cache.Blob]*fill{}
	for fi, extents := range going {
		if fi.blob.Published() {
			whole[fi.blob] = fi
			delete(going, fi)
			continue
		}
		list = append(list, cache.Eviction{Blob: fi.blob, Extents: extents})
	}
	// r.mu is not held here: Evict waits for the disk.
	freed, err := r.set.store.Evict(list)
	if err != nil {
		r.set.log.Warn("blocks cannot be evicted", "dir", r.set.store.Path(), "err", err)
	}
	freed += r.withdraw(whole, inUse)
	for fi, extents := range going {
		stays := fi.blob.InUse()
		if stays || err != nil {
			r.offer(fi) // what could not go may later
		}
		if stays {
			inUse[fi] = true
			continue
		}
		r.took(fi, extents)
		// A digest that is computed of the file in its order has lost its bytes.
		fi.file.change(fi.tornLocked)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.evicted += freed
	return freed
}
