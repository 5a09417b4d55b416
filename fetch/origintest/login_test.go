package origintest

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"testing"

	"github.com/icholy/digest"
)

// A client with cookies comes through the circle, with one request for each cookie.
func TestRedirectForCookie(t *testing.T) {
	o := New()
	o.Put("/a", Text("hello"))
	first, second := RedirectForCookie("first"), RedirectForCookie("second")
	o.Inject(first, second)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	wantHello(t, &http.Client{Jar: jar}, o.Serve(t)+"/a")
	if first.Hits() != 1 || second.Hits() != 1 {
		t.Errorf("%v and %v hits", first.Hits(), second.Hits())
	}
}

// The login of the user is taken, and another one is not.
func TestWantDigest(t *testing.T) {
	o := New()
	o.Put("/a", Text("hello"))
	o.Inject(WantDigest("ann", "secret"))
	base := o.Serve(t)
	wantHello(t, &http.Client{Transport: &digest.Transport{Username: "ann", Password: "secret"}}, base+"/a")
	for _, transport := range []http.RoundTripper{nil, &digest.Transport{Username: "ann", Password: "wrong"}} {
		resp, err := (&http.Client{Transport: transport}).Get(base + "/a")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
}

func wantHello(t *testing.T, c *http.Client, url string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if p, err := io.ReadAll(resp.Body); string(p) != "hello" || err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%d %q, %v", resp.StatusCode, p, err)
	}
}
