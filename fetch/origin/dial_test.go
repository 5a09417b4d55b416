package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/cache/hosttest"
)

// dialRig is a hostDialer in fake time, between a name service and a network
// that do what the test says.
type dialRig struct {
	*hostDialer
	t *testing.T

	mu      sync.Mutex
	names   map[string][]netip.Addr  // what the name service knows
	down    error                    // what it answers, if set
	latency time.Duration            // of the name service
	running int                      // lookups
	most    int                      // lookups at once
	lookups int                      // so far
	dead    map[string]time.Duration // addresses that refuse after so long; for ever if < 0
	tried   []string                 // addresses, in order
	open    int                      // connections
}

func newDialRig(t *testing.T) *dialRig {
	r := &dialRig{hostDialer: newHostDialer(20 * time.Second), t: t,
		names: map[string][]netip.Addr{}, dead: map[string]time.Duration{}}
	r.hostDialer.lookup, r.hostDialer.connect = r.answer, r.accept
	return r
}

func (r *dialRig) answer(ctx context.Context, host string) ([]netip.Addr, error) {
	r.mu.Lock()
	r.lookups++
	r.running++
	r.most = max(r.most, r.running)
	addrs, err, latency := r.names[host], r.down, r.latency
	if strings.HasPrefix(host, "dead") { // and so is its name server
		latency = time.Hour
	}
	r.mu.Unlock()
	defer func() { r.mu.Lock(); r.running--; r.mu.Unlock() }()
	select {
	case <-time.After(latency):
	case <-ctx.Done():
		return nil, &net.DNSError{Err: "timed out", Name: host, IsTimeout: true}
	}
	if err == nil && addrs == nil {
		err = &net.DNSError{Err: "no such host", Name: host, Server: "192.0.2.53:53", IsNotFound: true}
	}
	return addrs, err
}

func (r *dialRig) accept(ctx context.Context, _, addr string) (net.Conn, error) {
	ip := netip.MustParseAddrPort(addr).Addr().String()
	r.mu.Lock()
	r.tried = append(r.tried, ip)
	wait, dead := r.dead[ip]
	r.mu.Unlock()
	if dead {
		var refused <-chan time.Time
		if wait >= 0 {
			refused = time.After(wait)
		}
		select {
		case <-refused:
			return nil, errors.New("dial tcp " + addr + ": refused")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open++
	here, there := net.Pipe()
	r.t.Cleanup(func() { there.Close() })
	return &countedConn{here, r}, nil
}

type countedConn struct {
	net.Conn
	r *dialRig
}

func (c *countedConn) Close() error {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.open--
	return c.Conn.Close()
}

// dialTo connects, and closes. It returns the addresses tried.
func (r *dialRig) dialTo(host string) ([]string, error) {
	r.t.Helper()
	r.mu.Lock()
	r.tried = nil
	r.mu.Unlock()
	conn, err := r.DialContext(r.t.Context(), "tcp", host+":80")
	if err == nil {
		conn.Close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.tried), err
}

func (r *dialRig) wantTried(host string, want ...string) {
	r.t.Helper()
	got, err := r.dialTo(host)
	if err != nil || !slices.Equal(got, want) {
		r.t.Errorf("tried %q, %v; want %q", got, err, want)
	}
}

func (r *dialRig) wantLookups(want int) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lookups != want {
		r.t.Errorf("%d lookups, want %d", r.lookups, want)
	}
}

// pass lets so much fake time pass.
func pass(d time.Duration) { <-time.After(d) }

func addrs(s ...string) (out []netip.Addr) {
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func dialBubble(t *testing.T, f func(t *testing.T, r *dialRig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newDialRig(t)
		f(t, r)
		pass(lookupTimeout) // of lookups that no request waits for any more
		synctest.Wait()
		if r.open != 0 {
			t.Errorf("%d connections left open", r.open)
		}
	})
}

func TestAddressesAreRememberedForAMinute(t *testing.T) {
	dialBubble(t, func(t *testing.T, r *dialRig) {
		r.names["h"] = addrs("192.0.2.1")
		r.wantTried("h", "192.0.2.1")
		pass(59 * time.Second)
		r.wantTried("h", "192.0.2.1")
		r.wantLookups(1)
		r.names["h"] = addrs("192.0.2.2")
		pass(time.Second)
		r.wantTried("h", "192.0.2.2")
		r.wantLookups(2)
	})
}

func TestOldAddressesServeWhileLookupsFail(t *testing.T) {
	dialBubble(t, func(t *testing.T, r *dialRig) {
		r.names["h"] = addrs("192.0.2.1")
		r.wantTried("h", "192.0.2.1")
		r.down = &net.DNSError{Err: "server misbehaving", Name: "h", IsTemporary: true}
		pass(time.Hour)
		for range 10 {
			r.wantTried("h", "192.0.2.1")
		}
		r.wantLookups(2) // not again at once
		r.down, r.names["h"] = nil, addrs("192.0.2.2")
		pass(lookupRetry)
		r.wantTried("h", "192.0.2.2")
	})
}

// A name service that does not answer at all costs little, and not every time.
func TestOldAddressesServeWhileLookupsHang(t *testing.T) {
	dialBubble(t, func(t *testing.T, r *dialRig) {
		r.names["h"] = addrs("192.0.2.1")
		r.wantTried("h", "192.0.2.1")
		pass(time.Hour)
		r.latency = time.Hour
		start := time.Now()
		for range 10 {
			r.wantTried("h", "192.0.2.1")
		}
		wantPassed(t, start, lookupPatience)
	})
}

func TestHostThatMovedIsLookedUpAgain(t *testing.T) {
	dialBubble(t, func(t *testing.T, r *dialRig) {
		r.names["h"] = addrs("192.0.2.1")
		r.wantTried("h", "192.0.2.1")
		r.names["h"], r.dead["192.0.2.1"] = addrs("192.0.2.2"), 0
		if _, err := r.dialTo("h"); err == nil {
			t.Error("a dead address answered")
		}
		r.wantTried("h", "192.0.2.2")
	})
}

func TestOneLookupForAllWhoAskAtOnce(t *testing.T) {
	dialBubble(t, func(t *testing.T, r *dialRig) {
		r.names["h"], r.latency = addrs("192.0.2.1"), time.Second
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { // awaited below
				if _, err := r.dialTo("h"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		r.wantLookups(1)
	})
}

// Who leaves does not take the lookup along, and does not wait for it.
func TestLookupOutlivesWhoAskedFirst(t *testing.T) {
	dialBubble(t, func(t *testing.T, r *dialRig) {
		r.names["h"], r.latency = addrs("192.0.2.1"), 2*time.Second
		start := time.Now()
		if _, err := r.DialContext(afterASecond(t), "tcp", "h:80"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		wantPassed(t, start, time.Second)
		r.wantTried("h", "192.0.2.1")
		wantPassed(t, start, 2*time.Second)
		r.wantLookups(1)
	})
}

func TestFewLookupsAtOnce(t *testing.T) {
	dialBubble(t, func(t *testing.T, r *dialRig) {
		r.latency = quickLookup / 2
		for i := range 4 * maxLookups {
			r.names[fmt.Sprintf("h%d", i)] = addrs("192.0.2.1")
		}
		start := time.Now()
		var all sync.WaitGroup
		for host := range r.names {
			all.Go(func() { // awaited below
				if _, err := r.dialTo(host); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		wantPassed(t, start, 4*r.latency)
		if r.most != maxLookups {
			t.Errorf("%d lookups at once", r.most)
		}
	})
}

// TestDeadNameServersHoldNobodyUp: a lookup of a good host waits for those of dead
// ones only briefly, a reader's not at all, and the dead ones come to an end.
func TestDeadNameServersHoldNobodyUp(t *testing.T) {
	dialBubble(t, func(t *testing.T, r *dialRig) {
		r.latency = 10 * time.Millisecond
		r.names["good"], r.names["read"] = addrs("192.0.2.1"), addrs("192.0.2.2")
		start := time.Now()
		var all sync.WaitGroup
		const dead = 100
		for i := range dead {
			host := fmt.Sprintf("dead%d", i)
			all.Go(func() { // awaited below
				if _, err := r.DialContext(t.Context(), "tcp", host+":80"); err == nil {
					t.Errorf("%s is connected to", host)
				}
			})
		}
		synctest.Wait()
		conn, err := r.DialContext(urgently(t.Context(), true), "tcp", "read:80")
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		wantPassed(t, start, r.latency)
		if conn, err = r.DialContext(t.Context(), "tcp", "good:80"); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if took := time.Since(start); took > (dead/maxLookups+1)*quickLookup+r.latency {
			t.Errorf("a good host waited %v", took)
		}
		all.Wait()
		if took := time.Since(start); took > (dead/maxLookups+1)*quickLookup+lookupTimeout {
			t.Errorf("the lookups of %d dead hosts took %v", dead, took)
		}
		if r.most > 2*maxLookups+maxSlow { // those that are told to end take a moment
			t.Errorf("%d lookups at once", r.most)
		}
	})
}

// TestReaderDoesNotJoinALookupThatWaits: the lookup of the same host that waits for
// a place is not the reader's.
func TestReaderDoesNotJoinALookupThatWaits(t *testing.T) {
	dialBubble(t, func(t *testing.T, r *dialRig) {
		r.latency = 10 * time.Millisecond
		r.names["h"] = addrs("192.0.2.1")
		var all sync.WaitGroup
		for i := range maxLookups {
			host := fmt.Sprintf("dead%d", i)
			all.Go(func() { r.DialContext(t.Context(), "tcp", host+":80") }) // fails; awaited below
		}
		synctest.Wait()
		dial := func(ctx context.Context) {
			conn, err := r.DialContext(ctx, "tcp", "h:80")
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
		}
		all.Go(func() { dial(t.Context()) }) // awaited below
		synctest.Wait()
		start := time.Now()
		dial(urgently(t.Context(), true))
		wantPassed(t, start, r.latency)
		all.Wait()
	})
}

func TestDeadAddressesCostLittle(t *testing.T) {
	tests := []struct {
		name  string
		dead  map[string]time.Duration
		tried []string
		cost  time.Duration
	}{
		{"none", nil, []string{"2001:db8::1"}, 0},
		{"the first hangs", map[string]time.Duration{"2001:db8::1": -1}, []string{"2001:db8::1", "192.0.2.1"}, attemptDelay},
		{"the first refuses", map[string]time.Duration{"2001:db8::1": 0}, []string{"2001:db8::1", "192.0.2.1"}, 0},
		{"the first refuses late", map[string]time.Duration{"2001:db8::1": time.Second}, []string{"2001:db8::1", "192.0.2.1"}, attemptDelay},
		{"two hang", map[string]time.Duration{"2001:db8::1": -1, "192.0.2.1": -1},
			[]string{"2001:db8::1", "192.0.2.1", "2001:db8::2"}, 2 * attemptDelay},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dialBubble(t, func(t *testing.T, r *dialRig) {
				r.names["h"] = addrs("2001:db8::1", "2001:db8::2", "::ffff:192.0.2.1", "192.0.2.1")
				r.dead = tt.dead
				start := time.Now()
				r.wantTried("h", tt.tried...)
				wantPassed(t, start, tt.cost)
				start = time.Now()
				r.wantTried("h", tt.tried[len(tt.tried)-1]) // which goes first now
				wantPassed(t, start, 0)
			})
		})
	}
}

func TestDialErrors(t *testing.T) {
	tests := []struct {
		name, host string
		setup      func(r *dialRig)
		want       string
	}{
		{"unknown", "nowhere", func(*dialRig) {}, `host "nowhere" is not known`},
		{"empty answer", "h", func(r *dialRig) { r.names["h"] = []netip.Addr{} }, `host "h" is not known`},
		{"no name service", "h", func(r *dialRig) {
			r.down = &net.DNSError{Err: "server misbehaving", Name: "h", Server: "192.0.2.53:53"}
		},
			`host "h" cannot be looked up: server misbehaving`},
		{"it hangs", "h", func(r *dialRig) { r.latency = time.Hour }, `host "h" cannot be looked up: timed out`},
		{"all refuse", "h", func(r *dialRig) { r.dead["192.0.2.1"], r.dead["192.0.2.2"] = time.Second, 0 },
			`no address of "h" answers: dial tcp 192.0.2.1:80: refused`},
		{"all hang", "h", func(r *dialRig) { r.dead["192.0.2.1"], r.dead["192.0.2.2"] = -1, -1 },
			`no address of "h" answers: nothing within 20s`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dialBubble(t, func(t *testing.T, r *dialRig) {
				r.names["h"] = addrs("192.0.2.1", "192.0.2.2")
				tt.setup(r)
				if _, err := r.dialTo(tt.host); err == nil || err.Error() != tt.want {
					t.Errorf("got %v, want %s", err, tt.want)
				}
			})
		})
	}
	dialBubble(t, func(t *testing.T, r *dialRig) {
		var dns *net.DNSError
		if _, err := r.dialTo("nowhere"); !errors.As(err, &dns) || !dns.IsNotFound {
			t.Errorf("%v has no *net.DNSError", err)
		}
	})
}

// Connecting ends with its context, and what is connected after that is closed.
func TestDialIsCancelled(t *testing.T) {
	dialBubble(t, func(t *testing.T, r *dialRig) {
		r.names["h"], r.dead["192.0.2.1"] = addrs("192.0.2.1"), -1
		start := time.Now()
		if _, err := r.DialContext(afterASecond(t), "tcp", "h:80"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		wantPassed(t, start, time.Second)
	})
}

func TestLateConnectionsAreClosed(t *testing.T) {
	dialBubble(t, func(t *testing.T, r *dialRig) {
		r.names["h"] = addrs("192.0.2.1", "192.0.2.2")
		r.hostDialer.connect = func(_ context.Context, network, addr string) (net.Conn, error) {
			if addr == "192.0.2.1:80" {
				pass(time.Second) // whatever its context does
			}
			return r.accept(t.Context(), network, addr)
		}
		r.wantTried("h", "192.0.2.2")
		pass(time.Second)
	})
}

func TestAddressesAreNotLookedUp(t *testing.T) {
	dialBubble(t, func(t *testing.T, r *dialRig) {
		r.wantTried("192.0.2.7", "192.0.2.7")
		r.wantTried("[2001:db8::7]", "2001:db8::7")
		r.wantLookups(0)
	})
}

// The system's resolver and TCP, as they are.
func TestDialLocalhost(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	d := newHostDialer(20 * time.Second)
	conn, err := d.DialContext(t.Context(), "tcp", "localhost:"+port)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// TestHostThatMovesIntoThisNetwork: a host that was at a public address is not
// followed to another kind of address; one that never was at a public one may move.
func TestHostThatMovesIntoThisNetwork(t *testing.T) {
	dialBubble(t, func(t *testing.T, r *dialRig) {
		r.names["h"], r.names["inside"] = addrs("198.51.100.1"), addrs("10.0.0.1")
		r.wantTried("h", "198.51.100.1")
		r.wantTried("inside", "10.0.0.1")
		pass(2 * addrsFresh)
		for _, at := range []string{"10.0.0.1", "127.0.0.1", "169.254.169.254", "fe80::1", "::ffff:192.168.0.1"} {
			r.names["h"], r.names["inside"] = addrs(at), addrs(at)
			tried, err := r.dialTo("h")
			if KindOf(err) != Permanent || len(tried) > 0 || !strings.Contains(fmt.Sprint(err), "is at "+addrs(at)[0].Unmap().String()+" now") {
				t.Errorf("at %s: tried %q, %v", at, tried, err)
			}
			r.wantTried("inside", addrs(at)[0].Unmap().String())
			pass(2 * addrsFresh)
		}
		r.names["h"] = addrs("10.0.0.1", "203.0.113.7")
		r.wantTried("h", "203.0.113.7")
	})
}
