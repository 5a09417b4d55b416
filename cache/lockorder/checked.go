//go:build lockcheck

package lockorder

import (
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/petermattis/goid"
)

// Checked is whether the order is asserted.
const Checked = true

// Mutex is a sync.Mutex of a rank.
type Mutex[R Rank] struct{ m sync.Mutex }

func (m *Mutex[R]) Lock() {
	taking[R](m)
	m.m.Lock()
}

func (m *Mutex[R]) Unlock() {
	released(m)
	m.m.Unlock()
}

// RWMutex is a sync.RWMutex of a rank. To share it counts as to hold it.
type RWMutex[R Rank] struct{ m sync.RWMutex }

func (m *RWMutex[R]) Lock() {
	taking[R](m)
	m.m.Lock()
}

func (m *RWMutex[R]) Unlock() {
	released(m)
	m.m.Unlock()
}

func (m *RWMutex[R]) RLock() {
	taking[R](m)
	m.m.RLock()
}

func (m *RWMutex[R]) RUnlock() {
	released(m)
	m.m.RUnlock()
}

// TryRLock does not block, so the order of locks does not matter to it.
func (m *RWMutex[R]) TryRLock() bool {
	var rank R
	ok := m.m.TryRLock()
	if ok {
		took(goid.Get(), hold{m, rank, caller(2)})
	}
	return ok
}

// hold is a mutex some goroutine holds, or waits for.
type hold struct {
	mutex any
	rank  Rank
	at    place
}

// holds has a []hold for each goroutine that holds any, by its number. Only that
// goroutine touches its own.
var holds sync.Map

func taking[R Rank](mutex any) {
	var rank R
	id, at := goid.Get(), caller(3)
	for _, h := range holdsOf(id) {
		if h.rank.level() >= rank.level() {
			panic(fmt.Sprintf("lock order: %T locked at %s while %T is held since %s", rank, at, h.rank, h.at))
		}
	}
	took(id, hold{mutex, rank, at})
}

func took(id int64, h hold) {
	holds.Store(id, append(holdsOf(id), h))
}

func released(mutex any) {
	id := goid.Get()
	held := holdsOf(id)
	i := slices.IndexFunc(held, func(h hold) bool { return h.mutex == mutex })
	if i < 0 {
		panic(fmt.Sprintf("lock order: unlocked at %s by a goroutine that does not hold it", caller(3)))
	}
	if held = slices.Delete(held, i, i+1); len(held) == 0 {
		holds.Delete(id)
		return
	}
	holds.Store(id, held)
}

func holdsOf(id int64) []hold {
	held, _ := holds.Load(id)
	list, _ := held.([]hold)
	return list
}

// place is where a call returns to. It is only made a file and a line when it is printed, which
// takes longer than a lock.
type place uintptr

// caller is where the mutex's method was called, so many calls up from here.
func caller(up int) place {
	var pcs [1]uintptr
	runtime.Callers(up+1, pcs[:])
	return place(pcs[0])
}

func (p place) String() string {
	at, _ := runtime.CallersFrames([]uintptr{uintptr(p)}).Next()
	return fmt.Sprintf("%s:%d", at.File, at.Line)
}
