package fs

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// The kernel lets a handle of another mode in as soon as the last cached one is
// closed, while its RELEASE is still under way.
func TestOpensWhileTheLastCachedHandleIsReleased(t *testing.T) {
	needRoot(t)
	const files = 300
	x := newRig(t)
	for i := range files {
		x.add(fmt.Sprint("f", i), 10)
	}
	x.start()
	deadline := time.Now().Add(20 * time.Second)
	for i := range files {
		if time.Now().After(deadline) {
			t.Fatalf("stopped at file %d", i)
		}
		name := fmt.Sprint("f", i)
		cached := x.open(name)
		x.read(cached, name, 0, 10)
		x.published(name)
		errs := make(chan error, 4)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 20 {
					f, err := os.Open(x.path(name))
					if err == nil {
						err = pread(f, x.content[name], 0, 10)
						f.Close()
					}
					if err != nil {
						errs <- err
						return
					}
				}
			})
		}
		cached.Close()
		wg.Wait()
		close(errs)
		for err := range errs {
			t.Errorf("%s: %v", name, err)
		}
	}
}
