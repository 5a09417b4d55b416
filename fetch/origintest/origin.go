// Package origintest is an HTTP origin for tests: it serves files made from a
// seed, misbehaves on demand, and remembers what it was asked.
//
// The honest part is small. An Origin shows Files by path and answers GET and
// HEAD, whole or with one range, with a length, a validator and a date. A File
// is usually a Content, whose bytes tell which version and which offset they
// belong to, so a test can check any extent of a copy without keeping the
// original.
//
// The rest is faults. A Fault is a value such as CutAfter(4096); its selectors
// say which requests it meets:
//
//	o := origintest.New()
//	o.Put("/a.tar", origintest.File{Content: origintest.Content{Seed: 1, Size: 1 << 20}})
//	cut := origintest.CutAfter(4096).On("/a.tar").Every(3)
//	o.Inject(cut, origintest.FirstByteAfter(time.Second))
//	url := o.Serve(t)
//	…
//	if cut.Hits() == 0 { t.Error("never cut") }
//
// # How faults compose
//
// Each request first gets a plan of the honest answer. Every injected fault
// that applies edits the plan, and then the plan is played. Faults are tried
// in this order, whatever the order of injection, and in the order of
// injection among themselves:
//
//   - those that choose the version: Swap, WrongBytes;
//   - those that replace the answer: Status, Page, Redirect, the limits. Only
//     the first of these applies, so that Status(503).Times(2) and then
//     Status(429).Times(1) answer 503, 503, 429;
//   - those that choose which bytes are sent: NoRanges, ShortRange, …;
//   - those that change what the header says: RotateETag, Digests, Gzip, …;
//   - those that change how it travels: Throttle, CutAfter, GoAwayAfter, ….
//
// A fault with nothing to change does not apply and is not counted: ShortRange
// meets only ranged answers that are longer, CutAfter only longer bodies.
//
// # Serving
//
// An Origin is an http.Handler. Serve puts it behind a real socket. ServePipe
// puts it behind an in-memory listener, which works inside a testing/synctest
// bubble, where latency, throttling and back-off cost no time. ServeTLS and
// ServePipeTLS do the same over TLS, with a good certificate or a bad one, and
// with HTTP/2 if wanted; the others speak HTTP/1.1 only.
//
// Down, Blackhole and Up are the host and its network rather than an answer:
// they change what happens to connections, and nothing counts them.
//
// Everything that waits ends with the request's context. All exported methods
// are safe for concurrent use, except that a Fault's selectors must be set
// before it is injected.
package origintest

import (
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Origin is an http.Handler that shows Files and applies Faults. Make one with
// New.
type Origin struct {
	mu struct {
		sync.Mutex
		files  map[string]*File // replaced, never changed
		faults []*Fault         // sorted by stage; replaced, never changed
	}
	tally   tally
	network network
}

// New returns an Origin with no files and no faults.
func New() *Origin {
	o := new(Origin)
	o.mu.files = make(map[string]*File)
	o.tally.reset()
	return o
}

// Put adds the file at path or replaces it; a replaced file is a new version.
// Answers under way go on with the version they began with.
func (o *Origin) Put(path string, f File) {
	shown := f.withDefaults()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.files[rooted(path)] = shown
}

// Remove makes path a 404.
func (o *Origin) Remove(path string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.mu.files, rooted(path))
}

// Inject adds faults for the requests that arrive from now on.
func (o *Origin) Inject(faults ...*Fault) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := slices.Concat(o.mu.faults, faults)
	slices.SortStableFunc(all, func(a, b *Fault) int { return int(a.stage) - int(b.stage) })
	o.mu.faults = all
}

// Clear removes all faults. Answers under way keep theirs.
func (o *Origin) Clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.faults = nil
}

// ServeHTTP answers one request. It panics with http.ErrAbortHandler where a
// fault ends the answer early, as net/http asks.
func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := o.tally.open(r)
	defer c.close()
	p := o.plan(r, c)
	p.play(w, c)
}

// plan returns the honest answer to r as edited by the faults.
func (o *Origin) plan(r *http.Request, c *call) *plan {
	file, faults := o.look(r.URL.Path)
	p := newPlan(o, r, c, file)
	for _, f := range faults {
		if f.take(p) {
			f.edit(p)
			c.met(f)
		}
	}
	return p
}

func (o *Origin) look(path string) (*File, []*Fault) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.files[path], o.mu.faults
}

func rooted(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "/" + path
}
