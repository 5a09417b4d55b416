package fetch

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"dlfs/fetch/origintest"
	"dlfs/fetch/peers"
)

// link is the network of a machine, which brings so many bytes a second over all connections
// that it made.
type link struct {
	rate int // bytes a second

	mu   sync.Mutex
	free time.Time // when what was read so far has arrived; guarded by mu
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

func (l *link) dial(d dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := d(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return linked{c, l}, nil
	}
}

// linked is a connection over a link.
type linked struct {
	net.Conn
	link *link
}

func (c linked) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), 4<<10)])
	c.link.mu.Lock()
	now := time.Now()
	if c.link.free.Before(now) {
		c.link.free = now
	}
	c.link.free = c.link.free.Add(time.Duration(n) * time.Second / time.Duration(c.link.rate))
	wait := c.link.free.Sub(now)
	c.link.mu.Unlock()
	<-time.After(wait)
	return n, err
}

// A machine whose network is some nine times slower than what the others get owns a quarter of the
// bytes at first. The others do not wait for it, and the origin sends little twice.
func TestSlowMachineDoesNotDelayTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const rate, machines, slow = 400_000, 4, 3
		x.Inject(origintest.Throttle(1 << 20).Method("GET"))
		c := newCircle(t, machines)
		c.links = map[string]*link{c.names[slow]: {rate: rate}}
		var size int64
		for i := range machines {
			name := c.owned(i)
			for n := range 3 {
				if n > 0 { // of any owner
					name = fmt.Sprintf("more/%d-%d", i, n)
				}
				x.add(name, 64*bs)
				size += 64 * bs
			}
			for n := range 8 { // so that there is more to ask for all the time
				x.add(fmt.Sprintf("small/%d-%d", i, n), bs)
				size += bs
			}
		}
		y := c.join(x, 0, Options{})
		var others []*fixture
		for i := 1; i < machines; i++ {
			others = append(others, c.join(x, i, Options{Serve: true}))
		}
		for _, o := range others {
			defer o.background()()
		}
		began := time.Now()
		check(t, y.Run(t.Context()))
		took, sent := time.Since(began), x.Counts().BodyBytes
		y.materialized(x.names()...)
		for i, o := range append(others, y) {
			if !o.opts.Peers.Ring.Slow(c.names[slow], time.Now()) {
				t.Errorf("machine %d does not know that the last one is slow", i)
			}
		}
		if took > time.Minute {
			t.Errorf("it took %v; the slow machine alone needs %v for a file", took, 64*bs*time.Second/rate)
		}
		if sent > size+size/20 {
			t.Errorf("the origin sent %d bytes of %d", sent, size)
		}
	})
}

// A machine that turns out to be slow after a first contact has asked it, and before it answers,
// was not known to be slow when it was asked: the flight that the answer becomes ends, and another
// machine or the origin gives the rest.
func TestFirstAnswerOfAMachineThatHasBecomeSlow(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const rate, machines, slow = 160_000, 4, 3
		c := newCircle(t, machines)
		c.links = map[string]*link{c.names[slow]: {rate: rate}}
		name := c.owned(slow)
		x.add(name, 64*bs)
		y := c.join(x, 0, Options{})
		for i := 1; i < machines; i++ {
			c.join(x, i, Options{Serve: true, Prefetch: PrefetchNone})
		}
		asked := origintest.Header("Server", "origin").On("/" + name).Method("GET").When(func(*http.Request) bool {
			y.opts.Peers.Ring.Heard(c.names[slow], peers.Pace{Rate: rate, Slow: time.Minute}, time.Now())
			return true
		})
		x.Inject(asked)
		began := time.Now()
		check(t, y.Run(t.Context()))
		y.materialized(name)
		if asked.Hits() < 2 {
			t.Errorf("the origin was asked %d times, by the slow machine alone", asked.Hits())
		}
		if took, alone := time.Since(began), 64*bs*time.Second/rate; took > alone/5 {
			t.Errorf("it took %v; the slow machine alone needs %v", took, alone)
		}
	})
}
