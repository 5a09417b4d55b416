package fetch

import (
	"flag"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/cache"
	"dlfs/fetch/origintest"
)

// The race detector takes no more than some 8000 goroutines.
var readersFlag = flag.Int("readers", 3000, "of TestManyReadersOfOneBlockMakeOneRequest")

func TestManyReadersOfOneBlockMakeOneRequest(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 8<<20)
		x.start()
		slow := origintest.FirstByteAfter(time.Second).Method("GET")
		x.Inject(slow)
		together(t, *readersFlag, func(i int) error { return x.readOnce("a", 5*bs+int64(i), 100) })
		wantHit(t, slow)
		x.wantGets("a", 1)
		x.wantBodyBytes(bs, bs)
	})
}

// However many small files come while the disk makes none durable, those that
// wait for it are bounded, and with them the open descriptors.
func TestPrefetchWaitsForADiskThatIsBehind(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const files, bound = 1300, 1100
		for i := range files {
			x.add(fmt.Sprint(i), 10)
		}
		x.start()
		held, release := make(chan struct{}), make(chan struct{})
		blob, err := x.store.Create("syncer", cache.Version{Size: 0})
		check(t, err)
		blob.Publish(func(error) { // holds the syncer
			close(held)
			<-release
		})
		<-held
		defer x.background()()
		advance(time.Minute)
		synctest.Wait()
		if !x.store.Behind() {
			t.Error("the disk is not behind")
		}
		if n := x.Counts().Gets; n < 1000 || n > bound {
			t.Errorf("%d files were fetched, want about 1024", n)
		}
		close(release)
		<-x.Done()
		if x.store.Behind() {
			t.Error("all is complete, and the disk still behind")
		}
	})
}
