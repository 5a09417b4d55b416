package origin

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/icholy/digest"
	"golang.org/x/net/http/httpguts"
)

// Digest authentication (RFC 7616): who answers 401 with a challenge is asked
// once more, with a login that is computed from it.

// login returns the user and password for a request to u, as for Basic.
func (c *Credentials) login(u, list *url.URL) (user, password string, ok bool) {
	home := siteOf(u) == siteOf(list)
	basic := &http.Request{Header: http.Header{"Authorization": {c.authorization(u, list, home)}}}
	return basic.BasicAuth()
}

// answerChallenge sends the request of x again, if x is a 401 with a challenge of
// Digest and there is a login for it, and returns what then comes; else x.
func (r *Resource) answerChallenge(ctx context.Context, x *exchange, method, ranges string) (*exchange, error) {
	if x.resp.StatusCode != http.StatusUnauthorized {
		return x, nil
	}
	challenge, err := digest.FindChallenge(x.resp.Header)
	if err != nil {
		return x, nil // it asks for something else
	}
	user, password, ok := r.c.opts.Credentials.login(x.url, r.list)
	if !ok {
		return x, nil
	}
	answer, err := digest.Digest(challenge, digest.Options{
		Method: method, URI: x.url.RequestURI(), Count: 1, Username: user, Password: password,
	})
	if err != nil {
		return x, nil // a challenge that cannot be answered
	}
	x.body.drain()
	return r.sendAs(ctx, method, x.url, ranges, answer.String())
}

// asksFor names the ways to log in that a 401 asks for and this program does not
// know, or for which there was no login; "" if it asks for none.
func asksFor(resp *http.Response) string {
	var known, unknown []string
	for _, value := range resp.Header.Values("WWW-Authenticate") {
		scheme, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		switch strings.ToLower(scheme) {
		case "digest":
			if _, err := digest.FindChallenge(http.Header{"Www-Authenticate": {value}}); err != nil {
				scheme += " of a form that is not known"
			}
			known = append(known, scheme)
		case "basic", "bearer":
			known = append(known, scheme)
		default:
			if httpguts.ValidHeaderFieldName(scheme) && len(scheme) <= 20 {
				unknown = append(unknown, scheme)
			}
		}
	}
	switch {
	case len(known) > 0:
		return " and asks for a login (" + strings.Join(known, ", ") + ")"
	case len(unknown) > 0:
		return " and asks for a login by " + strings.Join(unknown, ", ") + ", which dlfs does not know"
	}
	return ""
}
