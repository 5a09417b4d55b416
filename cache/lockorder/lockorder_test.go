package lockorder

import (
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOrderIsAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			handle Mutex[Handle]
			file   Mutex[File]
			writes RWMutex[Writes]
			leaf   Mutex[Leaf]
			wg     sync.WaitGroup
		)
		for range 100 {
			wg.Go(func() { // awaited below
				handle.Lock()
				file.Lock()
				writes.RLock()
				leaf.Lock()
				handle.Unlock() // in any order
				leaf.Unlock()
				pass(&leaf)
				writes.RUnlock()
				file.Unlock()
				handle.Lock()
				pass(&writes)
				handle.Unlock()
			})
		}
		wg.Wait()
	})
}

// pass locks m and unlocks it.
func pass(m sync.Locker) {
	m.Lock()
	defer m.Unlock()
}
