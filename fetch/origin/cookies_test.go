package origin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// sent is what a jar would have sent to a URL, as "a=1; b=2".
func sent(t *testing.T, c *Credentials, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return c.cookies(u)
}

func TestCookiesGoWhereTheFileSays(t *testing.T) {
	tests := []struct {
		name, line string
		to, notTo  []string
	}{
		{"of a host", "h.example\tFALSE\t/\tFALSE\t0\ta\t1",
			[]string{"http://h.example/x", "https://h.example:8443/"}, []string{"http://sub.h.example/", "http://example/"}},
		{"of a domain", ".h.example\tTRUE\t/\tFALSE\t0\ta\t1",
			[]string{"http://h.example/x", "http://sub.h.example/"}, []string{"http://xh.example/", "http://example/"}},
		{"of a domain, without the dot", "H.Example\ttrue\t/\tfalse\t0\ta\t1",
			[]string{"http://sub.h.example/"}, nil},
		{"secure", "h.example\tFALSE\t/\tTRUE\t0\ta\t1", []string{"https://h.example/"}, []string{"http://h.example/"}},
		{"of a path", "h.example\tFALSE\t/data\tFALSE\t0\ta\t1",
			[]string{"http://h.example/data", "http://h.example/data/x"}, []string{"http://h.example/", "http://h.example/database"}},
		{"HttpOnly", "#HttpOnly_h.example\tFALSE\t/\tFALSE\t0\ta\t1", []string{"http://h.example/"}, nil},
		{"for a while", "h.example\tFALSE\t/\tFALSE\t4102444800\ta\t1", []string{"http://h.example/"}, nil},
		{"for ever", "h.example\tFALSE\t/\tFALSE\t99999999999999999999\ta\t1", []string{"http://h.example/"}, nil},
		{"with a fraction", "h.example\tFALSE\t/\tFALSE\t4102444800.5\ta\t1", []string{"http://h.example/"}, nil},
		{"expired", "h.example\tFALSE\t/\tFALSE\t900000000\ta\t1", nil, []string{"http://h.example/"}},
		{"of an address", "192.0.2.1\tFALSE\t/\tFALSE\t0\ta\t1", []string{"http://192.0.2.1/"}, []string{"http://192.0.2.2/"}},
		{"of a public suffix", ".co.uk\tTRUE\t/\tFALSE\t0\ta\t1", nil, []string{"http://h.co.uk/"}},
		{"comment", "# h.example\tFALSE\t/\tFALSE\t0\ta\t1", nil, []string{"http://h.example/"}},
		{"carriage return", "h.example\tFALSE\t/\tFALSE\t0\ta\t1\r", []string{"http://h.example/"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			jar, _, err := LoadCookies(strings.NewReader("# Netscape HTTP Cookie File\n\n" + tt.line + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			c := &Credentials{Jar: jar}
			for _, u := range tt.to {
				if got := sent(t, c, u); got != "a=1" {
					t.Errorf("%s gets %q", u, got)
				}
			}
			for _, u := range tt.notTo {
				if got := sent(t, c, u); got != "" {
					t.Errorf("%s gets %q", u, got)
				}
			}
		})
	}
}

func TestCookieValuesAreSentAsTheyAre(t *testing.T) {
	for _, value := range []string{"", `"quoted"`, `{"json": [1, 2]}`, "a=b==", "späte"} {
		jar, _, err := LoadCookies(strings.NewReader("h.example\tFALSE\t/\tFALSE\t0\ta\t" + value))
		if err != nil {
			t.Fatal(err)
		}
		if got := sent(t, &Credentials{Jar: jar}, "http://h.example/"); got != "a="+value {
			t.Errorf("%q is sent as %q", value, got)
		}
	}
}

// One odd line costs that line.
func TestOddLineOfACookieFile(t *testing.T) {
	good := "h.example\tFALSE\t/\tFALSE\t0\ta\t1\n"
	jar, odd, err := LoadCookies(strings.NewReader("# x\nh.example FALSE / FALSE 0 b secret\n" + good))
	if err != nil || len(odd) != 1 || !strings.HasPrefix(odd[0].Error(), "cookies: line 2: ") || strings.Contains(odd[0].Error(), "secret") {
		t.Fatalf("%v, %v", odd, err)
	}
	if got := sent(t, &Credentials{Jar: jar}, "http://h.example/"); got != "a=1" {
		t.Errorf("got %q", got)
	}
}

func TestCookiesExpireWhileTheJobRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where it is 2000
		jar, _, err := LoadCookies(strings.NewReader("h.example\tFALSE\t/\tFALSE\t946688400\ta\t1"))
		if err != nil {
			t.Fatal(err)
		}
		c := &Credentials{Jar: jar}
		if got := sent(t, c, "http://h.example/"); got != "a=1" {
			t.Errorf("got %q", got)
		}
		pass(time.Hour)
		if got := sent(t, c, "http://h.example/"); got != "" {
			t.Errorf("got %q an hour later", got)
		}
	})
}

func TestCookieErrorsNameTheLineAndNoValue(t *testing.T) {
	for line, want := range map[string]string{
		"secret":                              "1 fields with tabs between, want 7",
		"h TRUE / TRUE 0 a secret":            "1 fields with tabs between, want 7",
		"h\tTRUE\t/\tTRUE\t0\ta\tb\tsecret":   "8 fields with tabs between, want 7",
		"\tTRUE\t/\tTRUE\t0\ta\tsecret":       "first field is no host",
		"h/secret\tTRUE\t/\tTRUE\t0\ta\tb":    "first field is no host",
		"h\tsecret\t/\tTRUE\t0\ta\tb":         "second field is neither TRUE nor FALSE",
		"h\tTRUE\tsecret\tTRUE\t0\ta\tb":      "third field is no path",
		"h\tTRUE\t/\t1\t0\ta\tsecret":         "fourth field is neither TRUE nor FALSE",
		"h\tTRUE\t/\tTRUE\tsecret\ta\tb":      "fifth field is no time in Unix seconds",
		"h\tTRUE\t/\tTRUE\t0\t\tsecret":       "sixth field, the name, is empty",
		"h\tTRUE\t/\tTRUE\t0\ta\tsecret; x=y": "sixth and seventh field, name and value, have characters no cookie may have",
	} {
		_, _, err := LoadCookies(strings.NewReader("# x\n\n" + line + "\n"))
		if err == nil || err.Error() != "cookies: line 3: "+want {
			t.Errorf("%q: got %v", line, err)
		}
	}
	if _, _, err := LoadCookies(strings.NewReader("# x\n" + strings.Repeat("secret", 1<<18))); err == nil ||
		!strings.HasPrefix(err.Error(), "cookies: line 2: ") || strings.Contains(err.Error(), "secret") {
		t.Errorf("line without end: got %v", err)
	}
}

// TestCookiesAreBounded: an origin that sets a cookie of another name in each answer
// fills neither the memory nor the header, and does not push out the user's cookies.
func TestCookiesAreBounded(t *testing.T) {
	set, _, err := LoadCookies(strings.NewReader("h.example\tFALSE\t/\tFALSE\t0\tusers\t1"))
	if err != nil {
		t.Fatal(err)
	}
	own := set.(*jar)
	c := &Credentials{Jar: set}
	answer := func(host string, cookie *http.Cookie) {
		set.SetCookies(&url.URL{Scheme: "https", Host: host, Path: "/dir/x"}, []*http.Cookie{cookie})
	}
	for i := range 1000 {
		answer("h.example", &http.Cookie{Name: fmt.Sprint("short", i), Value: "1", Path: "/"})
	}
	got := strings.Split(sent(t, c, "https://h.example/dir/y"), "; ")
	if len(got) != maxSiteCookies+1 || got[0] != "users=1" || got[1] != "short820=1" || got[maxSiteCookies] != "short999=1" {
		t.Errorf("%d cookies are sent: %q", len(got), got)
	}
	for i := range 1000 {
		answer(fmt.Sprintf("s%d.h.example", i%7), &http.Cookie{Name: fmt.Sprint("long", i), Value: strings.Repeat("x", 1000), Domain: "h.example"})
	}
	line := sent(t, c, "https://h.example/dir/y")
	if len(line) > maxCookieLine || len(line) < maxCookieLine-1100 || !strings.Contains(line, "users=1") || !strings.Contains(line, "long999=") {
		t.Errorf("%d bytes are sent: %.200s", len(line), line)
	}
	answer("h.example", &http.Cookie{Name: "huge", Value: strings.Repeat("x", maxCookieBytes), Path: "/"})
	if line := sent(t, c, "https://h.example/dir/y"); strings.Contains(line, "huge") {
		t.Error("a cookie of any length is kept")
	}
	for i := range 2 * maxCookies {
		answer(fmt.Sprintf("h%d.example", i), &http.Cookie{Name: "a", Value: "1"})
	}
	if len(own.set) != maxCookies || len(own.count) != maxCookies {
		t.Errorf("%d cookies of %d sites are kept", len(own.set), len(own.count))
	}
	if line := sent(t, c, "https://h1.example/dir/y"); line != "" {
		t.Errorf("the oldest is kept: %q", line)
	}
}

// TestCookieThatIsSetAgainIsOne: neither setting it again nor taking it back counts
// as another one.
func TestCookieThatIsSetAgainIsOne(t *testing.T) {
	own := newJar()
	u := &url.URL{Scheme: "https", Host: "h.example", Path: "/dir/x"}
	for i := range 500 {
		own.SetCookies(u, []*http.Cookie{{Name: "a", Value: fmt.Sprint(i)}, {Name: "b", Value: "1", Path: "/"}})
	}
	if got := sent(t, &Credentials{Jar: own}, "https://h.example/dir/y"); got != "a=499; b=1" || len(own.set) != 2 {
		t.Errorf("got %q; %d are kept", got, len(own.set))
	}
	own.SetCookies(u, []*http.Cookie{{Name: "a", MaxAge: -1}})
	if got := sent(t, &Credentials{Jar: own}, "https://h.example/dir/y"); got != "b=1" || len(own.set) != 1 {
		t.Errorf("got %q; %d are kept", got, len(own.set))
	}
}
