package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"dlfs/cache"
	"dlfs/cache/hosttest"
	"dlfs/fetch/origin"
	"dlfs/fetch/origintest"
	"dlfs/listfile"
)

const bs = cache.BlockSize

func TestMain(m *testing.M) {
	hosttest.NeedForExamples(hosttest.Loopback())
	goleak.VerifyTestMain(m)
}

// fixture is an origin with files, and one engine over it: a store, a client
// and a set. The options may be set before start.
type fixture struct {
	*origintest.Origin
	*Set

	t        testing.TB
	url      string
	dir      string
	entries  []listfile.Entry
	contents map[string]origintest.Content // by name, as the origin shows them now
	versions sync.Map                      // all there were: an origintest.Content by entity tag

	opts       Options
	originOpts origin.Options
	cacheOpts  cache.Options

	store  *cache.Store // nil while no engine runs
	client *origin.Client
}

// bubble runs a test over a pipe in a synctest bubble, where waiting costs no
// time.
func bubble(t *testing.T, test func(t *testing.T, x *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x := newFixture(t)
		pipe := x.ServePipe(t)
		x.url, x.originOpts.DialContext = "http://origin", pipe.DialContext
		t.Cleanup(x.stop)
		test(t, x)
	})
}

// overTCP returns a fixture on the loopback, where pauses are short because
// they are real.
func overTCP(t testing.TB) *fixture {
	x := newFixture(t)
	x.url = x.Serve(t)
	x.originOpts.RetryWait = time.Millisecond
	t.Cleanup(x.stop)
	return x
}

func newFixture(t testing.TB) *fixture {
	return &fixture{Origin: origintest.New(), t: t, dir: t.TempDir(),
		contents: map[string]origintest.Content{}, cacheOpts: cache.Options{MinFree: 1}}
}

// add shows a new file at the origin and enters it in the list.
func (x *fixture) add(name string, size int64) {
	x.show(name, origintest.Content{Seed: uint64(len(x.entries) + 1), Size: size})
	x.enter(name)
}

func tagOf(c origintest.Content) string { return fmt.Sprintf("\"%d-%d\"", c.Seed, c.Size) }

// show puts a version of name at the origin.
func (x *fixture) show(name string, c origintest.Content) {
	tag := tagOf(c)
	x.contents[name] = c
	x.versions.Store(tag, c)
	x.Put("/"+name, origintest.File{Content: c, ETag: tag})
}

func (x *fixture) enter(name string) {
	x.entries = append(x.entries, listfile.Entry{Name: name, URL: x.url + "/" + name})
}

// start starts an engine.
func (x *fixture) start() *fixture {
	x.t.Helper()
	store, err := cache.Open(x.dir, x.cacheOpts)
	check(x.t, err)
	x.store, x.client = store, origin.New(x.originOpts)
	x.Set = New(context.WithoutCancel(x.t.Context()), x.store, x.client, x.entries, x.opts)
	return x
}

// stop ends the engine, if one runs.
func (x *fixture) stop() {
	if x.store == nil {
		return
	}
	x.Set.Close()
	x.client.Close()
	check(x.t, x.store.Close())
	x.store = nil
}

func (x *fixture) restart() {
	x.t.Helper()
	x.stop()
	x.start()
}

// background starts Run. The function returned stops it and waits.
func (x *fixture) background() (stop func()) {
	ctx, cancel := context.WithCancel(x.t.Context())
	done := make(chan struct{})
	set := x.Set
	go func() { // ended and awaited by stop
		defer close(done)
		set.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// open opens a file for the rest of the test, or until the engine stops.
func (x *fixture) open(name string) *Handle {
	x.t.Helper()
	h, err := x.File(name).Open(x.t.Context())
	check(x.t, err)
	return h
}

// read reads [off +n) and checks every byte.
func (x *fixture) read(h *Handle, off, n int64) {
	x.t.Helper()
	check(x.t, x.tryRead(x.t.Context(), h, off, n))
}

// version returns the content of the version that blob is a copy of.
func (x *fixture) version(blob Copy) origintest.Content {
	c, ok := x.versions.Load(blob.Version().ETag)
	if !ok {
		x.t.Errorf("the origin never had the version %+v", blob.Version())
		return origintest.Content{}
	}
	return c.(origintest.Content)
}

// tryRead reads [off +n) and returns what is wrong with what came. It may be
// called from any goroutine.
func (x *fixture) tryRead(ctx context.Context, h *Handle, off, n int64) error {
	c := x.version(h.Copy())
	p := make([]byte, n)
	k, err := h.ReadAt(ctx, p, off)
	switch want := max(0, min(n, c.Size-off)); {
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case int64(k) != want || (want < n) != (err != nil):
		return fmt.Errorf("read %s [%d +%d): got %d bytes and %v", h.file.name, off, n, k, err)
	case k == 0:
		return nil
	}
	return c.Check(p[:k], off)
}

// readOnce is tryRead with a handle of its own, so nothing is read ahead.
func (x *fixture) readOnce(name string, off, n int64) error {
	h, err := x.File(name).Open(x.t.Context())
	if err != nil {
		return err
	}
	defer h.Close()
	return x.tryRead(x.t.Context(), h, off, n)
}

// reader starts a read of [off +n); its outcome comes on the channel.
func (x *fixture) reader(ctx context.Context, h *Handle, off, n int64) <-chan error {
	done := make(chan error, 1)
	go func() { done <- x.tryRead(ctx, h, off, n) }() // ends with ctx at the latest
	return done
}

// materialized checks that DIR holds these files as the origin shows them.
func (x *fixture) materialized(names ...string) {
	x.t.Helper()
	for _, name := range names {
		x.holds(name, x.contents[name])
	}
}

// holds checks that a file of DIR is c, byte by byte.
func (x *fixture) holds(name string, c origintest.Content) {
	x.t.Helper()
	p, err := os.ReadFile(filepath.Join(x.dir, name))
	if err != nil {
		x.t.Error(err)
	} else if int64(len(p)) != c.Size {
		x.t.Errorf("%s has %d bytes, want %d", name, len(p), c.Size)
	} else if err := c.Check(p, 0); err != nil {
		x.t.Errorf("%s: %v", name, err)
	}
}

// names returns the names of the list.
func (x *fixture) names() (names []string) {
	for _, e := range x.entries {
		names = append(names, e.Name)
	}
	return names
}

// gets returns the Range headers of the GET requests for name so far.
func (x *fixture) gets(name string) (ranges []string) {
	for _, r := range x.Log() {
		if r.Method == "GET" && r.Path == "/"+name {
			ranges = append(ranges, strings.TrimPrefix(r.Range, "bytes="))
		}
	}
	return ranges
}

func (x *fixture) wantGets(name string, want int) {
	x.t.Helper()
	if got := x.gets(name); len(got) != want {
		x.t.Errorf("%s: %d requests, want %d: %v", name, len(got), want, got)
	}
}

func (x *fixture) wantBodyBytes(least, most int64) {
	x.t.Helper()
	if got := x.Counts().BodyBytes; got < least || got > most {
		x.t.Errorf("the origin sent %d bytes, want %d to %d", got, least, most)
	}
}

func (x *fixture) wantState(name, state, reason string) {
	x.t.Helper()
	if s := x.File(name).Status(); s.State != state || !strings.Contains(s.Error, reason) || reason == "" && s.Error != "" {
		x.t.Errorf("got %+v, want %s %q", s, state, reason)
	}
}

func wantHit(t testing.TB, faults ...*origintest.Fault) {
	t.Helper()
	for _, f := range faults {
		if f.Hits() == 0 {
			t.Errorf("%v was never met", f)
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// together calls f n times at once, waits, and reports what went wrong.
func together(t testing.TB, n int, f func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { // awaited below
			if err := f(i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// advance moves the fake clock of a bubble on. What is due meanwhile happens.
func advance(d time.Duration) { <-time.After(d) }
