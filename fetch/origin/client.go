// Package origin is the HTTP client: it asks origins for the versions and the
// bytes of files, and for nothing else. It knows nothing of blocks or disks.
//
// Its promise is that a byte it hands out is provably the byte at the asked
// offset of the pinned version. Position is taken from Content-Range, never
// from the status; validators and total size are compared on every response;
// an encoded, shifted or unlabelled body is refused.
//
// Its second promise is that no call hangs: a watchdog ends a request that
// makes no progress, and every wait ends with the context. What can pass by
// itself (a reset, a stall, a short body, 429, 5xx) is retried here with
// back-off, from the next missing byte on; progress starts the count anew. What
// cannot is returned as an *Error whose Kind says what it means.
package origin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Options for New. The zero value is useful.
type Options struct {
	// Log gets a line for each failed attempt. If nil, nothing is logged.
	Log *slog.Logger

	// UserAgent names this program to origins. If empty, "dlfs".
	UserAgent string

	// MaxPerHost is how many idle connections are kept for each host. If zero, 16.
	MaxPerHost int

	// ConnectTimeout bounds the making of a connection. If zero, 20 s.
	ConnectTimeout time.Duration

	// Timeout ends a request of which nothing arrived for so long. If zero, 30 s.
	Timeout time.Duration

	// Tries is how often in a row an attempt may fail without progress. If
	// zero, 10, which with the waits between is about a minute and a half.
	Tries int

	// RetryWait is the wait after the first failure; it doubles up to 15 s, and
	// is jittered. If zero, 500 ms.
	RetryWait time.Duration

	// DialContext makes connections; tests serve from memory through it. If
	// nil, a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

const (
	maxRetryWait   = 15 * time.Second
	maxRetryAfter  = 10 * time.Minute
	maxRedirects   = 10
	maxHeaderBytes = 64 << 10
)

// Client fetches from any number of origins. It is safe for concurrent use.
type Client struct {
	opts     Options
	log      *slog.Logger
	http     *http.Client
	received atomic.Int64

	mu    sync.Mutex
	pause map[string]time.Time // by host: nothing is asked before; guarded by mu
}

// New returns a client. Close releases its idle connections.
func New(opts Options) *Client {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "dlfs"
	}
	opts.MaxPerHost = orDefault(opts.MaxPerHost, 16)
	opts.ConnectTimeout = orDefault(opts.ConnectTimeout, 20*time.Second)
	opts.Timeout = orDefault(opts.Timeout, 30*time.Second)
	opts.Tries = orDefault(opts.Tries, 10)
	opts.RetryWait = orDefault(opts.RetryWait, 500*time.Millisecond)
	if opts.DialContext == nil {
		opts.DialContext = (&net.Dialer{Timeout: opts.ConnectTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	// HTTP/1.1 only: one HTTP/2 connection is one TCP stream, whatever the
	// number of ranges on it.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &Client{
		opts: opts,
		log:  opts.Log,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            opts.DialContext,
				Protocols:              &protocols,
				TLSHandshakeTimeout:    opts.ConnectTimeout,
				IdleConnTimeout:        90 * time.Second,
				MaxIdleConnsPerHost:    opts.MaxPerHost,
				MaxResponseHeaderBytes: maxHeaderBytes,
				DisableCompression:     true,
			},
			CheckRedirect: checkRedirect,
		},
		pause: map[string]time.Time{},
	}
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// Close closes idle connections. Bodies still open stay usable.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Received is the number of body bytes received so far.
func (c *Client) Received() int64 { return c.received.Load() }

// checkRedirect follows at most maxRedirects, only over HTTP, never from https
// to http, and tells no host where the request came from: list URLs are secret.
func checkRedirect(req *http.Request, via []*http.Request) error {
	refuse := func(format string, args ...any) error {
		return &Error{Kind: Permanent, Err: fmt.Errorf(format, args...)}
	}
	last := via[len(via)-1].URL
	switch scheme := req.URL.Scheme; {
	case len(via) > maxRedirects:
		return refuse("more than %d redirects", maxRedirects)
	case scheme != "http" && scheme != "https":
		return refuse("redirect to scheme %q refused", scheme)
	case scheme == "http" && last.Scheme == "https":
		return refuse("redirect from https to http refused")
	}
	req.Header.Del("Referer")
	return nil
}

// send makes one attempt. rangeHeader is "" to ask for the whole. The response
// has a body that the watchdog watches; ending it is the caller's.
func (c *Client) send(ctx context.Context, method, rawURL, rangeHeader string) (*http.Response, *watched, error) {
	if err := c.waitPause(ctx, rawURL); err != nil {
		return nil, nil, err
	}
	ctx, w := watch(ctx, c.opts.Timeout)
	resp, err := c.sendWatched(ctx, method, rawURL, rangeHeader)
	w.rest()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil { // asked before end is one
			err = cause
		}
		w.end()
		return nil, nil, withoutURL(err)
	}
	w.body = resp.Body
	return resp, w, nil
}

func (c *Client) sendWatched(ctx context.Context, method, rawURL, rangeHeader string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, rawURL, nil)
	if err != nil {
		return nil, &Error{Kind: Permanent, Err: errors.New("URL does not parse")} // err may quote a password
	}
	req.Header.Set("User-Agent", c.opts.UserAgent)
	req.Header.Set("Accept-Encoding", "identity")
	if rangeHeader != "" {
		req.Header.Set("Range", rangeHeader)
	}
	return c.http.Do(req)
}

// retry runs f until it succeeds, fails for good, fails Options.Tries times, or
// ctx ends; then the error is ctx's.
func retry[T any](ctx context.Context, c *Client, what string, f func() (T, error)) (T, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval = c.opts.RetryWait
	wait.Multiplier = 2
	wait.MaxInterval = max(maxRetryWait, c.opts.RetryWait)
	v, err := backoff.Retry(ctx, func() (T, error) {
		v, err := f()
		if err != nil && (ctx.Err() != nil || !transient(err)) {
			err = backoff.Permanent(err)
		}
		return v, err
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(uint(c.opts.Tries)), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, d time.Duration) {
			c.log.Info("request failed; trying again", "what", what, "in", d.Round(time.Millisecond), "err", err)
		}))
	var p *backoff.PermanentError
	if errors.As(err, &p) { // left in place when it was the last try
		err = p.Unwrap()
	}
	return v, err
}

// waitPause waits until the host of rawURL may be asked again.
func (c *Client) waitPause(ctx context.Context, rawURL string) error {
	host := Host(rawURL)
	for {
		c.mu.Lock()
		d := time.Until(c.pause[host])
		c.mu.Unlock()
		if d <= 0 {
			return ctx.Err()
		}
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// pauseHost has nothing asked of the host for d: it sent Retry-After.
func (c *Client) pauseHost(host string, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := time.Now().Add(min(d, maxRetryAfter)); until.After(c.pause[host]) {
		c.pause[host] = until
	}
}

// Host returns the host and port of a URL, "" if it does not parse.
func Host(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Host
}
