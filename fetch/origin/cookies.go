package origin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// NewJar returns an empty jar that takes no cookie for a public suffix, and no more
// cookies than browsers do.
func NewJar() http.CookieJar { return newJar() }

// LoadCookies reads a cookies.txt, as browsers' extensions, curl and wget write
// it: a line each, of seven fields with tabs between. Cookies that have expired
// are left out, and so are lines that are no cookie, whose errors are odd. A file
// with no cookie but such lines is an error. An error names the line, and nothing
// of what it says.
func LoadCookies(r io.Reader) (_ http.CookieJar, odd []error, err error) {
	jar, taken := newJar(), 0
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	nr := 1
	for ; lines.Scan(); nr++ {
		line, httpOnly := strings.CutPrefix(strings.TrimRight(lines.Text(), "\r"), "#HttpOnly_")
		if strings.TrimSpace(line) == "" || !httpOnly && strings.HasPrefix(line, "#") {
			continue
		}
		u, cookie, err := parseCookie(line)
		if err != nil {
			odd = append(odd, fmt.Errorf("cookies: line %d: %w", nr, err))
			continue
		}
		jar.addUsers(u, cookie)
		taken++
	}
	if err := lines.Err(); err != nil {
		return nil, nil, fmt.Errorf("cookies: line %d: %w", nr, err)
	}
	if taken == 0 && len(odd) > 0 {
		return nil, nil, odd[0]
	}
	return jar, odd, nil
}

// parseCookie returns the cookie of a line in the Netscape format, and a URL that could have set
// it, which net/http/cookiejar asks for. Its errors do not quote the line, whose value is a
// secret.
func parseCookie(line string) (*url.URL, *http.Cookie, error) {
	f := strings.Split(line, "\t")
	if len(f) == 6 {
		f = append(f, "") // some editors cut the tab before an empty value
	}
	if len(f) != 7 {
		return nil, nil, fmt.Errorf("%d fields with tabs between, want 7", len(f))
	}
	host := strings.TrimPrefix(f[0], ".")
	subdomains, err1 := parseFlag(f[1])
	secure, err2 := parseFlag(f[3])
	expiry, err3 := strconv.ParseFloat(f[4], 64) // some write a fraction
	c := &http.Cookie{Name: f[5], Value: f[6], Path: f[2], Secure: secure}
	switch {
	case host == "" || strings.ContainsAny(host, "/ @?#"):
		return nil, nil, errors.New("first field is no host")
	case err1 != nil:
		return nil, nil, errors.New("second field is neither TRUE nor FALSE")
	case !strings.HasPrefix(c.Path, "/"):
		return nil, nil, errors.New("third field is no path")
	case err2 != nil:
		return nil, nil, errors.New("fourth field is neither TRUE nor FALSE")
	case err3 != nil:
		return nil, nil, errors.New("fifth field is no time in Unix seconds")
	case c.Name == "":
		return nil, nil, errors.New("sixth field, the name, is empty")
	case strings.ContainsAny(c.Name, "=") || strings.ContainsFunc(c.Name+c.Value, noCookieRune):
		return nil, nil, errors.New("sixth and seventh field, name and value, have characters no cookie may have")
	}
	if subdomains {
		c.Domain = host
	}
	if expiry > 0 { // 0 is the end of the session
		c.Expires = time.Unix(int64(min(expiry, maxCookieTime)), 0)
	}
	return &url.URL{Scheme: "https", Host: host, Path: "/"}, c, nil
}

// maxCookieTime is the year 9999, in Unix seconds.
const maxCookieTime = 253402300799

// noCookieRune reports whether a character ends a cookie or a field of a request, so
// that it must not stand in a value (RFC 6265 section 4.1.1).
func noCookieRune(r rune) bool { return r < ' ' || r == 0x7f || r == ';' }

// parseFlag reads TRUE or FALSE, in any case, as files of cookies have it.
func parseFlag(s string) (bool, error) {
	switch {
	case strings.EqualFold(s, "TRUE"):
		return true, nil
	case strings.EqualFold(s, "FALSE"):
		return false, nil
	}
	return false, strconv.ErrSyntax
}
