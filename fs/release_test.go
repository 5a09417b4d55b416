//go:build linux

package fs

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// The kernel lets a handle of the other mode in as soon as the last cached one
// is closed, while its RELEASE is still under way.
func TestOpensWhileTheLastCachedHandleIsReleased(t *testing.T) {
	needRoot(t)
	const files = 150
	x := newRig(t)
	for i := range files {
		x.add(fmt.Sprint("f", i), 10)
	}
	x.start()
	var cached [files]*os.File
	for i := range files {
		name := fmt.Sprint("f", i)
		cached[i] = x.open(name)
		x.read(cached[i], name, 0, 10)
	}
	for i := range files {
		name := fmt.Sprint("f", i)
		x.published(name)
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
						t.Errorf("%s: %v", name, err)
						return
					}
				}
			})
		}
		cached[i].Close()
		wg.Wait()
	}
}
