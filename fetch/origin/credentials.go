package origin

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"dlfs/listfile/header"
)

// Credentials are what requests carry besides what they ask for. The zero value
// carries nothing. It is safe for concurrent use, and none of it is changed,
// but for Jar by the responses.
type Credentials struct {
	Netrc *Netrc         // by the name of the host that is asked; may be nil
	Jar   http.CookieJar // by its own rules; may be nil, then no cookies are kept

	// These go to the origin of a list's URL, and to no other on the way. The
	// same origin is the same scheme, host and port (RFC 6454 section 5).
	Bearer  string      // a token, as of Authorization
	Header  http.Header // of the command line
	Referer string

	UserAgent string // goes to every host; if empty, "dlfs"
}

// dress sets the headers of the request of one hop, which has none of another.
// list is the URL that stands in the list, where the redirects started; own are
// the headers that stand there with it, and take the place of those of the
// command line of the same name. One without a value is not sent at all. What
// header.Allowed does not allow is ignored: the command line and the list have refused it.
//
// An Authorization comes from the first that has one: own, the command line, the
// user and password of the URL that is asked, or of list if that is the same
// origin, Bearer, the netrc. The netrc is for https, or where list is http and
// so asks for no secrecy. The netrc's default is for list's own origin alone: another host
// that a redirect leads to must not get a password.
func (c *Credentials) dress(req *http.Request, list *url.URL, own http.Header) {
	agent := c.UserAgent
	if agent == "" {
		agent = "dlfs"
	}
	req.Header.Set("User-Agent", agent)
	home := siteOf(req.URL) == siteOf(list)
	if home {
		if c.Referer != "" {
			req.Header.Set("Referer", c.Referer)
		}
		putHeaders(req, c.Header)
		putHeaders(req, own)
	}
	if _, given := req.Header["Authorization"]; !given {
		if auth := c.authorization(req.URL, list, home); auth != "" {
			req.Header.Set("Authorization", auth)
		}
	}
	if cookies := c.cookies(req.URL); cookies != "" {
		if users := req.Header.Get("Cookie"); users != "" {
			cookies = users + "; " + cookies
		}
		req.Header.Set("Cookie", cookies)
	}
}

// putHeaders gives the request the headers of a user.
func putHeaders(req *http.Request, from http.Header) {
	for name, values := range from {
		name = http.CanonicalHeaderKey(name)
		empty := !slices.ContainsFunc(values, func(v string) bool { return v != "" })
		switch {
		case !header.Allowed(name):
		case name == "Host" && !empty:
			req.Host = values[0]
		case name == "Host":
		case empty:
			req.Header[name] = nil // net/http sends none, and sets none of its own
		default:
			req.Header[name] = slices.Clone(values)
		}
	}
}

// authorization returns the value of the Authorization header for a request to u, "" for none.
// list is the URL of the entry, and home says that u has its host: only there the secrets of the
// entry and of the command line go. The first of these that there is: user and password in the
// URL, the bearer token, netrc, a user without a password. A password of netrc is sent over http
// only if the entry's own URL is http.
func (c *Credentials) authorization(u, list *url.URL, home bool) string {
	user := u.User
	if user == nil && home {
		user = list.User
	}
	password, ok := user.Password() // of nil it is not ok, and Username is ""
	if ok {
		return basic(user.Username(), password)
	}
	if home && c.Bearer != "" {
		return "Bearer " + c.Bearer
	}
	anonymous := user != nil && user.Username() == "" // "http://@host/"
	if !anonymous && (u.Scheme == "https" || list.Scheme == "http") {
		name, password, ok := c.Netrc.login(u.Hostname(), user.Username())
		if !ok && home {
			name, password, ok = c.Netrc.login("", user.Username())
		}
		if ok {
			return basic(name, password)
		}
	}
	if user.Username() != "" {
		return basic(user.Username(), "")
	}
	return ""
}

// basic is RFC 7617 section 2.
func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// cookies returns the value of the header for a request to u, "" for none.
// Values stay as they came, where net/http would drop or quote what it dislikes.
func (c *Credentials) cookies(u *url.URL) string {
	if c.Jar == nil {
		return ""
	}
	var all []string
	for _, cookie := range c.Jar.Cookies(u) {
		value := cookie.Value
		if cookie.Quoted {
			value = `"` + value + `"`
		}
		all = append(all, cookie.Name+"="+value)
	}
	return strings.Join(all, "; ")
}

// note keeps the cookies of a response, for the hops and requests to come.
func (c *Credentials) note(resp *http.Response) {
	if c.Jar == nil {
		return
	}
	var cookies []*http.Cookie
	for _, field := range resp.Header.Values("Set-Cookie") {
		if cookie := parseSetCookie(field, time.Now()); cookie != nil {
			cookies = append(cookies, cookie)
		}
	}
	if len(cookies) > 0 {
		c.Jar.SetCookies(resp.Request.URL, cookies)
	}
}

// site is an origin as browsers understand it (RFC 6454 section 4).
type site struct{ scheme, host, port string }

// siteOf returns the scheme, host and port of a URL, in lower case, with the port of the
// scheme where the URL has none.
func siteOf(u *url.URL) site {
	s := site{strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()}
	if s.port == "" {
		s.port = map[string]string{"http": "80", "https": "443"}[s.scheme]
	}
	return s
}
