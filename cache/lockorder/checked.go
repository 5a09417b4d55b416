//go:build lockcheck

package lockorder

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
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
		took(m, rank, caller(2))
	}
	return ok
}

// hold is a mutex some goroutine holds, or waits for.
type hold struct {
	mutex any
	rank  Rank
	at    string
}

// holds has a []hold for each goroutine that holds any, by its number. Only that
// goroutine touches its own.
var holds sync.Map

func taking[R Rank](mutex any) {
	var rank R
	at := caller(3)
	for _, h := range holdsOf(goroutine()) {
		if h.rank.level() >= rank.level() {
			panic(fmt.Sprintf("lock order: %T locked at %s while %T is held since %s", rank, at, h.rank, h.at))
		}
	}
	took(mutex, rank, at)
}

func took(mutex any, rank Rank, at string) {
	id := goroutine()
	holds.Store(id, append(holdsOf(id), hold{mutex, rank, at}))
}

func released(mutex any) {
	id := goroutine()
	held := holdsOf(id)
	i := slices.IndexFunc(held, func(h hold) bool { return h.mutex == mutex })
	if i < 0 {
		panic("lock order: unlocked at " + caller(3) + " by a goroutine that does not hold it")
	}
	if held = slices.Delete(held, i, i+1); len(held) == 0 {
		holds.Delete(id)
		return
	}
	holds.Store(id, held)
}

func holdsOf(id uint64) []hold {
	held, _ := holds.Load(id)
	list, _ := held.([]hold)
	return list
}

// caller is where the mutex's method was called, so many calls up from here.
func caller(up int) string {
	_, file, line, _ := runtime.Caller(up)
	return fmt.Sprintf("%s:%d", file, line)
}

// goroutine is the number of this goroutine: the second word of its trace.
func goroutine() uint64 {
	var buf [64]byte
	words := bytes.Fields(buf[:runtime.Stack(buf[:], false)])
	id, err := strconv.ParseUint(string(words[1]), 10, 64)
	if err != nil {
		panic(err) // the trace has another form now
	}
	return id
}
