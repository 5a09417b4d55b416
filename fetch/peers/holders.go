package peers

import (
	"math/rand/v2"
	"slices"

	"dlfs/cache/lockorder"
)

const (
	// holdersKept is how many machines are remembered of an extent, and extentsKept of how
	// many extents: those that were asked for last.
	holdersKept = 64
	extentsKept = 4096
)

// Holders is which machines may have which extents by now: what a busy owner names. The
// zero value is ready. It is safe for concurrent use.
type Holders struct {
	mu  lockorder.Mutex[lockorder.Leaf]
	of  map[Key]*holders // guarded by mu
	old []Key            // the keys in the order in which they came; guarded by mu
}

// holders are those of one extent.
type holders struct {
	given []string // machines that this one gave it to
	asked []string // machines that asked for it, and may have it from others by now
}

// Gave notes that this machine has given a machine the extent.
func (h *Holders) Gave(k Key, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.ofLocked(k)
	of.given = remember(of.given, name)
}

// Asked notes that a machine has asked for an extent, and returns two others, at random:
// one that was given the extent, and one that asked for it before. There are fewer if
// there are no such machines.
func (h *Holders) Asked(k Key, name string) (named []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.ofLocked(k)
	for _, list := range [][]string{of.given, of.asked} {
		if len(list) == 0 {
			continue
		}
		if other := list[rand.IntN(len(list))]; other != name && !slices.Contains(named, other) {
			named = append(named, other)
		}
	}
	of.asked = remember(of.asked, name)
	return named
}

// remember adds a name to a list, if there is room.
func remember(list []string, name string) []string {
	if len(list) >= holdersKept || slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}

// ofLocked returns the holders of an extent. The extent that came first is forgotten if
// there are too many.
func (h *Holders) ofLocked(k Key) *holders {
	if of := h.of[k]; of != nil {
		return of
	}
	if h.of == nil {
		h.of = map[Key]*holders{}
	}
	if h.old = append(h.old, k); len(h.old) > extentsKept {
		delete(h.of, h.old[0])
		h.old = slices.Delete(h.old, 0, 1)
	}
	of := &holders{}
	h.of[k] = of
	return of
}
