package origin

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"dlfs/fetch/digest"
)

// exchange is a response, with its body under the watchdog. Whoever has it ends
// or drains the body.
type exchange struct {
	resp   *http.Response
	body   *watched
	url    *url.URL      // that answered
	gen    int           // of the target, see where
	digest digest.Digest // of the whole file, as any response on the way told
}

// request makes the request of one hop. Every header there is to send is set
// here, for this hop alone: nothing is carried over a redirect.
func (r *Resource) request(ctx context.Context, method string, u *url.URL, ranges string) *http.Request {
	req := (&http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}}).WithContext(ctx)
	req.Header.Set("User-Agent", r.c.opts.UserAgent)
	if sameOrigin(u, r.list) {
		maps.Copy(req.Header, r.opts.Header.Clone())
		if host := req.Header.Get("Host"); host != "" {
			req.Host = host
		}
		if u.User == nil && r.list.User != nil && req.Header.Get("Authorization") == "" {
			password, _ := r.list.User.Password()
			req.SetBasicAuth(r.list.User.Username(), password)
		}
	}
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Del("Range")
	if ranges != "" {
		req.Header.Set("Range", ranges)
	}
	return req
}

// sameOrigin compares scheme, host and port (RFC 6454 section 5).
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// send makes one request and returns when the header of its response is there.
// The error is described.
func (r *Resource) send(ctx context.Context, method string, u *url.URL, ranges string) (*exchange, error) {
	if err := r.c.waitPause(ctx, u.Host); err != nil {
		return nil, err
	}
	watchedCtx, w := watch(ctx, r.c.opts.Timeout, &r.c.received)
	resp, err := r.c.http.Do(r.request(watchedCtx, method, u, ranges))
	w.rest()
	if err != nil {
		if cause := context.Cause(watchedCtx); cause != nil { // asked before end is one
			err = cause
		}
		w.end()
		return nil, r.describe(ctx, u.Hostname(), err)
	}
	w.body = resp.Body
	if d := after(resp); d > 0 {
		r.c.pauseHost(u.Host, d)
	}
	return &exchange{resp: resp, body: w, url: u}, nil
}
