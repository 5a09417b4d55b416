package web

import (
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

const (
	// tokenParameter is the parameter of the URL that has the token.
	tokenParameter = "token"

	// answerWithin is how long a browser may take to receive an answer.
	answerWithin = time.Minute
)

// guard decides who is let in; see the package comment.
type guard struct {
	token  string
	cookie string // its name; cookies of all ports of a host are in one jar
	path   string // of the cookie
	secure bool   // the browser speaks TLS, perhaps to a proxy
	origin string // of the URL
	scheme string
	hosts  func(host string) bool
}

// newGuard makes a new token, and takes the scheme, host and path from the URL that the page is
// to be opened at.
func newGuard(opts Options) guard {
	u := opts.URL
	g := guard{token: rand.Text(), cookie: "dlfs", path: u.Path, secure: u.Scheme == "https",
		origin: u.Scheme + "://" + u.Host, scheme: u.Scheme, hosts: opts.Hosts}
	if port := u.Port(); port != "" {
		g.cookie += "-" + port
	}
	if g.path == "" {
		g.path = "/"
	}
	if g.hosts == nil {
		g.hosts = func(host string) bool {
			return strings.EqualFold(host, u.Host) || isLoopback(u.Hostname()) && isLoopbackAt(host, u.Port())
		}
	}
	return g
}

// isLoopback reports whether a host is this machine alone.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

// isLoopbackAt reports whether a Host header is of a loopback address and the port.
func isLoopbackAt(host, port string) bool {
	name, p, err := net.SplitHostPort(host)
	return err == nil && p == port && isLoopback(name)
}

// The headers of every answer.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
	"Cache-Control":                "no-store",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "no-referrer", // the URL may have the token
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
}

// protect lets in to next who may come in.
func (g guard) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for k, v := range headers {
			w.Header().Set(k, v)
		}
		c := http.NewResponseController(w)
		c.SetWriteDeadline(time.Now().Add(answerWithin)) // what cannot have one is a test
		switch {
		case !g.hosts(r.Host):
			http.Error(w, "this address is not one of the page; open the one that \"dlfs web\" printed", http.StatusMisdirectedRequest)
		case !g.sameSite(r):
			http.Error(w, "another page has asked for this", http.StatusForbidden)
		case r.URL.Path == "/" && same(r.URL.Query().Get(tokenParameter), g.token):
			http.SetCookie(w, &http.Cookie{Name: g.cookie, Value: g.token, Path: g.path, HttpOnly: true, Secure: g.secure, SameSite: http.SameSiteStrictMode})
			next.ServeHTTP(w, r)
		case !g.known(r):
			http.Error(w, "open the address that \"dlfs web\" printed; its token lets you in", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// sameSite reports whether no page of another site has asked, as far as the browser says.
// What changes something must have the page's origin.
func (g guard) sameSite(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		from := r.Header.Get("Origin")
		return strings.EqualFold(from, g.origin) || strings.EqualFold(from, g.scheme+"://"+r.Host)
	}
	site := r.Header.Get("Sec-Fetch-Site") // older browsers do not say
	return site == "" || site == "same-origin" || r.URL.Path == "/" && r.Header.Get("Sec-Fetch-Mode") == "navigate" ||
		site == "none"
}

// known reports whether the browser has the cookie.
func (g guard) known(r *http.Request) bool {
	for _, c := range r.CookiesNamed(g.cookie) {
		if same(c.Value, g.token) {
			return true
		}
	}
	return false
}

// same compares in a time that does not tell how much is alike.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
