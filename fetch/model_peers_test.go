//go:build linux

package fetch

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"dlfs/cache"
	"dlfs/fetch/peerhttp"
)

// TestModelOfMachines is TestModel for an engine that shares its list with two other machines,
// which meet the same origins. They have old lists, and URLs that are dead; they fall silent,
// break off, refuse and tell of versions that do not exist. Each read still gives the bytes of one
// version of the origin, or an error.
func TestModelOfMachines(t *testing.T) {
	modelled(t, func(t *testing.T, m *model) {
		m.build()
		m.originOpts.Tries = 5
		m.cacheOpts = cache.Options{MinFree: 1}
		m.group = newModelGroup(t, m)
		m.chooseOptions()
		m.start()
		for range *stepsFlag / 2 {
			m.step()
			m.group.step(m)
			m.checkFlights()
			if t.Failed() {
				break
			}
		}
		m.group.wellBehaved()
		m.end()
		t.Logf("%d bytes came from other machines", m.group.received())
	})
}

// modelGroup is the other machines of a model.
type modelGroup struct {
	*circle
	others  []*fixture
	clients []*peerhttp.Client // of all lives of the engine

	mu  sync.Mutex
	rng *rand.Rand // guarded by mu
	bad float64    // with which probability a request meets something bad; guarded by mu
}

func newModelGroup(t *testing.T, m *model) *modelGroup {
	g := &modelGroup{circle: newCircle(t, 3), rng: rand.New(rand.NewPCG(m.rng.Uint64(), 0))}
	g.pipes[g.names[0]].Close() // the engine gives nothing: its lives begin and end
	for i := 1; i < 3; i++ {
		y := g.joinAs(m.fixture, i, Options{Serve: true, Prefetch: []Mode{PrefetchAll, PrefetchNone}[m.rng.IntN(2)]}, g.front)
		m.t.Cleanup(y.background())
		g.others = append(g.others, y)
	}
	return g
}

// join has the options of the engine, which begins a life, name the others.
func (g *modelGroup) join(m *model) {
	if g == nil {
		return
	}
	opts, client := g.circle.peers(0)
	m.opts.Peers = opts
	g.clients = append(g.clients, client)
	m.t.Cleanup(client.Close)
}

// received is how many bytes the engine had from other machines.
func (g *modelGroup) received() (n int64) {
	for _, c := range g.clients {
		n += c.Received()
	}
	return n
}

// step changes something of the other machines.
func (g *modelGroup) step(m *model) {
	switch p := m.rng.IntN(100); {
	case p < 3:
		bad := m.rng.Float64() * 0.6
		m.log("other machines misbehave with a probability of %.2f", bad)
		g.misbehave(bad)
	case p < 6:
		m.log("other machines behave")
		g.wellBehaved()
	case p < 8:
		i := m.rng.IntN(len(g.others))
		m.log("machine %d has a list that is right now", i+1)
		g.others[i].Reload(m.list())
	}
}

func (g *modelGroup) misbehave(p float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bad = p
}

func (g *modelGroup) wellBehaved() { g.misbehave(0) }

// choose returns what a request meets: nothing bad if it is less than 0.
func (g *modelGroup) choose() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rng.Float64() >= g.bad {
		return -1
	}
	return g.rng.IntN(11)
}

// front is what stands between another machine and those that ask it.
func (g *modelGroup) front(h http.Handler) http.Handler {
	honest := func(_ http.Header, code int) int { return code }
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := &lying{w, honest, -1}
		switch what := g.choose(); what {
		case 0:
			silent(w, r)
			return
		case 1:
			l.cut = 1000
		case 2:
			// A version that another machine tells of first is believed until the origin is asked.
			if r.Method != http.MethodHead && !strings.HasPrefix(r.Header.Get("Range"), "bytes=0-") {
				l.change = func(h http.Header, code int) int { h.Set("ETag", `"of nobody"`); return code }
			}
		case 3:
			l.change = func(h http.Header, code int) int { h.Set("Content-Range", "bytes 0-0/1"); return code }
		case 4:
			select {
			case <-time.After(3 * time.Second):
			case <-r.Context().Done():
			}
		case 5:
			sluggish(20_000)(h).ServeHTTP(w, r)
			return
		case 6:
			panic(http.ErrAbortHandler)
		case 7, 8, 9, 10:
			w.WriteHeader([]int{500, 503, 504, 507}[what-7])
			return
		}
		h.ServeHTTP(l, r)
	})
}
