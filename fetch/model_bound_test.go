//go:build linux

package fetch

import (
	"errors"
	"io"
	"strings"

	"dlfs/cache"
)

// bounded reports whether the store of this life has a bound.
func (m *model) bounded() bool { return m.cacheOpts.MaxSize > 0 }

func (m *model) someBound() int64 { return leastBound + m.rng.Int64N(40<<20) }

// boundOne pins a file, unpins it, evicts it, or changes the bound.
func (m *model) boundOne() {
	if !m.bounded() || len(m.entries) == 0 {
		return
	}
	name := m.names()[m.rng.IntN(len(m.entries))]
	f := m.File(name)
	switch p := m.rng.IntN(10); {
	case p < 3:
		m.log("pin %s", name)
		f.SetPinned(true)
	case p < 6: // one file may be larger than the least bound
		m.log("unpin all")
		for _, f := range m.Files() {
			f.SetPinned(false)
		}
	case p < 8:
		n, err := f.Evict()
		m.log("evict %s: %d bytes, %v", name, n, err)
		if err != nil || n > 0 && f.Pinned() {
			m.t.Errorf("%s: %d bytes were evicted, %v", name, n, err)
		}
	default:
		n := m.someBound()
		m.log("bound %d", n)
		m.under, m.cacheOpts.MaxSize = false, n
		check(m.t, m.SetMaxSize(n))
	}
}

// passRead reads from the file of a handle, where a hole would be zeros. It may be called from
// any goroutine.
func (m *model) passRead(h *Handle, off, n int64) {
	c := m.version(h.Copy())
	if off >= c.Size {
		return
	}
	p := make([]byte, min(n, c.Size-off))
	k, err := h.File().ReadAt(p, off)
	if err == nil || errors.Is(err, io.EOF) && k == len(p) {
		err = m.checkBytes(h.file.name, c, p[:k], off)
	}
	if err != nil {
		m.t.Errorf("the kernel reads %s [%d +%d) by itself: %d bytes, %v", h.file.name, off, n, k, err)
	}
}

// checkBound checks that what is on disk stays below the bound once it is.
func (m *model) checkBound() {
	if !m.bounded() {
		return
	}
	use, room := m.diskUse(), m.store.Room()
	if m.under && (use > room.Max || room.Used > room.Max) {
		m.t.Errorf("%d bytes are on disk, by the account %+v", use, room)
	}
	m.under = use <= room.Max && room.Used <= room.Max
}

// noRoomToGrow reports whether an error says that a file of unknown length, which cannot be
// read through memory, has no room.
func noRoomToGrow(name string, err error) bool {
	return kindOf(name) == growing && (errors.Is(err, cache.ErrBound) || strings.Contains(err.Error(), "--max-size had no room"))
}
