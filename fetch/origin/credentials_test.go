package origin

import (
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// dressed returns the headers that a request to u gets, of a list's URL.
func dressed(t *testing.T, c *Credentials, u, list string, own http.Header) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := url.Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	c.dress(req, l, own)
	return req
}

func netrcOf(t *testing.T, text string) *Netrc {
	t.Helper()
	n, err := parseNetrc(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Who is told what, of a list's URL that redirects.
func TestHeadersGoToTheirOriginAlone(t *testing.T) {
	const list = "https://h.example/a?token=1"
	tests := []struct {
		name, list, to string
		home           bool   // gets what is for the list's origin
		login          string // of the netrc, "" if none is to be sent
	}{
		{"the same", list, "https://h.example/b", true, "h"},
		{"in other words", list, "HTTPS://H.Example:443/b", true, "h"},
		{"another port", list, "https://h.example:8443/a", false, "h"},
		{"another host", list, "https://other.example/a", false, "other"},
		{"another host without a login", list, "https://third.example/a", false, ""},
		{"subdomain", list, "https://sub.h.example/a", false, ""},
		{"parent domain", list, "https://example/a", false, ""},
		{"http", list, "http://h.example/a", false, ""},
		{"http at the port of https", list, "http://h.example:443/a", false, ""},
		{"another host by http", list, "http://other.example/a", false, ""},
		{"from http", "http://h.example/a", "http://h.example:80/a", true, "h"},
		{"from http to https", "http://h.example/a", "https://h.example/a", false, "h"},
		{"from http to another host", "http://h.example/a", "http://other.example/a", false, "other"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &Credentials{
				Netrc:   netrcOf(t, "machine h.example login h password x machine other.example login other password x default login any password x"),
				Header:  http.Header{"X-Global": {"g"}, "X-Both": {"g"}},
				Referer: "https://page.example/?q", UserAgent: "tester/1",
			}
			req := dressed(t, c, tt.to, tt.list, http.Header{"x-own": {"o", "p"}, "X-Both": {"o"}})
			want := http.Header{"User-Agent": {"tester/1"}}
			if tt.home {
				want["X-Global"], want["X-Own"], want["X-Both"] = []string{"g"}, []string{"o", "p"}, []string{"o"}
				want["Referer"] = []string{"https://page.example/?q"}
			}
			if tt.login != "" {
				want["Authorization"] = []string{basic(tt.login, "x")}
			}
			if !maps.EqualFunc(req.Header, want, slices.Equal) {
				t.Errorf("got %v, want %v", req.Header, want)
			}

			c.Netrc, c.Bearer = nil, "token"
			auth, wantAuth := dressed(t, c, tt.to, tt.list, nil).Header.Get("Authorization"), ""
			if tt.home {
				wantAuth = "Bearer token"
			}
			if auth != wantAuth {
				t.Errorf("got %q, want %q", auth, wantAuth)
			}

			c.Bearer = ""
			withUser := strings.Replace(tt.list, "://", "://joe:secret@", 1)
			if auth = dressed(t, c, tt.to, withUser, nil).Header.Get("Authorization"); (auth == basic("joe", "secret")) != tt.home || (auth != "") != tt.home {
				t.Errorf("for the user of the URL got %q", auth)
			}
		})
	}
}

func TestFirstAuthorizationCounts(t *testing.T) {
	const (
		list   = "https://h.example/a"
		joined = "https://joe:secret@h.example/a"
	)
	netrc := "machine h.example login n password np machine h.example login joe password jp"
	header := func(v string) http.Header { return http.Header{"authorization": {v}} }
	tests := []struct {
		name, to, list, netrc, bearer string
		own, global                   http.Header
		want                          string
	}{
		{"own", joined, joined, netrc, "token", header("own"), header("global"), "own"},
		{"command line", joined, joined, netrc, "token", nil, header("global"), "global"},
		{"the URL", joined, list, netrc, "token", nil, nil, basic("joe", "secret")},
		{"the list's URL", list, joined, netrc, "token", nil, nil, basic("joe", "secret")},
		{"bearer", list, list, netrc, "token", nil, nil, "Bearer token"},
		{"netrc", list, list, netrc, "", nil, nil, basic("n", "np")},
		{"netrc, for a user", "https://joe@h.example/a", list, netrc, "", nil, nil, basic("joe", "jp")},
		{"a user the netrc has not", "https://x@h.example/a", list, netrc, "", nil, nil, basic("x", "")},
		{"default of the netrc", list, list, "default login d password dp", "", nil, nil, basic("d", "dp")},
		{"none wanted", joined, joined, netrc, "token", header(""), nil, ""},
		{"none", list, list, "", "", nil, nil, ""},
		{"the URL redirected to", "https://x:y@cdn.example/a", joined, "", "token", header("own"), nil, basic("x", "y")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &Credentials{Netrc: netrcOf(t, tt.netrc), Bearer: tt.bearer, Header: tt.global}
			if got := dressed(t, c, tt.to, tt.list, tt.own).Header.Get("Authorization"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestUsersHaveNoSayOfRangesAndFraming(t *testing.T) {
	own := http.Header{}
	for _, name := range []string{"range", "Accept-Encoding", "content-length", "Connection", "If-Range", "TE", "Transfer-Encoding"} {
		own[name] = []string{"x"}
	}
	own["host"], own["Accept"], own["User-Agent"] = []string{"virtual.example"}, []string{"application/octet-stream"}, []string{""}
	req := dressed(t, &Credentials{}, "https://h.example/", "https://h.example/", own)
	if want := (http.Header{"Accept": {"application/octet-stream"}, "User-Agent": nil}); !maps.EqualFunc(req.Header, want, slices.Equal) {
		t.Errorf("got %v, want %v", req.Header, want)
	}
	if req.Host != "virtual.example" {
		t.Errorf("host %q", req.Host)
	}
	if req = dressed(t, &Credentials{}, "https://cdn.example/", "https://h.example/", own); req.Host != "cdn.example" {
		t.Errorf("host %q elsewhere", req.Host)
	}
	own.Set("Accept", "y")
	req.Header.Set("X", "y")
	if len(own) != 10 {
		t.Errorf("the list's headers were changed: %v", own)
	}
}

func TestCookiesOfAResponseAreKept(t *testing.T) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &Credentials{Jar: jar}
	const list = "https://h.example/a"
	login := dressed(t, c, "https://login.example/", list, nil)
	c.note(&http.Response{Request: login, Header: http.Header{"Set-Cookie": {"session=1; Secure", `q="a b"`}}})
	for to, want := range map[string]string{
		"https://login.example/x": `session=1; q="a b"`, "http://login.example/": `q="a b"`, list: "",
	} {
		if got := dressed(t, c, to, list, nil).Header.Get("Cookie"); got != want {
			t.Errorf("%s gets %q, want %q", to, got, want)
		}
	}
	own := http.Header{"Cookie": {"mine=1"}}
	if got := dressed(t, c, "https://login.example/x", "https://login.example/", own).Header.Get("Cookie"); got != `mine=1; session=1; q="a b"` {
		t.Errorf("with the user's own: %q", got)
	}
	(&Credentials{}).note(&http.Response{Request: login, Header: http.Header{"Set-Cookie": {"a=1"}}}) // keeps none
}
