package origintest

import (
	"net/http"

	"github.com/icholy/digest"
)

// RedirectForCookie sets a cookie and redirects to the same URL (302), as long as a request
// lacks the cookie.
func RedirectForCookie(name string) *Fault {
	return newFault(stageAnswer, func(p *plan) bool {
		_, err := p.req.Cookie(name)
		return err != nil && p.unanswered()
	}, func(p *plan) {
		p.refuse(http.StatusFound, []string{"Location", p.req.URL.RequestURI(), "Set-Cookie", name + "=1; Path=/"})
	}, "RedirectForCookie(%q)", name)
}

// WantDigest answers 401 and asks for Digest authentication (RFC 7616, MD5 with qop auth),
// unless a request comes from that user.
func WantDigest(user, password string) *Fault {
	challenge := &digest.Challenge{Realm: "origin", Nonce: "abc", QOP: []string{"auth"}, Algorithm: "MD5"}
	return newFault(stageAnswer, func(p *plan) bool {
		return p.unanswered() && !isLogin(p.req, challenge, user, password)
	}, func(p *plan) {
		p.refuse(http.StatusUnauthorized, []string{"WWW-Authenticate", challenge.String()})
	}, "WantDigest(%q)", user)
}

// isLogin reports whether a request answers the challenge as that user.
func isLogin(r *http.Request, challenge *digest.Challenge, user, password string) bool {
	got, err := digest.ParseCredentials(r.Header.Get("Authorization"))
	if err != nil {
		return false
	}
	want, err := digest.Digest(challenge, digest.Options{
		Method: r.Method, URI: r.RequestURI, Count: got.Nc, Cnonce: got.Cnonce, Username: user, Password: password,
	})
	return err == nil && got.Username == user && got.Response == want.Response
}
