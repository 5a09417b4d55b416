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
				leaf.Lock()
				leaf.Unlock()
				writes.RUnlock()
				file.Unlock()
				handle.Lock()
				writes.Lock()
				writes.Unlock()
				handle.Unlock()
			})
		}
		wg.Wait()
	})
}
