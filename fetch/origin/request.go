package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"

	"dlfs/listfile/digest"
)

// exchange is a response, with its body under the watchdog. The function that gets
// it ends or drains the body.
type exchange struct {
	sent   *http.Request
	resp   *http.Response
	body   *watched
	url    *url.URL      // that answered
	gen    int           // of the target, see where
	digest digest.Digest // of the whole file, as any response on the way told

	culprit  bool // it refuses this object, and the host accepts others
	doubtful bool // it may refuse one request more than the host takes
}

// request makes the request of one hop. Every header there is to send is set
// here, for this hop alone: nothing is carried over a redirect.
func (r *Resource) request(ctx context.Context, method string, u *url.URL, ranges string) *http.Request {
	req := (&http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}}).WithContext(ctx)
	r.c.opts.Credentials.dress(req, r.list, r.opts.Header)
	asked := *u
	asked.User = nil // net/http would make it a login, even of "http://@host/"
	req.URL = &asked
	req.Header.Set("Accept-Encoding", "identity")
	if ranges != "" {
		req.Header.Set("Range", ranges)
	}
	return req
}

// send makes one request and returns when the header of its response is there.
// The error is described.
func (r *Resource) send(ctx context.Context, method string, u *url.URL, ranges string) (*exchange, error) {
	return r.sendAs(ctx, method, u, ranges, "")
}

// sendAs is send with another Authorization header, if that is not empty. Each request enters by
// the gate of the host. A request that was refused as one too many for the host is repeated.
func (r *Resource) sendAs(ctx context.Context, method string, u *url.URL, ranges, authorization string) (*exchange, error) {
	for try := 1; ; try++ {
		ticket, err := r.c.gate.enter(ctx, u.Host, r)
		if err != nil {
			return nil, err
		}
		x, err := r.ask(ctx, ticket, method, u, ranges, authorization)
		if err == nil && x.doubtful {
			x, err = r.doubt(ctx, x, ranges, try)
		}
		if err != nil || x != nil {
			return x, err
		}
	}
}

// ask makes the request of a ticket. It takes a place of all connections and starts the watchdog;
// these and the ticket are let go of when the body of the exchange is closed, or here after an
// error. The gate is told whether the host accepted or refused, unless that is doubtful.
func (r *Resource) ask(ctx context.Context, ticket *ticket, method string, u *url.URL, ranges, authorization string) (x *exchange, err error) {
	ticket.url, ticket.ranged = u, ranges != ""
	if ticket.seat, err = r.c.seats.take(ctx); err != nil {
		ticket.leave()
		return nil, err
	}
	watchedCtx, w := r.c.watch(ctx, ticket)
	if r.opts.Apart {
		w.received = new(atomic.Int64)
	}
	var look func(net.Conn)
	req := r.request(w.seeWire(watchedCtx, func(conn net.Conn) { look(conn) }), method, u, ranges)
	client, look := r.clientFor(req, u)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	began := time.Now()
	resp, err := r.c.exchange(client.Transport.(*http.Transport), req)
	r.trace(req, statusOf(resp), began)
	w.rest()
	r.c.answered.add(u.Host, statusOf(resp))
	if err != nil {
		if cause := context.Cause(watchedCtx); cause != nil { // looked at before w.end, which sets a cause of its own
			err = cause
		}
		if isClosed(err) {
			ticket.closed()
		}
		w.end()
		return nil, r.describe(ctx, u.Hostname(), err)
	}
	w.body = resp.Body
	r.c.opts.Credentials.note(resp)
	x = &exchange{sent: req, resp: resp, body: w, url: u}
	// One request more than a host takes is refused with 403 by some. It means the URL where
	// no other answer about it is being read, or where a redirect led to u: that may expire.
	oneTooMany := resp.StatusCode == http.StatusForbidden && u == r.list && r.streams.Load() > 0
	if d, busy := after(resp), isBusy(resp.StatusCode); busy || oneTooMany || d > 0 {
		x.culprit = ticket.busy(d)
		if until := ticket.news; !until.IsZero() {
			r.c.log.Warn("host asks to be left alone", "host", u.Host, "for", d, "until", until.Format(time.TimeOnly))
		}
	} else if x.doubtful = authorization == "" && r.isDoubtful(x, method); !x.doubtful {
		ticket.good(x.isGood() && method == http.MethodGet)
	}
	return x, nil
}

// trace logs a request, at the debug level, and how long its answer took; a status of 0 says that
// none came, and the log of the retry says why. Of a URL that a redirect led to only the host
// is logged, since its path may hold a secret.
func (r *Resource) trace(req *http.Request, status int, began time.Time) {
	if !r.c.log.Enabled(req.Context(), slog.LevelDebug) {
		return
	}
	r.c.log.Debug("request", "method", req.Method, "url", r.URL(), "host", req.URL.Host, "range", req.Header.Get("Range"),
		"status", status, "in", time.Since(began).Round(time.Millisecond))
}

// statusOf is the status of a response, 0 if there is none.
func statusOf(resp *http.Response) int {
	if resp == nil {
		return 0
	}
	return resp.StatusCode
}

// exchange sends a request and returns the response. What net/http does not
// understand, or a handshake that fails, is looked at more closely.
func (c *Client) exchange(t *http.Transport, req *http.Request) (*http.Response, error) {
	host := req.URL.Host
	proxy, err := c.proxyOf(req)
	if err != nil {
		return nil, err
	}
	if c.isSloppy(host) {
		return lenient(t, proxy, req.URL).RoundTrip(req)
	}
	resp, err := t.RoundTrip(req) // http.Client would refuse what a Location may have
	switch {
	case err == nil && !isStatusLine(resp.Proto+" "+resp.Status):
		resp.Body.Close() // nothing of it is of use
		return nil, fmt.Errorf("malformed HTTP status %q", resp.Status)
	case err == nil:
	case isMalformed(err):
		if resp, again := lenient(t, proxy, req.URL).RoundTrip(req); again == nil {
			c.noteSloppy(host)
			return resp, nil
		}
	case isHandshake(err) && proxy == nil: // else it may be the proxy's
		return nil, handshakeError(req.URL, err, offer(req.Context(), t, req.URL))
	}
	return resp, err
}

// proxyOf returns the proxy that a request is sent to, nil if there is none.
func (c *Client) proxyOf(req *http.Request) (*url.URL, error) {
	proxy := c.http.Transport.(*http.Transport).Proxy
	if proxy == nil {
		return nil, nil
	}
	return proxy(req)
}

// isSloppy reports whether a host is known to answer what net/http refuses.
func (c *Client) isSloppy(host string) bool { return c.plain.get(host).sloppy }

// noteSloppy notes that a host sends headers which are not well formed. Its further
// connections are mended from the start (lenient.go).
func (c *Client) noteSloppy(host string) {
	c.plain.note(host, func(h *plainHost) { h.sloppy = true })
	c.log.Info("host sends headers that are not well formed; they are mended", "host", host)
}

// isClosed reports whether a request failed because the host closed the connection.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// isBusy reports whether a status says that the host has too much to do.
func isBusy(code int) bool {
	return code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable
}
