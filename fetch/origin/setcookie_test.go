package origin

import (
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http/httpguts"

	"dlfs/fetch/origintest"
)

// Cookies come back as they were set, or not at all if they were taken back.
func TestCookiesAsTheyWereSet(t *testing.T) {
	for set, want := range map[string]string{
		`k={"a":1}; path=/`:   `k={"a":1}`,
		`k=a"b; path=/`:       `k=a"b`,
		`k="quoted"`:          `k="quoted"`,
		`k=a, b c; Path=/`:    `k=a, b c`,
		` k = v ; Max-Age=60`: `k=v`,
		`k=v; expires=Thu, 01-Jan-70 00:00:01 GMT`:           ``,
		`k=v; expires=Thu Jan  1 00:00:01 1970`:              ``,
		`k=v; expires=Thu, 1 Jan 1970 00:00:01`:              ``,
		`k=v; Max-Age=0`:                                     ``,
		`k=v; Max-Age=-5; expires=Fri, 31 Dec 2999 00:00:00`: ``,
		`k=v; expires=Fri, 31-Dec-2999 23:59:59 GMT`:         `k=v`,
		`k=v; expires=never`:                                 `k=v`,
		`k=v; Domain=elsewhere.example`:                      ``,
		`k=v; secure`:                                        ``,
		`=v`:                                                 ``,
		`novalue`:                                            ``,
		`k=`:                                                 `k=`,
		"k=a\x01b":                                           ``,
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.c.opts.Credentials.Jar = NewJar()
			x.Inject(origintest.Status(302, "Location", "/a.tar", "Set-Cookie", set).On("/start"))
			x.url = x.base + "/start"
			sent := record(x.Origin, func(r *http.Request) string { return r.Header.Get("Cookie") })
			_, p, err := x.get(nil, 0, 10)
			x.wantBytes(p, 10, err)
			if all := sent.all(); all[len(all)-1] != want {
				t.Errorf("%q: sent %q, want %q", set, all[len(all)-1], want)
			}
		})
	}
}

func TestParseCookieDate(t *testing.T) {
	want := time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC)
	for _, s := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"6 november 1994 8:49:37", "08:49:37 1994 Nov 06", "Sun,06/Nov/1994;08:49:37", "06-Nov-1994 08:49:37 +0200",
	} {
		if got, ok := parseCookieDate(s); !ok || !got.Equal(want) {
			t.Errorf("%q: %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "never", "06 Nov 1994", "31 Feb 1994 00:00:00", "06 Nov 1500 00:00:00", "06 Nov 1994 24:00:00", "06 Nov 1994 00:60:00", "0 Nov 1994 00:00:00"} {
		if got, ok := parseCookieDate(s); ok {
			t.Errorf("%q is %v", s, got)
		}
	}
}

// FuzzParseSetCookie: what is kept has a name, and no bytes that end a header.
func FuzzParseSetCookie(f *testing.F) {
	f.Add(`k={"a":1}; path=/; expires=Thu Jan  1 00:00:01 1970`)
	f.Add("k=v; max-age=99999999999999999999; domain=..")
	f.Fuzz(func(t *testing.T, field string) {
		c := parseSetCookie(field, time.Unix(1e9, 0))
		if c != nil && (c.Name == "" || !httpguts.ValidHeaderFieldValue(c.Name+c.Value+c.Path+c.Domain)) {
			t.Errorf("%q: %+v", field, c)
		}
	})
}
