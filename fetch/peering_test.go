package fetch

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dlfs/cache"
	"dlfs/fetch/origintest"
	"dlfs/fetch/peerhttp"
	"dlfs/fetch/peers"
)

// circle is machines that share a list, in one bubble: each an engine with a store of its
// own, or a handler that plays one.
type circle struct {
	t     *testing.T
	names []string
	pipes map[string]*origintest.Pipe
	cut   func(from, to string) bool // which machines cannot reach which; nil for none
	dir   string                     // of the next machine, if not empty
	links map[string]*link           // of machines with a slow network
}

// newCircle returns a circle of n machines, without any of them.
func newCircle(t *testing.T, n int) *circle {
	c := &circle{t: t, pipes: map[string]*origintest.Pipe{}}
	for i := range n {
		name := fmt.Sprintf("n%d:1", i)
		c.names = append(c.names, name)
		c.pipes[name] = origintest.NewPipe()
		t.Cleanup(func() { c.pipes[name].Close() })
	}
	return c
}

// owned returns a file name whose first extent machine i owns.
func (c *circle) owned(i int) string {
	r := peers.NewRing(c.names[0], c.names)
	for n := 0; ; n++ {
		name := fmt.Sprintf("f%d", n)
		if r.Rank(peers.KeyOf(name, 0), nil, time.Now())[0] == c.names[i] {
			return name
		}
	}
}

// dial connects to a machine. One that is not there refuses.
func (c *circle) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return c.pipes[addr].DialContext(ctx, network, addr)
}

// play has h answer as machine i, until the test ends.
func (c *circle) play(i int, h http.Handler) {
	s, pipe := &http.Server{Handler: h}, c.pipes[c.names[i]]
	done := make(chan struct{})
	go func() { // ended by the cleanup
		defer close(done)
		s.Serve(pipe)
	}()
	c.t.Cleanup(func() {
		s.Close()
		<-done
	})
}

// join starts an engine over the list and the origin of x as machine i, and serves it.
func (c *circle) join(x *fixture, i int, opts Options) *fixture {
	return c.joinAs(x, i, opts, func(h http.Handler) http.Handler { return h })
}

// joinAs is join with what stands between the engine and those that ask it.
func (c *circle) joinAs(x *fixture, i int, opts Options, front func(http.Handler) http.Handler) *fixture {
	y := &fixture{Origin: x.Origin, t: c.t, url: x.url, dir: cmp.Or(c.dir, c.t.TempDir()), contents: x.contents, entries: append(x.entries[:0:0], x.entries...),
		opts: opts, originOpts: x.originOpts, cacheOpts: x.cacheOpts}
	x.versions.Range(func(tag, content any) bool {
		y.versions.Store(tag, content)
		return true
	})
	var client *peerhttp.Client
	y.opts.Peers, client = c.peers(i)
	if l := c.links[c.names[i]]; l != nil {
		y.originOpts.DialContext = l.dial(y.originOpts.DialContext)
	}
	y.start()
	c.t.Cleanup(func() {
		client.Close()
		y.stop()
	})
	c.play(i, front(y.PeerHandler()))
	return y
}

// peers are the options of machine i. The client is the test's to close.
func (c *circle) peers(i int) (*Peers, *peerhttp.Client) {
	self := c.names[i]
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if c.cut != nil && c.cut(self, addr) {
			return nil, syscall.EHOSTUNREACH
		}
		return c.dial(ctx, network, addr)
	}
	if l := c.links[self]; l != nil {
		dial = l.dial(dial)
	}
	client := peerhttp.New(peerhttp.Options{Self: self, DialContext: dial})
	return &Peers{Ring: peers.NewRing(self, c.names), Client: client, ID: self}, client
}

// silent are machines that take requests and never answer.
func silent(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// A reader whose bytes are a silent machine's to fetch asks the origin after two seconds for
// the version, and is not held up again: the machine is left out.
func TestReaderWaitsForSilentPeerNotForLong(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		c := newCircle(t, 2)
		c.play(1, http.HandlerFunc(silent))
		x.add(c.owned(1), 3*bs)
		y := c.join(x, 0, Options{Prefetch: PrefetchNone, Serve: true})
		began := time.Now()
		check(t, y.readOnce(x.entries[0].Name, 0, 2*bs))
		if took := time.Since(began); took > readerPatience+time.Second {
			t.Errorf("the reader waited %v", took)
		}
		check(t, y.readOnce(x.entries[0].Name, 2*bs, bs))
		if took := time.Since(began); took > readerPatience+time.Second {
			t.Errorf("after the second read, %v have passed", took)
		}
	})
}

// A machine that stops in the middle of an answer holds a reader up for two seconds.
func TestReaderLeavesPeerThatStopsInTheMiddle(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		c := newCircle(t, 2)
		name := c.owned(1)
		x.add(name, 8*bs)
		v := peerhttp.Version{Size: 8 * bs, ETag: tagOf(x.contents[name])}
		c.play(1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a, err := peerhttp.ReadRequest(r)
			check(t, err)
			peerhttp.Give(w, v, "", a.Off, a.N)
			if a.N > 0 && !a.Head {
				w.Write(x.contents[name].Bytes()[a.Off : a.Off+bs+100])
				http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}
		}))
		y := c.join(x, 0, Options{Prefetch: PrefetchNone, Serve: true})
		began := time.Now()
		check(t, y.readOnce(name, 0, 8*bs))
		if took := time.Since(began); took < readerPatience || took > readerPatience+time.Second {
			t.Errorf("the reader waited %v", took)
		}
		if got := y.Counts().BodyBytes; got > 8*bs {
			t.Errorf("the origin sent %d bytes", got)
		}
		if y.Totals().PeerBytes < bs {
			t.Error("the block of the peer was not used")
		}
	})
}

// lying wraps the answers of a machine: change may alter a header before it is sent.
type lying struct {
	http.ResponseWriter
	change func(h http.Header, code int) int
	cut    int // bytes that are sent before the connection breaks; less than 0 for all
}

func (l *lying) Unwrap() http.ResponseWriter { return l.ResponseWriter }

func (l *lying) WriteHeader(code int) { l.ResponseWriter.WriteHeader(l.change(l.Header(), code)) }

func (l *lying) Write(p []byte) (int, error) {
	if l.cut >= 0 && len(p) > l.cut {
		l.ResponseWriter.Write(p[:l.cut])
		panic(http.ErrAbortHandler)
	}
	return l.ResponseWriter.Write(p)
}

// Whatever a machine answers, a file is complete with the bytes of the origin.
func TestLyingPeerCostsNothingButTraffic(t *testing.T) {
	honest := func(h http.Header, code int) int { return code }
	for what, lie := range map[string]lying{
		"nothing":       {change: honest, cut: -1},
		"other version": {change: func(h http.Header, code int) int { h.Set("ETag", `"other"`); return code }, cut: -1},
		"no validator":  {change: func(h http.Header, code int) int { h.Del("ETag"); h.Del("Last-Modified"); return code }, cut: -1},
		"other size": {change: func(h http.Header, code int) int {
			h.Set("Content-Range", strings.Replace(h.Get("Content-Range"), "/", "/9", 1))
			return code
		}, cut: -1},
		"busy":   {change: func(h http.Header, code int) int { return 503 }, cut: -1},
		"absent": {change: func(h http.Header, code int) int { return 504 }, cut: -1},
		"broken": {change: honest, cut: 100},
		"named": {change: func(h http.Header, code int) int {
			h.Set("Link", "<http://elsewhere:1/f/x>; rel=duplicate")
			return 503
		}, cut: -1},
		"error":    {change: func(h http.Header, code int) int { return 500 }, cut: -1},
		"redirect": {change: func(h http.Header, code int) int { h.Set("Location", "http://n0:1/f/x"); return 302 }, cut: -1},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				c := newCircle(t, 2)
				x.add(c.owned(1), 5*bs+7)
				x.add(c.owned(0), 5*bs+7)
				y := c.join(x, 0, Options{})
				other := c.joinAs(x, 1, Options{Serve: true}, func(h http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						l := lie
						l.ResponseWriter = w
						h.ServeHTTP(&l, r)
					})
				})
				defer other.background()()
				check(t, y.Run(t.Context()))
				y.materialized(x.names()...)
				if most := 2 * int64(5*bs+7); what == "nothing" && y.Counts().BodyBytes > most {
					t.Errorf("the origin sent %d bytes: %v", y.Counts().BodyBytes, y.Log())
				}
			})
		})
	}
}

// Machines that read here and there, without prefetch, ask the origin for each block once.
func TestReadersOfAllMachinesShareBlocks(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const machines, reads, blocks = 4, 150, 3000
		x.add("a", blocks*bs)
		c := newCircle(t, machines)
		random := rand.New(rand.NewPCG(1, 2))
		read := map[int64]bool{}
		var all []*fixture
		for i := range machines {
			all = append(all, c.join(x, i, Options{Prefetch: PrefetchNone, Serve: true}))
		}
		for range reads {
			b := random.Int64N(blocks / 4) // so that machines meet
			read[b*4] = true
			check(t, all[random.IntN(machines)].readOnce("a", b*4*bs, bs))
		}
		got, union := x.Counts().BodyBytes, int64(len(read))*bs
		t.Logf("the origin sent %.3f of what was read", float64(got)/float64(union))
		if float64(got) > 1.05*float64(union) {
			t.Errorf("the origin sent %d bytes for %d that were read", got, union)
		}
	})
}

// A file that changes on its origin is of one version on every machine that goes on.
func TestChangedFileIsOneVersionOnAllMachines(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const size = 3 * peers.ExtentSize
		c := newCircle(t, 3)
		x.add("a", size)
		reader := c.join(x, 1, Options{Prefetch: PrefetchNone, Serve: true})
		check(t, reader.readOnce("a", 0, bs)) // it knows the first version
		second := origintest.Content{Seed: 99, Size: size}
		x.show("a", second)
		y, z := c.join(x, 0, Options{}), c.join(x, 2, Options{})
		done := make(chan error, 1)
		go func() { done <- z.Run(t.Context()) }() // awaited below
		check(t, y.Run(t.Context()))
		check(t, <-done)
		y.holds("a", second)
		z.holds("a", second)
	})
}

// An owner that is killed is replaced by the next rank; what it had and others got from it
// is not asked for again.
func TestOthersGoOnWithoutTheOwner(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		c := newCircle(t, 3)
		for i := range 3 {
			x.add(c.owned(i), 4*bs)
		}
		c.pipes[c.names[2]].Close() // nothing listens there
		y, z := c.join(x, 0, Options{}), c.join(x, 1, Options{})
		done := make(chan error, 1)
		go func() { done <- z.Run(t.Context()) }() // awaited below
		check(t, y.Run(t.Context()))
		check(t, <-done)
		y.materialized(x.names()...)
		z.materialized(x.names()...)
		x.wantBodyBytes(3*4*bs, 3*4*bs)
		if s := y.opts.Peers.Ring.States(time.Now()); s[1].State != "out" {
			t.Errorf("states are %v", s)
		}
	})
}

func TestLingerEndsWithTheLastOrAfterAMinuteOfSilence(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", bs)
		c := newCircle(t, 2)
		y := c.join(x, 0, Options{})
		began := time.Now()
		y.Linger(t.Context()) // the other one is not there
		if took := time.Since(began); took < peersSilent || took > peersSilent+5*time.Second {
			t.Errorf("lingered for %v without another machine", took)
		}
		z := c.join(x, 1, Options{})
		time.AfterFunc(20*time.Second, func() { z.opts.Peers.Client.Through() })
		began = time.Now()
		y.Linger(t.Context())
		if took := time.Since(began); took < 20*time.Second || took > 25*time.Second {
			t.Errorf("lingered for %v, while the other machine needed something for 20 s", took)
		}
	})
}

func TestAwaitPeersWaitsForAll(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", bs)
		c := newCircle(t, 2)
		y := c.join(x, 0, Options{})
		began := time.Now()
		y.AwaitPeers(t.Context(), 10*time.Second)
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("waited %v for a machine that is not there", took)
		}
		c.join(x, 1, Options{})
		began = time.Now()
		y.AwaitPeers(t.Context(), 10*time.Second)
		if took := time.Since(began); took > time.Second {
			t.Errorf("waited %v for a machine that is there", took)
		}
	})
}

// Without places for answers, a machine says that it is busy, and names who asked before.
func TestBusyMachineNamesOthers(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		c := newCircle(t, 3)
		name := c.owned(0)
		x.add(name, 2*bs)
		y := c.join(x, 0, Options{Serve: true, Prefetch: PrefetchNone})
		check(t, y.readOnce(name, 0, 2*bs))
		v := peerhttp.Version(y.File(name).Known().(*cache.Blob).Version())
		ask := func(i int) error {
			client := peerhttp.New(peerhttp.Options{Self: c.names[i], DialContext: c.dial})
			defer client.Close()
			b, err := client.Get(t.Context(), c.names[0], peerhttp.Question{Name: name, N: 2 * bs}, v)
			if err == nil {
				b.Close()
			}
			return err
		}
		check(t, ask(1))
		advance(time.Second) // that answer has given its place back
		taken := int64(0)    // how many places there are depends on the processors
		for y.peering.sends.bulk.TryAcquire(1) {
			taken++
		}
		defer y.peering.sends.bulk.Release(taken)
		e, ok := ask(2).(*peerhttp.Error)
		if !ok || e.Outcome != peers.Busy || len(e.Named) != 1 || e.Named[0] != c.names[1] {
			t.Errorf("a busy machine answers %+v", e)
		}
	})
}

// sluggish has a machine send so many bytes a second, by the clock of the bubble.
func sluggish(rate int) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(&slowWriter{w, r.Context(), rate}, r)
		})
	}
}

type slowWriter struct {
	http.ResponseWriter
	ctx  context.Context
	rate int
}

func (w *slowWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *slowWriter) Write(p []byte) (n int, err error) {
	for piece := range slices.Chunk(p, 16<<10) {
		select {
		case <-time.After(time.Duration(len(piece)) * time.Second / time.Duration(w.rate)):
		case <-w.ctx.Done():
			return n, w.ctx.Err()
		}
		k, err := w.ResponseWriter.Write(piece)
		if n += k; err != nil {
			return n, err
		}
		http.NewResponseController(w.ResponseWriter).Flush()
	}
	return n, nil
}

// A machine with a slow network is found out while it sends what it owns. What is under way when
// all others have refused it stays with that machine, so that how long a run takes is not
// examined.
func TestSlowOwnerIsFoundOut(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const rate = 50_000 // of the slow machine
		x.Inject(origintest.Throttle(1 << 20).Method("GET"))
		c := newCircle(t, 4)
		for i := range 4 {
			name := c.owned(i)
			x.add(name, 128*bs)
			for n := range 5 {
				x.add(fmt.Sprintf("small/%d-%d", i, n), bs)
			}
		}
		y := c.join(x, 0, Options{}) // first, so that what it owns is asked of it
		var others []*fixture
		for i := 1; i < 3; i++ {
			others = append(others, c.join(x, i, Options{Serve: true}))
		}
		slow := c.joinAs(x, 3, Options{Serve: true}, sluggish(rate))
		for _, o := range append(others, slow) {
			defer o.background()()
		}
		began := time.Now()
		check(t, y.Run(t.Context()))
		took := time.Since(began)
		y.materialized(x.names()...)
		if !y.opts.Peers.Ring.Slow(c.names[3], time.Now()) {
			t.Errorf("the slow machine is not known as slow: %v", y.opts.Peers.Ring.States(time.Now()))
		}
		t.Logf("it took %v; the slow machine would need %v for its file", took, 128*bs*time.Second/rate)
	})
}

// While two halves cannot reach each other, each fetches what it lacks. When they can again, a
// machine that joins gets everything from both.
func TestEachSideOfAPartitionGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const machines = 4
		c := newCircle(t, machines+1)
		for i := range machines {
			x.add(c.owned(i), 6*bs+1)
		}
		var healed atomic.Bool
		side := func(name string) bool { return name == c.names[0] || name == c.names[1] }
		c.cut = func(from, to string) bool { return !healed.Load() && side(from) != side(to) }
		var all []*fixture
		for i := range machines {
			y := c.join(x, i, Options{Serve: true})
			defer y.background()()
			all = append(all, y)
		}
		for t := time.Now(); time.Since(t) < 2*time.Minute; {
			advance(time.Second)
		}
		size := int64(machines * (6*bs + 1))
		for _, y := range all {
			y.materialized(x.names()...)
		}
		if got := x.Counts().BodyBytes; got < 2*size || got > 2*size+size/10 {
			t.Errorf("the origin sent %d bytes to two sides that need %d each", got, size)
		}
		healed.Store(true)
		x.ResetCounts()
		last := c.join(x, machines, Options{})
		check(t, last.Run(t.Context()))
		last.materialized(x.names()...)
		if got := x.Counts().BodyBytes; got != 0 {
			t.Errorf("the origin sent %d bytes after the sides could reach each other", got)
		}
	})
}
