// Package origin is the HTTP client: it asks origins for the versions and the
// bytes of files, and for nothing else. It knows nothing of blocks or disks.
//
// A Resource (RFC 9110 section 3.1) is one URL of a file, with what has been
// learnt about it: where it redirects to, how this URL tells the version that
// is pinned, how long a range it gives. A file may have several.
//
// The first promise is that a byte handed out is provably the byte at the asked
// offset of the pinned version. Position is taken from Content-Range, never
// from the status; validators and total size are compared on every response;
// an encoded, shifted or unlabelled body is refused, and so is a web page (page.go) or
// an error document (errordoc.go) in the place of a file. That a file has changed is confirmed before it is
// believed.
//
// The second promise is that no call hangs: a watchdog ends a request that makes no
// progress, and every wait ends with the context. A failure that may pass by itself (a
// reset, a stall, a short body, 429, 5xx) is retried here with back-off, from the next
// missing byte on; progress starts the count anew. Any other failure is returned as an
// *Error whose Kind says what it means. The table of all statuses is in response.go.
//
// The third promise is that a URL's secrets stay with it: its headers go to its own origin
// alone, and neither errors nor logs hold its query or credentials. A redirect from a public
// host to an address that is not public is refused (ssrf.go).
//
// Bytes come to a Body in these steps: connect asks for what is left (connect.go). The
// request goes to the redirect target that the Resource knows (target.go), or to the URL and
// along its redirects (redirect.go), one hop at a time (request.go). Before each hop the gate
// of the host admits the request (gate.go). The response is examined (response.go), its
// version is compared with the pin (version.go), and a change is confirmed before it is
// believed (confirm.go, compare.go).
package origin

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// Options for New. The zero value is useful.
type Options struct {
	// Log gets a line for each failed attempt. If nil, nothing is logged.
	Log *slog.Logger

	// Credentials say on whose behalf requests are made.
	Credentials Credentials

	// Proxy returns the proxy to send a request to, nil to send it to the host
	// itself: see ProxyFrom. If nil, there is no proxy.
	Proxy func(*http.Request) (*url.URL, error)

	// TLS says whom to trust. If nil, what the system trusts.
	TLS *tls.Config

	// HTTP2 allows HTTP/2. Not by default: one HTTP/2 connection is one TCP
	// stream, and all ranges share its congestion window.
	HTTP2 bool

	// Limit bounds what is received. If nil, nothing does.
	Limit *Limit

	// AllowDowngrade has redirects from https to http followed.
	AllowDowngrade bool

	// Encoded says what to do with answers that are encoded though none was
	// asked for. If empty, RefuseEncoded.
	Encoded Encoded

	// MaxPerHost is how many idle connections are kept for each host. If zero, 16.
	MaxPerHost int

	// MaxOpen is how many requests may be open at once, of all hosts: one half of
	// them urgent ones. The idle connections are at most half as many. If zero, 512.
	MaxOpen int

	// ConnectTimeout bounds the making of a connection. If zero,
	// DefaultConnectTimeout.
	ConnectTimeout time.Duration

	// Timeout ends a request when nothing has arrived for that long. If zero,
	// DefaultTimeout.
	Timeout time.Duration

	// Tries is how often in a row an attempt may fail without progress. If
	// zero, DefaultTries, which with the default waits is at least a minute and a
	// quarter.
	Tries int

	// RetryWait is the wait after the first failure; it doubles up to 15 s, and
	// is jittered. If zero, DefaultRetryWait.
	RetryWait time.Duration

	// MaxWait bounds for how long a host is left alone that asks for it with
	// Retry-After. If zero, DefaultMaxWait.
	MaxWait time.Duration

	// DialContext makes connections; tests serve from memory through it. If
	// nil, TCP with a memory for addresses.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

// What Options are if they are zero. The command line has the same defaults.
const (
	DefaultConnectTimeout = 20 * time.Second
	DefaultTimeout        = 30 * time.Second
	DefaultTries          = 12
	DefaultRetryWait      = 500 * time.Millisecond
	DefaultMaxWait        = 10 * time.Minute
)

const (
	defaultMaxPerHost = 16
	defaultMaxOpen    = 512

	maxRetryWait   = 15 * time.Second
	maxHeaderBytes = 64 << 10
)

// Client fetches from any number of origins. It is safe for concurrent use.
type Client struct {
	opts     Options
	log      *slog.Logger
	http     *http.Client
	public   *http.Client // the same, for what is not to be asked of other than public addresses
	received atomic.Int64
	answered answered
	gate     gate
	seats    seats
	plain    plain
	pages    pages
}

// New returns a client with these options, in which zero values become the defaults. It makes no
// connection yet. The client may be used by any number of goroutines. Close releases its idle
// connections, and it may be used again afterwards.
func New(opts Options) *Client {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.MaxPerHost = orDefault(opts.MaxPerHost, defaultMaxPerHost)
	opts.MaxOpen = orDefault(opts.MaxOpen, defaultMaxOpen)
	opts.ConnectTimeout = orDefault(opts.ConnectTimeout, DefaultConnectTimeout)
	opts.Timeout = orDefault(opts.Timeout, DefaultTimeout)
	opts.Tries = orDefault(opts.Tries, DefaultTries)
	opts.RetryWait = orDefault(opts.RetryWait, DefaultRetryWait)
	opts.MaxWait = orDefault(opts.MaxWait, DefaultMaxWait)
	if opts.Limit == nil {
		opts.Limit = &Limit{}
	}
	transport := transportOptions{
		ConnectTimeout: opts.ConnectTimeout, MaxPerHost: opts.MaxPerHost, MaxIdle: max(1, opts.MaxOpen/4), DialContext: opts.DialContext,
		Proxy: opts.Proxy, TLS: opts.TLS, HTTP2: opts.HTTP2,
	}
	c := &Client{gate: gate{maxPause: opts.MaxWait}, seats: newSeats(opts.MaxOpen), opts: opts, log: opts.Log}
	transport.Received = &c.received
	c.http = newHTTP(transport)
	transport.PublicOnly = true
	c.public = newHTTP(transport)
	return c
}

// newHTTP returns the client of net/http that makes single requests.
func newHTTP(o transportOptions) *http.Client {
	return &http.Client{Transport: newTransport(o)} // walk follows redirects
}

// orDefault returns v, or otherwise where v is zero and so was not set.
func orDefault[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// Close closes idle connections. Bodies still open stay usable.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.public.CloseIdleConnections()
}

// Received is the number of body bytes of files received so far, with what this machine had
// received of answers that were not read to their end.
func (c *Client) Received() int64 { return c.received.Load() }

// Limited reports whether Options.Limit is what keeps bytes from coming faster, so that
// another connection brings no more.
func (c *Client) Limited() bool { return c.opts.Limit.Holds() }

// urgentKey marks the context of a request that a reader waits for.
type urgentKey struct{}

// Urgent returns a context whose requests go before others where a host takes
// only so many at once, while now is set: a reader waits for them.
func Urgent(ctx context.Context, now *atomic.Bool) context.Context {
	return context.WithValue(ctx, urgentKey{}, now)
}

// isUrgent reports whether a reader waits for a request at this moment. The answer may
// change while the request goes on: its caller sets the flag in ctx.
func isUrgent(ctx context.Context) bool {
	now, ok := ctx.Value(urgentKey{}).(*atomic.Bool)
	return ok && now.Load()
}

// restKey marks the context of requests whose waits are told.
type restKey struct{}

// WithRest returns a context whose requests call begin when they begin to wait before
// another attempt, and what it returns when that wait ends: what they hold may serve
// others meanwhile. refused says that the host answered, with 429 or 503. Both are
// called from the goroutine of the request.
func WithRest(ctx context.Context, begin func(refused bool) (end func())) context.Context {
	return context.WithValue(ctx, restKey{}, begin)
}

// spareKey marks the context of requests that are not needed.
type spareKey struct{}

// MaySpare returns a context whose requests are not needed if another answer about the same
// Resource is being read: if they are refused while one is, they fail at once, also where a
// retry might succeed.
func MaySpare(ctx context.Context) context.Context { return context.WithValue(ctx, spareKey{}, true) }

// maySpare reports whether ctx is one of MaySpare.
func maySpare(ctx context.Context) bool { return ctx.Value(spareKey{}) != nil }

// Host returns the host and port of a URL, "" if it does not parse.
func Host(rawURL string) string {
	u, err := url.Parse(escapeURL(rawURL))
	if err != nil {
		return ""
	}
	return u.Host
}
