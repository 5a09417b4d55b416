package fetch

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"dlfs/cache"
	"dlfs/fetch/origintest"
	"dlfs/fetch/peerhttp"
	"dlfs/fetch/peers"
)

// counted counts the requests for files that reach a handler.
func counted(n *atomic.Int64) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/id" {
				n.Add(1)
			}
			h.ServeHTTP(w, r)
		})
	}
}

// A machine that joins when the others have everything gets each small file with one request to one
// of them, also a file that it owns, an empty one included, and the origin is asked for nothing.
func TestJoinerAsksOnceForEachSmallFile(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const machines, last, files = 4, 3, 40
		c := newCircle(t, machines)
		for i := range files {
			x.add(fmt.Sprintf("small/%d", i), int64(i)*1000)
		}
		x.add(c.owned(last), 3*bs)
		var asked atomic.Int64
		var others []*fixture
		for i := range last {
			others = append(others, c.joinAs(x, i, Options{}, counted(&asked)))
		}
		for _, o := range others {
			check(t, o.Run(t.Context()))
			o.opts.Peers.Client.Through()
		}
		asked.Store(0)
		before := x.Counts()
		y := c.join(x, last, Options{})
		y.opts.Peers.Ring.Told(c.names[1], true) // as it is told when it begins
		check(t, y.Run(t.Context()))
		y.materialized(x.names()...)
		if n := asked.Load(); n > files+1+files/10 { // of a few, the size is asked first
			t.Errorf("the others were asked %d times for %d files", n, files+1)
		}
		if after := x.Counts(); after.Requests != before.Requests {
			t.Errorf("the origin was asked %d times", after.Requests-before.Requests)
		}
	})
}

// The first request of a file goes on to be the flight of its first extent, from its owner; the
// other extents follow.
func TestFirstRequestOfLongFileBringsItsFirstExtent(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		c := newCircle(t, 2)
		name := c.owned(0)
		x.add(name, peers.ExtentSize+3*bs+5)
		var asked atomic.Int64
		y := c.joinAs(x, 0, Options{}, counted(&asked))
		check(t, y.Run(t.Context()))
		z := c.join(x, 1, Options{})
		check(t, z.Run(t.Context()))
		z.materialized(name)
		x.wantBodyBytes(peers.ExtentSize+3*bs+5, peers.ExtentSize+3*bs+5)
		if n := asked.Load(); n < 2 || n > 4 { // whether the owner of the second extent is asked, and has it
			t.Errorf("the owner was asked %d times", n)
		}
	})
}

// A machine that gives the first bytes and then nothing more costs a reader no more than one that
// says nothing, and the file comes from the origin.
func TestFirstRequestThatStallsIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		c := newCircle(t, 2)
		name := c.owned(0)
		x.add(name, 4*bs)
		c.play(0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				silent(w, r)
				return
			}
			w.Header().Set("ETag", tagOf(x.contents[name]))
			w.Header().Set("Content-Length", fmt.Sprint(4*bs))
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", 4*bs-1, 4*bs))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(make([]byte, 100))
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}))
		y := c.join(x, 1, Options{})
		check(t, y.Run(t.Context()))
		y.materialized(name)
	})
}

// An owner that has only a part of the stretch that it is asked for asks the origin for the rest,
// on both sides of that part.
func TestOwnerAsksForNoBlockThatIsThere(t *testing.T) {
	for _, urgent := range []bool{false, true} {
		bubble(t, func(t *testing.T, x *fixture) {
			c := newCircle(t, 2)
			name := c.owned(0)
			x.add(name, 16*bs)
			y := c.join(x, 0, Options{Serve: true, Prefetch: PrefetchNone})
			check(t, y.readOnce(name, 5*bs, 2*bs))
			_, client := c.peers(1)
			defer client.Close()
			v := peerhttp.Version(y.File(name).Known().(*cache.Blob).Version())
			b, err := client.Get(t.Context(), c.names[0], peerhttp.Question{Name: name, Off: 2 * bs, N: 8 * bs, Urgent: urgent}, v)
			check(t, err)
			got, err := io.ReadAll(b)
			check(t, err)
			b.Close()
			check(t, x.contents[name].Check(got, 2*bs))
			x.wantBodyBytes(8*bs, 8*bs)
		})
	}
}

// A file whose origin does not say how long it is comes from the origin on each machine that does
// not find it complete on another one, and is right on all.
func TestFileOfUnknownLengthIsRightOnAllMachines(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.Inject(origintest.NoLength(), origintest.HeadLength(-1))
		c := newCircle(t, 3)
		for i := range 3 {
			x.add(c.owned(i), 5*bs+7)
		}
		all := []*fixture{c.join(x, 0, Options{}), c.join(x, 1, Options{}), c.join(x, 2, Options{})}
		done := make(chan error, len(all))
		for _, y := range all {
			go func() { done <- y.Run(t.Context()) }() // awaited below
		}
		for range all {
			check(t, <-done)
		}
		for _, y := range all {
			y.materialized(x.names()...)
		}
		size := int64(3 * (5*bs + 7))
		x.wantBodyBytes(size, 6*size) // the length may be asked for with a GET first
	})
}

// Where the URLs of seven of eight machines have expired, the eighth gets all files from the origin,
// once, and the others from it.
func TestOneFreshListServesSevenMachinesWithExpiredOnes(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const machines, fresh = 8, 5
		x.Inject(origintest.Status(403).When(func(r *http.Request) bool { return r.URL.RawQuery == "sig=expired" }))
		c := newCircle(t, machines)
		for i := range machines {
			x.add(c.owned(i), 4*bs)
		}
		good := x.entries
		bad := slices.Clone(good)
		for i := range bad {
			bad[i].URL += "?sig=expired"
		}
		var all []*fixture
		for i := range machines {
			if x.entries = bad; i == fresh {
				x.entries = good
			}
			all = append(all, c.join(x, i, Options{}))
		}
		done := make(chan error, machines)
		for _, y := range all {
			go func() { // awaited below
				err := y.Run(t.Context())
				y.Linger(t.Context())
				done <- err
			}()
		}
		for range all {
			check(t, <-done)
		}
		for _, y := range all {
			y.materialized(x.names()...)
		}
		size := int64(machines * 4 * bs)
		x.wantBodyBytes(size, size+size/20)
	})
}
