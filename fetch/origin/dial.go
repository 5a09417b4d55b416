package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"

	"dlfs/cache/lockorder"
)

const (
	addrsFresh     = 60 * time.Second        // how long the answer of a lookup is used without another
	lookupRetry    = 5 * time.Second         // the next lookup after one that failed
	lookupPatience = 1800 * time.Millisecond // for a lookup when there are old addresses (RFC 8767 section 5)
	attemptDelay   = 250 * time.Millisecond  // between the addresses of a host (RFC 8305 section 5)
)

// hostDialer makes TCP connections to hosts. It remembers the addresses of a
// host and uses them while they cannot be looked up, so that a name service
// that comes and goes does not stop a running job. The addresses are tried one
// after the other, a little apart, so that one that is dead costs little; the
// one that answered last goes first. It is safe for concurrent use.
type hostDialer struct {
	// lookup finds the addresses of a host, the best first.
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	// connect connects to an IP address and port.
	connect func(ctx context.Context, network, addr string) (net.Conn, error)

	timeout time.Duration // of one DialContext after the lookup

	flights singleflight.Group // by host
	lookups *lookups

	mu    lockorder.Mutex[lockorder.Leaf]
	hosts map[string]*hostAddrs // guarded by mu, and so is what is in it
}

// hostAddrs is what is known of a host.
type hostAddrs struct {
	addrs []netip.Addr // the last good answer; not empty, never written to
	until time.Time    // it is used without another lookup
	last  netip.Addr   // answered last; zero if none has
	first netip.Addr   // answered first; zero if none has
}

// newHostDialer returns one that asks the system's resolver and gives up on a
// host that does not answer within timeout.
func newHostDialer(timeout time.Duration) *hostDialer {
	tcp := &net.Dialer{KeepAlive: 30 * time.Second}
	return &hostDialer{
		lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
		connect: tcp.DialContext,
		timeout: timeout,
		lookups: newLookups(),
		hosts:   map[string]*hostAddrs{},
	}
}

// DialContext connects to addr, a host or IP address with a port. It blocks
// until there is a connection, nothing answers, or ctx ends. The error is one
// line that names the host; a *net.DNSError stays in its tree.
func (d *hostDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		ctx, cancel := context.WithTimeout(ctx, d.timeout)
		defer cancel()
		return d.connect(ctx, network, addr)
	}
	addrs, err := d.addrs(ctx, host)
	if err == nil {
		addrs, err = d.allowed(host, addrs)
	}
	if err != nil {
		return nil, err
	}
	raceCtx, cancel := context.WithTimeoutCause(ctx, d.timeout, fmt.Errorf("nothing within %v", d.timeout))
	defer cancel()
	conn, at, err := d.race(raceCtx, network, addrs, port)
	if ctx.Err() != nil {
		closeConn(conn)
		return nil, context.Cause(ctx)
	}
	d.learn(host, at, err)
	if err != nil {
		return nil, fmt.Errorf("no address of %q answers: %w", host, err)
	}
	return conn, nil
}

// addrs returns the addresses of a host in the order to try them in: those that are remembered if
// they are fresh, else those of a new lookup. While old addresses are known, the lookup is waited
// for no longer than lookupPatience. Callers who want the same host share one lookup.
func (d *hostDialer) addrs(ctx context.Context, host string) ([]netip.Addr, error) {
	if known, fresh := d.known(host); fresh {
		return known, nil
	}
	// The lookup is owned by all who wait for it, and ends by its own timeout.
	shared := context.WithoutCancel(ctx)
	flight := host
	if isUrgent(ctx) { // it does not join a lookup that may wait for a place
		flight = "urgent " + host
	}
	answer := d.flights.DoChan(flight, func() (any, error) { return nil, d.refresh(shared, host) })
	old, _ := d.known(host)
	var patience <-chan time.Time // without limit, unless there are old addresses
	if old != nil {
		patience = time.After(lookupPatience)
	}
	var err error
	select {
	case r := <-answer:
		err = r.Err
	case <-patience:
		d.postpone(host)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if known, _ := d.known(host); known != nil {
		return known, nil
	}
	return nil, unknownHost(host, err)
}

// known returns the addresses of a host that are remembered, nil if there are
// none, the one that answered last first; and whether no lookup is due.
func (d *hostDialer) known(host string) (addrs []netip.Addr, fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.hosts[host]
	if h == nil {
		return nil, false
	}
	addrs = slices.Clone(h.addrs)
	if i := slices.Index(addrs, h.last); i > 0 {
		addrs = slices.Insert(slices.Delete(addrs, i, i+1), 0, h.last)
	}
	return addrs, time.Now().Before(h.until)
}

// allowed returns the addresses that may be connected to: if a host was at a public
// address first, later answers of its name service with other addresses are not followed.
// Such an answer may be an attack on this network (DNS rebinding).
func (d *hostDialer) allowed(host string, addrs []netip.Addr) ([]netip.Addr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.hosts[host]
	if !h.first.IsValid() || !isPublic(h.first) {
		return addrs, nil
	}
	inside := addrs[0]
	addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool { return !isPublic(a) })
	if len(addrs) == 0 {
		h.until = time.Now().Add(lookupRetry) // the next answer may be a better one
		return nil, refuse("host %q was at a public address and is at %s now, which is none, refused; if it is meant, start dlfs again", host, inside)
	}
	return addrs, nil
}

// refresh looks a host up and remembers the answer. If it fails, what was known
// stays, and is good until it is time to try again.
func (d *hostDialer) refresh(ctx context.Context, host string) error {
	var addrs []netip.Addr
	var err error
	d.lookups.run(ctx, isUrgent(ctx), func(ctx context.Context) { addrs, err = d.lookup(ctx, host) })
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.hosts[host]
	switch {
	case err == nil && h == nil:
		d.hosts[host] = &hostAddrs{addrs: alternate(addrs), until: time.Now().Add(addrsFresh)}
	case err == nil:
		h.addrs, h.until = alternate(addrs), time.Now().Add(addrsFresh)
	case h != nil:
		h.until = time.Now().Add(lookupRetry)
	}
	return err
}

// postpone has requests not wait for the lookup of a host for a while, because the
// lookup is slow or is likely to fail.
func (d *hostDialer) postpone(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h := d.hosts[host]; time.Now().After(h.until) { // it is known, and may be anew
		h.until = time.Now().Add(lookupRetry)
	}
}

// learn notes how connecting to a host went. When no address answers, the host
// may have moved, so they are looked up again.
func (d *hostDialer) learn(host string, at netip.Addr, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.hosts[host] // known, since nothing is ever forgotten
	h.last = at
	if !h.first.IsValid() {
		h.first = at
	}
	if err != nil {
		h.until = time.Time{}
	}
}

// alternate returns the addresses without repeats, families taking turns, each
// in its order, and that of the first address first (RFC 8305 section 4).
func alternate(addrs []netip.Addr) []netip.Addr {
	var first, second, out []netip.Addr
	for _, a := range addrs {
		a = a.Unmap()
		if slices.Contains(first, a) || slices.Contains(second, a) {
			continue
		}
		if len(first) == 0 || a.Is4() == first[0].Is4() {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	for len(first) > 0 {
		out = append(out, first[0])
		first, second = second, first[1:]
	}
	return append(out, second...)
}

// attempt is how connecting to one address ended.
type attempt struct {
	conn net.Conn
	at   netip.Addr
	err  error
}

// race connects to the addresses in turn. The next one starts when the one
// before has failed, or has not answered for attemptDelay. The first connection
// counts; the others are closed. The error is of the address tried first, or
// ctx's.
func (d *hostDialer) race(ctx context.Context, network string, addrs []netip.Addr, port string) (net.Conn, netip.Addr, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan attempt)
	start := func(at netip.Addr) {
		conn, err := d.connect(ctx, network, net.JoinHostPort(at.String(), port))
		select {
		case ended <- attempt{conn, at, err}:
		case <-ctx.Done():
			closeConn(conn)
		}
	}
	errs := map[netip.Addr]error{}
	for started := 0; len(errs) < len(addrs); {
		var next <-chan time.Time // never, when all were started
		if started < len(addrs) {
			go start(addrs[started]) // ends with ctx, which is this race's
			started++
			next = time.After(attemptDelay)
		}
		select {
		case a := <-ended:
			if a.err == nil {
				return a.conn, a.at, nil
			}
			errs[a.at] = a.err
		case <-next:
		case <-ctx.Done():
			err := errs[addrs[0]]
			if err == nil {
				err = context.Cause(ctx)
			}
			return nil, netip.Addr{}, err
		}
	}
	return nil, netip.Addr{}, errs[addrs[0]]
}

// closeConn closes what was connected too late; conn may be nil.
func closeConn(conn net.Conn) {
	if conn != nil {
		conn.Close() // nothing was written to it
	}
}

// hostError is why a host has no addresses. The lookup's error is in its tree,
// but not in its text, which would be of a resolver's address and no news.
type hostError struct {
	text string
	err  error
}

func (e *hostError) Error() string { return e.text }
func (e *hostError) Unwrap() error { return e.err }

// unknownHost says in words why a host could not be looked up, and keeps the error.
func unknownHost(host string, err error) error {
	var dns *net.DNSError
	switch {
	case !errors.As(err, &dns):
		return fmt.Errorf("host %q cannot be looked up: %w", host, err)
	case dns.IsNotFound:
		return &hostError{fmt.Sprintf("host %q is not known", host), err}
	}
	return &hostError{fmt.Sprintf("host %q cannot be looked up: %s", host, dns.Err), err}
}
