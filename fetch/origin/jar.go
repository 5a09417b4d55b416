package origin

import (
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"dlfs/cache/lockorder"
)

// Bounds of what origins may set, as browsers have them. RFC 6265 section 6.1 asks
// for at least 50 cookies a domain, 3,000 in all, and 4,096 bytes a cookie.
const (
	maxSiteCookies = 180
	maxCookies     = 3000
	maxCookieBytes = 4096
	maxCookieLine  = 8000 // bytes of the header; servers take lines of 8 KiB
)

// jar is a cookie jar with bounds: of the cookies that origins set, it gives up
// those first that were set the longest ago. Cookies of the user are not given up.
// It is safe for concurrent use.
type jar struct {
	cookies *cookiejar.Jar

	mu    lockorder.Mutex[lockorder.Leaf]
	set   []setCookie         // by origins, the oldest first; guarded by mu
	count map[string]int      // of set, by site; guarded by mu
	users map[string]struct{} // names of the user's cookies; guarded by mu
}

// setCookie is a cookie that an origin has set, without its value.
type setCookie struct {
	site string
	from *url.URL // that set it: scheme, host and path
	http.Cookie
}

// same reports whether two cookies are one, so that the later one takes the other's place (RFC 6265
// section 5.3, step 11).
func (c *setCookie) same(other *setCookie) bool {
	return c.Name == other.Name && c.Path == other.Path && strings.EqualFold(c.Domain, other.Domain) &&
		c.from.Host == other.from.Host && (c.Path != "" || c.from.Path == other.from.Path)
}

// newJar returns a jar without cookies.
func newJar() *jar {
	cookies, _ := cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List}) // it never fails
	return &jar{cookies: cookies, count: map[string]int{}, users: map[string]struct{}{}}
}

// addUsers adds a cookie that the user has given.
func (j *jar) addUsers(u *url.URL, c *http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.users[c.Name] = struct{}{}
	j.cookies.SetCookies(u, []*http.Cookie{c})
}

// SetCookies keeps cookies that a response to u has set. Cookies that are too long are ignored. If
// the site has maxSiteCookies already, or all sites together maxCookies, the oldest one goes; those
// that the user has given never go for that.
func (j *jar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	from := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path[:strings.LastIndexByte(u.Path, '/')+1]}
	site := siteName(u.Hostname())
	for _, c := range cookies {
		if len(c.Name)+len(c.Value)+len(c.Path)+len(c.Domain) > maxCookieBytes {
			continue
		}
		j.cookies.SetCookies(u, []*http.Cookie{c})
		own := setCookie{site, from, http.Cookie{Name: c.Name, Path: c.Path, Domain: c.Domain}}
		j.removeLocked(slices.IndexFunc(j.set, func(x setCookie) bool { return x.same(&own) }))
		if c.MaxAge < 0 {
			continue // it was taken back
		}
		if j.count[site] == maxSiteCookies {
			j.giveUpLocked(slices.IndexFunc(j.set, func(x setCookie) bool { return x.site == site }))
		} else if len(j.set) == maxCookies {
			j.giveUpLocked(0)
		}
		j.set = append(j.set, own)
		j.count[site]++
	}
}

// giveUpLocked removes the cookie at index i of set.
func (j *jar) giveUpLocked(i int) {
	c := j.set[i]
	c.MaxAge = -1
	j.cookies.SetCookies(c.from, []*http.Cookie{&c.Cookie})
	j.removeLocked(i)
}

// removeLocked takes the cookie at index i out of set; -1 is none.
func (j *jar) removeLocked(i int) {
	if i < 0 {
		return
	}
	site := j.set[i].site
	j.set = slices.Delete(j.set, i, i+1)
	if j.count[site]--; j.count[site] == 0 {
		delete(j.count, site)
	}
}

// Cookies returns the cookies to send to u, no more than fit in a header line that
// servers take.
func (j *jar) Cookies(u *url.URL) []*http.Cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := j.cookies.Cookies(u)
	total := 0
	for _, c := range all {
		total += lineBytes(c)
	}
	for _, old := range j.set {
		if total <= maxCookieLine {
			break
		}
		if _, users := j.users[old.Name]; users || old.site != siteName(u.Hostname()) {
			continue
		}
		if i := slices.IndexFunc(all, func(c *http.Cookie) bool { return c.Name == old.Name }); i >= 0 {
			total -= lineBytes(all[i])
			all = slices.Delete(all, i, i+1)
		}
	}
	return all
}

// lineBytes is what a cookie takes of the header line, with what separates it from
// the next one.
func lineBytes(c *http.Cookie) int { return len(c.Name) + len(c.Value) + len(`="";  `) }

// siteName returns what the hosts of one owner have in common, such as example.co.uk.
func siteName(host string) string {
	host = strings.ToLower(host)
	if net.ParseIP(host) != nil {
		return host
	}
	if site, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return site
	}
	return host
}
