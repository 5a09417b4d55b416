package origin

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/icholy/digest"
	"golang.org/x/net/http/httpguts"
)

// Digest authentication (RFC 7616): a server that answers 401 with a challenge gets the request
// once more, with a login that is computed from the challenge.

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
	// Basic and Bearer are sent with the first request, so a 401 to those is final.
	challenge := findDigest(x.resp.Header)
	if challenge == nil {
		return x, nil // it asks for something else
	}
	user, password, ok := r.c.opts.Credentials.login(x.url, r.list)
	if !ok {
		return x, nil
	}
	answer, err := digest.Digest(challenge.of(user, password, digest.Options{Method: method, URI: x.url.RequestURI(), Count: 1}))
	if err != nil {
		return x, nil // a challenge that cannot be answered
	}
	// of has changed the algorithm of a session for package digest; the server expects its own.
	answer.Algorithm = challenge.Algorithm
	x.body.drain()
	return r.sendAs(ctx, method, x.url, ranges, answer.String())
}

// digestChallenge is a challenge of Digest that can be answered.
type digestChallenge struct {
	*digest.Challenge
	session bool // its algorithm ends in "-sess", which package digest does not know
}

// findDigest returns the first challenge of Digest that can be answered, nil if there is none.
func findDigest(h http.Header) *digestChallenge {
	for _, value := range h.Values("WWW-Authenticate") {
		for _, one := range challenges(value) {
			c, err := digest.ParseChallenge(one)
			if err != nil {
				continue
			}
			known := *c
			known.Algorithm, _ = strings.CutSuffix(strings.ToUpper(c.Algorithm), "-SESS")
			if digest.CanDigest(&known) {
				return &digestChallenge{c, len(known.Algorithm) < len(c.Algorithm)}
			}
		}
	}
	return nil
}

// of completes what is needed to answer the challenge. The first hash of a session covers
// the nonces, too (RFC 7616 section 3.4.2).
func (c *digestChallenge) of(user, password string, o digest.Options) (*digest.Challenge, digest.Options) {
	o.Username, o.Password = user, password
	if !c.session {
		return c.Challenge, o
	}
	plain := *c.Challenge
	plain.Algorithm = plain.Algorithm[:len(plain.Algorithm)-len("-sess")]
	sum := map[string]func() hash.Hash{"": md5.New, "MD5": md5.New, "SHA-256": sha256.New, "SHA-512": sha512.New, "SHA-512-256": sha512.New512_256}[strings.ToUpper(plain.Algorithm)]
	join := func(parts ...string) string {
		h := sum()
		io.WriteString(h, strings.Join(parts, ":")) // a hash never fails to take bytes
		return hex.EncodeToString(h.Sum(nil))
	}
	// The nonce of the client is part of the first hash, so it is chosen here, not by the package.
	o.Cnonce = rand.Text()
	o.A1 = join(join(user, plain.Realm, password), plain.Nonce, o.Cnonce)
	return &plain, o
}

// nextChallenge matches where another challenge begins in a field that lists several: behind
// a comma, a scheme and then a space and a parameter (RFC 9110 section 11.6.1).
var nextChallenge = regexp.MustCompile(`^[ \t]*[A-Za-z][A-Za-z0-9-]*[ \t]+[A-Za-z0-9_-]+[ \t]*=`)

// challenges divides the value of a WWW-Authenticate field into its challenges.
func challenges(value string) []string {
	var all []string
	start, quoted := 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		// A quoted character is taken as it is, also a quote (quoted-pair, RFC 9110 section 5.6.4).
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted && nextChallenge.MatchString(value[i+1:]):
			all = append(all, strings.TrimSpace(value[start:i]))
			start = i + 1
		}
	}
	return append(all, strings.TrimSpace(value[start:]))
}

// asksFor names the ways to log in that a 401 asks for and this program does not
// know, or for which there was no login; "" if it asks for none.
func asksFor(resp *http.Response) string {
	var known, unknown []string
	var all []string
	for _, value := range resp.Header.Values("WWW-Authenticate") {
		all = append(all, challenges(value)...)
	}
	for _, challenge := range all {
		scheme, _, _ := strings.Cut(challenge, " ")
		switch strings.ToLower(scheme) {
		case "digest":
			if findDigest(http.Header{"Www-Authenticate": {challenge}}) == nil {
				scheme += " of a form that is not known"
			}
			known = append(known, scheme)
		case "basic", "bearer":
			known = append(known, scheme)
		default:
			// A scheme is text of the server and comes into an error, so only a short token is taken.
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
