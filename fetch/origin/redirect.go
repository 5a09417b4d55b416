package origin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"dlfs/listfile/digest"
)

// maxRedirects is how many redirects of one request are followed, as many as net/http follows.
const maxRedirects = 10

// walk sends a request to the URL from, follows redirects, and returns the first response that is
// no redirect. ranges is the value of the Range header, "" for none. The error is described.
func (r *Resource) walk(ctx context.Context, method string, from *url.URL, ranges string) (*exchange, error) {
	var told digest.Digest
	seen := map[string]bool{}
	for u, hops := from, 1; ; hops++ {
		x, err := r.send(ctx, method, u, ranges)
		if err != nil {
			return nil, err
		}
		// The request as it was sent, with the cookies it had: the answer may set others.
		sent := x.sent
		if x, err = r.answerChallenge(ctx, x, method, ranges); err != nil {
			return nil, err
		}
		// A redirect may tell the digest of the file to which it leads.
		told = stronger(told, digest.FromHeader(x.resp.Header, x.isWhole()))
		next, err := x.next(r.c.opts.AllowDowngrade)
		if next == nil && err == nil {
			x.digest = told
			r.settleCoding(x)
			return x, nil
		}
		if err == nil && hops > maxRedirects {
			err = refuse("more than %d redirects", maxRedirects)
		}
		// A login redirects to its own URL with a new cookie, so a URL that comes again is no circle
		// unless the cookies do, too.
		seen[requestKey(u, sent)] = true
		if err == nil && seen[requestKey(next, r.request(ctx, method, next, ""))] {
			err = refuse("redirects in a circle")
		}
		// Reading a short body to its end lets the connection be used again.
		x.body.drain()
		if err != nil {
			return nil, r.describe(ctx, u.Hostname(), err)
		}
		u = next
	}
}

// maxHost is how long the host of a redirect may be, with its port. A name in the
// DNS has at most 255 bytes (RFC 1035 section 2.3.4).
const maxHost = 300

// requestKey is the same for two requests that a server cannot tell apart: for one
// URL, with the same cookies and credentials.
func requestKey(u *url.URL, req *http.Request) string {
	return u.String() + "\n" + req.Header.Get("Cookie") + "\n" + req.Header.Get("Authorization")
}

// next returns where a response redirects to, nil if it does not redirect. A redirect to another
// scheme than http and https is an error, and so is one from https to http unless downgrade
// allows it.
func (x *exchange) next(downgrade bool) (*url.URL, error) {
	switch x.resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	// 300 and 304 have other meanings and are judged with the other statuses.
	location := x.resp.Header.Get("Location")
	if location == "" {
		return nil, nil
	}
	u, err := x.url.Parse(escapeURL(location))
	switch {
	case err != nil:
		return nil, &Error{Kind: Permanent, Err: errBadLocation}
	case u.Scheme != "http" && u.Scheme != "https":
		// The scheme is text of the server, so the error quotes 30 characters at most.
		return nil, refuse("redirect to scheme %.30q refused", u.Scheme) // as long as the server likes
	case u.Hostname() == "":
		return nil, refuse("redirect to a URL without a host refused")
	case len(u.Host) > maxHost:
		return nil, refuse("redirect to a host whose name has %d bytes refused", len(u.Host))
	case u.Scheme == "http" && x.url.Scheme == "https" && !downgrade:
		return nil, refuse("redirect from https to http refused; --allow-downgrade follows it")
	}
	return u, nil
}

// refuse returns a permanent error: the request is not made, and not tried again.
func refuse(format string, args ...any) *Error {
	return &Error{Kind: Permanent, Err: fmt.Errorf(format, args...)}
}

// isWhole reports whether the body is the whole file.
func (x *exchange) isWhole() bool {
	return x.resp.StatusCode == http.StatusOK && x.resp.Header.Get("Content-Range") == ""
}

// stronger returns the stronger of two digests, a if they are alike.
func stronger(a, b digest.Digest) digest.Digest {
	if cmp.Compare(b.Algorithm, a.Algorithm) > 0 {
		return b
	}
	return a
}

// blame adds to an error about x what is known of its cause: the host that answered, where a
// redirect led to another host than that of the list's URL; and that the host refuses this object
// alone, for which a few more attempts are enough. It returns err.
func (r *Resource) blame(x *exchange, err error) error {
	var e *Error
	if errors.As(err, &e) && e.Status != 0 && x.url.Host != r.list.Host {
		e.Err = fmt.Errorf("redirected to %s: %w", x.url.Host, e.Err)
	}
	if errors.As(err, &e) && x.culprit {
		e.retry.most, e.After = fewRetries, min(e.After, culpritWait)
	}
	return err
}
