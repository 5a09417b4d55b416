package origin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"dlfs/fetch/origintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const size = 200_000

var content = origintest.Content{Seed: 1, Size: size}

// fixture is an Origin that shows content at /a.tar and nothing at /empty, and
// a Client to ask it.
type fixture struct {
	*origintest.Origin
	t    *testing.T
	c    *Client
	base string
	url  string // of /a.tar
	log  syncBuffer
	opts ResourceOptions // of resources to come

	mu        sync.Mutex
	resources map[string]*Resource // by URL; guarded by mu
}

// bubble runs f in fake time with an Origin in memory; any http host is it.
func bubble(t *testing.T, f func(t *testing.T, x *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := origintest.New()
		f(t, newFixture(t, o, "http://origin", Options{DialContext: o.ServePipe(t).DialContext}))
	})
}

// overTCP returns a fixture on a real socket.
func overTCP(t *testing.T) *fixture {
	o := origintest.New()
	return newFixture(t, o, o.Serve(t), Options{})
}

func newFixture(t *testing.T, o *origintest.Origin, base string, opts Options) *fixture {
	o.Put("/a.tar", origintest.File{Content: content})
	o.Put("/empty", origintest.File{Content: origintest.Content{Seed: 2}})
	x := &fixture{Origin: o, t: t, base: base, url: base + "/a.tar", opts: ResourceOptions{Pinned: true}, resources: map[string]*Resource{}}
	opts.Log = slog.New(slog.NewTextHandler(&x.log, nil))
	x.c = New(opts)
	t.Cleanup(x.c.Close)
	return x
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// dial wraps how connections are made.
func (x *fixture) dial(wrap func(next dialer) dialer) {
	transport := x.c.http.Transport.(*http.Transport)
	transport.DialContext = wrap(transport.DialContext)
}

// resource returns the one Resource of x.url.
func (x *fixture) resource() *Resource {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.resources[x.url]
	if r == nil {
		r = x.c.Resource(x.url, x.opts)
		x.resources[x.url] = r
	}
	return r
}

// pin learns the version of /a.tar, before any fault.
func (x *fixture) pin() *Version {
	x.t.Helper()
	v, _, err := x.resource().Probe(x.t.Context(), true)
	if err != nil {
		x.t.Fatal(err)
	}
	x.ResetCounts()
	return &v
}

// get reads [off +n) of /a.tar. Whatever comes must be the file's.
func (x *fixture) get(want *Version, off, n int64) (*Body, []byte, error) {
	x.t.Helper()
	b, err := x.resource().Get(x.t.Context(), want, off, n)
	return x.read(b, off, err)
}

func (x *fixture) getWhole(want *Version) (*Body, []byte, error) {
	x.t.Helper()
	b, err := x.resource().GetWhole(x.t.Context(), want)
	return x.read(b, 0, err)
}

// read reads all of b, which starts at off, unless err is set.
func (x *fixture) read(b *Body, off int64, err error) (*Body, []byte, error) {
	x.t.Helper()
	if err != nil {
		return nil, nil, err
	}
	defer b.Close()
	p, err := io.ReadAll(b)
	if check := content.Check(p, off); len(p) > 0 && check != nil {
		x.t.Errorf("wrong bytes delivered: %v", check)
	}
	return b, p, err
}

// wantBytes checks that [off +n) was delivered without an error.
func (x *fixture) wantBytes(p []byte, n int64, err error) {
	x.t.Helper()
	if err != nil || int64(len(p)) != n {
		x.t.Errorf("got %d bytes, %v; want %d", len(p), err, n)
	}
}

// wantRanges checks the Range headers of all requests so far, "" for none.
func (x *fixture) wantRanges(want ...string) {
	x.t.Helper()
	var got []string
	for _, r := range x.Log() {
		got = append(got, r.Range)
	}
	if !slices.Equal(got, want) {
		x.t.Errorf("asked for %q, want %q", got, want)
	}
}

func (x *fixture) wantRequests(want int) {
	x.t.Helper()
	if got := x.Counts().Requests; got != want {
		x.t.Errorf("%d requests, want %d", got, want)
	}
}

// wantKind checks that err is an *Error of this kind, in no wrapping.
func wantKind(t *testing.T, err error, want Kind) *Error {
	t.Helper()
	e, ok := err.(*Error)
	if !ok {
		t.Fatalf("got %v (%T), want an *Error", err, err)
	}
	if e.Kind != want || !errors.Is(err, &Error{Kind: want}) {
		t.Errorf("got kind %d (%v), want %d", e.Kind, err, want)
	}
	return e
}

// wantHit checks that each fault was met.
func wantHit(t *testing.T, faults ...*origintest.Fault) {
	t.Helper()
	for _, f := range faults {
		if f.Hits() == 0 {
			t.Errorf("%v: not met", f)
		}
	}
}

// wantPassed checks how long ago start was, in fake time.
func wantPassed(t *testing.T, start time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(start); got != want {
		t.Errorf("took %v, want %v", got, want)
	}
}

// wantPassedAbout is wantPassed where the wait is jittered.
func wantPassedAbout(t *testing.T, start time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(start); got < want || got > want+min(want/8, maxHostJitter)+1 {
		t.Errorf("took %v, want %v and a little", got, want)
	}
}

// syncBuffer is a bytes.Buffer for many goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// recorder notes what each request brings, as a fault that changes nothing.
type recorder struct {
	mu   sync.Mutex
	seen []string
}

func record(o *origintest.Origin, what func(*http.Request) string) *recorder {
	rec := new(recorder)
	o.Inject(origintest.Header("X-Recorded", "1").When(func(r *http.Request) bool {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.seen = append(rec.seen, what(r))
		return false
	}))
	return rec
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

// afterASecond returns a context that is cancelled then.
func afterASecond(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(time.Second, cancel)
	t.Cleanup(func() { timer.Stop(); cancel() })
	return ctx
}

// pause has the client leave the origin alone, as if requests under way were
// answered with these Retry-Afters.
func (x *fixture) pause(after ...time.Duration) {
	x.t.Helper()
	var tickets []*ticket
	for range after {
		t, err := x.c.gate.enter(context.Background(), "origin", nil)
		if err != nil {
			x.t.Fatal(err)
		}
		tickets = append(tickets, t)
	}
	for i, t := range tickets {
		t.busy(after[i])
		t.leave()
	}
}

// urgently is Urgent for a test that knows whether the request is.
func urgently(ctx context.Context, urgent bool) context.Context {
	now := new(atomic.Bool)
	now.Store(urgent)
	return Urgent(ctx, now)
}
