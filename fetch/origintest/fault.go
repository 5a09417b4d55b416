package origintest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path"
	"strings"
	"sync"
)

// Fault is one way to misbehave, and which requests meet it. Constructors such
// as CutAfter make one that meets every request it has something to change in;
// selectors narrow that and return the same Fault. Selectors must be set before
// the Fault is injected, and each at most once except When.
//
// The selectors are tried in this order: On, Method, Ranged, LongerThan,
// Covering and When pick the requests that match; of those After skips the
// first, Every picks each nth, Chance throws a coin, and Times stops.
type Fault struct {
	// Constant once injected.
	name   string
	stage  stage
	ready  func(*plan) bool // whether there is something to change
	edit   func(*plan)
	where  []func(*plan) bool
	notes  []string // of the selectors, in the order they were called
	skip   int
	every  int
	times  int // 0: no limit
	chance float64

	mu struct {
		sync.Mutex
		seen    int
		hits    int
		rand    *rand.Rand
		changed chan struct{} // closed at the next hit; nil if none waits
	}
}

// stage says what a fault changes. Faults apply in this order.
type stage int

const (
	stageVersion stage = iota
	stageAnswer
	stageExtent
	stageHeader
	stageWire
)

func newFault(s stage, ready func(*plan) bool, edit func(*plan), format string, args ...any) *Fault {
	return &Fault{name: fmt.Sprintf(format, args...), stage: s, ready: ready, edit: edit}
}

// String returns the call that makes the Fault and then its selectors, such as
// "CutAfter(4096) on /a.tar every 3".
func (f *Fault) String() string {
	return strings.Join(append([]string{f.name}, f.notes...), " ")
}

// Hits returns how many requests have met the Fault. A request is counted when
// it arrives, so before the cut, the stall or the last byte.
func (f *Fault) Hits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.hits
}

// Wait blocks until n requests have met the Fault, and otherwise returns the
// error of ctx.
func (f *Fault) Wait(ctx context.Context, n int) error {
	for {
		changed := f.waitChan(n)
		if changed == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// waitChan returns nil if there are n hits, else what the next hit closes.
func (f *Fault) waitChan(n int) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.hits >= n {
		return nil
	}
	if f.mu.changed == nil {
		f.mu.changed = make(chan struct{})
	}
	return f.mu.changed
}

// On selects requests for paths that match this path.Match pattern. A pattern
// without a slash is matched with the last element: "*.tar" is any tar file.
// It panics if the pattern is malformed.
func (f *Fault) On(pathGlob string) *Fault {
	if _, err := path.Match(pathGlob, ""); err != nil {
		panic(fmt.Sprintf("origintest: On(%q): %v", pathGlob, err))
	}
	return f.add("on "+pathGlob, func(p *plan) bool {
		name := p.req.URL.Path
		if !strings.Contains(pathGlob, "/") {
			name = path.Base(name)
		}
		ok, _ := path.Match(pathGlob, name)
		return ok
	})
}

// Method selects requests with this method.
func (f *Fault) Method(m string) *Fault {
	return f.add("method "+m, func(p *plan) bool { return p.req.Method == m })
}

// Ranged selects requests with a Range header that can be satisfied.
func (f *Fault) Ranged() *Fault {
	return f.add("ranged", func(p *plan) bool { return p.ranged })
}

// LongerThan selects requests that ask for more than n bytes; one without a
// Range header asks for the whole file.
func (f *Fault) LongerThan(n int64) *Fault {
	return f.add(fmt.Sprintf("longer than %d", n), func(p *plan) bool { return p.asked.n > n })
}

// Covering selects requests that ask for the byte at off; one without a Range
// header asks for the whole file.
func (f *Fault) Covering(off int64) *Fault {
	return f.add(fmt.Sprintf("covering %d", off), func(p *plan) bool {
		return p.asked.off <= off && off < p.asked.off+p.asked.n
	})
}

// When selects requests for which the function is true. It is called
// concurrently.
func (f *Fault) When(match func(*http.Request) bool) *Fault {
	return f.add("when func", func(p *plan) bool { return match(p.req) })
}

// After skips the first n requests that match.
func (f *Fault) After(n int) *Fault {
	f.skip = n
	return f.note("after %d", n)
}

// Every selects the nth, the 2nth, … of the requests that match.
func (f *Fault) Every(n int) *Fault {
	f.every = n
	return f.note("every %d", n)
}

// Chance selects each request with probability p, in a sequence that depends
// on the seed only.
func (f *Fault) Chance(p float64, seed uint64) *Fault {
	f.chance = p
	f.mu.rand = rand.New(rand.NewPCG(seed, seed))
	return f.note("chance %g seed %d", p, seed)
}

// Times lets the Fault hit n times and never again; 0 means each time.
func (f *Fault) Times(n int) *Fault {
	f.times = n
	return f.note("times %d", n)
}

func (f *Fault) add(note string, match func(*plan) bool) *Fault {
	f.where = append(f.where, match)
	f.notes = append(f.notes, note)
	return f
}

func (f *Fault) note(format string, args ...any) *Fault {
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
	return f
}

// take reports whether f applies to p, and counts the hit if so.
func (f *Fault) take(p *plan) bool {
	for _, match := range f.where {
		if !match(p) {
			return false
		}
	}
	return f.ready(p) && f.count()
}

// count counts a request that matches and reports whether it is hit.
func (f *Fault) count() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.seen++
	n := f.mu.seen - f.skip
	if n <= 0 || f.every > 1 && n%f.every != 0 {
		return false
	}
	if f.mu.rand != nil && f.mu.rand.Float64() >= f.chance {
		return false
	}
	if f.times > 0 && f.mu.hits >= f.times {
		return false
	}
	f.mu.hits++
	if f.mu.changed != nil {
		close(f.mu.changed)
		f.mu.changed = nil
	}
	return true
}
