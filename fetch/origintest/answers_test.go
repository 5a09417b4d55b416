package origintest

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// noRedirects makes the client return redirects instead of following them.
func (x *fixture) noRedirects() {
	x.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
}

func TestStatus(t *testing.T) {
	x := newFixture(t)
	f := Status(503, "Retry-After", "3")
	x.Inject(f)
	x.get("bytes=0-9").expect(t).code(503).text("<h1>503 Service Unavailable</h1>").
		field("Retry-After", "3").
		field("Content-Type", "text/html; charset=utf-8").
		field("ETag", "").
		field("Accept-Ranges", "")
	x.ask("GET", "/none").expect(t).code(503)
	x.ask("HEAD", "/a.tar").expect(t).code(503)
	wantHits(t, f, 3)
	x.Clear()
	x.Inject(Status(416, "Content-Range", "bytes */7").Times(1), Status(304))
	x.get("bytes=0-9").expect(t).code(416).field("Content-Range", "bytes */7")
	x.get("").expect(t).code(304).field("Content-Type", "").contentLength(0)
}

func TestRefuseHead(t *testing.T) {
	x := newFixture(t)
	f := RefuseHead(405)
	x.Inject(f)
	x.ask("HEAD", "/a.tar").expect(t).code(405)
	x.get("").expect(t).code(200).bytesAt(0, size)
	wantHits(t, f, 1)
}

func TestPage(t *testing.T) {
	for _, status := range []int{200, 403, 511} {
		x := newFixture(t)
		f := Page(status)
		x.Inject(f)
		for _, rang := range []string{"", "bytes=10-19"} {
			x.get(rang).expect(t).code(status).text("Sign in").contentLength(int64(len(loginHTML))).
				field("Content-Type", "text/html; charset=utf-8").
				field("Content-Range", "").
				field("ETag", "")
		}
		wantHits(t, f, 2)
	}
}

func TestPage206(t *testing.T) {
	x := newFixture(t)
	f := Page(206)
	x.Inject(f)
	x.get("").expect(t).code(200).text("Sign in")
	x.get("bytes=10-19").expect(t).code(206).text("<!DOCTYPE ").contentLength(10).
		field("Content-Range", "bytes 10-19/100000").
		field("Content-Type", "text/html; charset=utf-8")
	a := x.get("bytes=10-50009")
	a.expect(t).code(206).text("Sign in").contentLength(50_000)
	if rest := a.body[len(loginHTML):]; strings.Trim(string(rest), " ") != "" {
		t.Errorf("not filled with spaces")
	}
	x.Inject(WrongContentRange("bytes 0-9/10"))
	x.get("bytes=10-19").expect(t).code(206).field("Content-Range", "bytes 0-9/10")
	wantHits(t, f, 4)
}

func TestRedirect(t *testing.T) {
	x := newFixture(t)
	f := Redirect(302, "/a.tar?x=%2F").On("/old")
	x.Inject(f)
	x.ask("GET", "/old", "Range", "bytes=5-9").expect(t).code(206).bytesAt(5, 5)
	if got := x.Log()[1].Query; got != "x=%2F" {
		t.Errorf("query %q", got)
	}
	x.noRedirects()
	x.ask("GET", "/old").expect(t).code(302).field("Location", "/a.tar?x=%2F")
	wantHits(t, f, 2)
}

func TestRedirectLoop(t *testing.T) {
	x := newFixture(t)
	f := RedirectLoop()
	x.Inject(f)
	if a := x.ask("GET", "/a.tar?k=v"); a.err == nil || !strings.Contains(a.err.Error(), "stopped after 10 redirects") {
		t.Errorf("got %v", a.err)
	}
	wantHits(t, f, 10)
	x.noRedirects()
	x.ask("GET", "/a.tar?k=v").expect(t).code(302).field("Location", "/a.tar?k=v")
}

func TestRedirectSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPipeFixture(t)
		sign := RedirectSigned(307, "/cdn/a b.tar", 2*time.Second).On("/a.tar")
		require := RequireSigned().On("/cdn/*")
		x.Put("/cdn/a b.tar", File{Content: content})
		x.Inject(sign, require)
		x.get("").expect(t).code(200).bytesAt(0, size)
		wantHits(t, require, 0)

		x.noRedirects()
		target := x.get("").expect(t).code(307).header.Get("Location")
		x.ask("GET", target, "Range", "bytes=0-9").expect(t).code(206).bytesAt(0, 10)
		for _, broken := range []string{
			strings.ReplaceAll(target, "%2F", "/"),
			strings.ReplaceAll(target, "+", "%20"),
			strings.ReplaceAll(target, "~", "%7E"),
			strings.ReplaceAll(target, "%c3", "%C3"),
			target + "&k=v",
			target[:strings.Index(target, "?")],
			strings.Replace(target, "Expires=9", "Expires=8", 1) + "0",
		} {
			x.ask("GET", broken).expect(t).code(400)
		}
		advance(2*time.Second - time.Nanosecond) // fake time, as all of this
		x.ask("GET", target).expect(t).code(200)
		advance(time.Nanosecond)
		x.ask("GET", target).expect(t).code(403)
		x.ask("GET", x.get("").header.Get("Location")).expect(t).code(200)
		wantHits(t, sign, 3)
		wantHits(t, require, 8)
	})
}

func TestSwap(t *testing.T) {
	x := newFixture(t)
	next := Content{Seed: 2, Size: size / 2}
	f := Swap(File{Content: next}).On("*.tar").After(1)
	x.Inject(f)
	before := x.get("bytes=0-9")
	before.expect(t).code(206).bytesAt(0, 10)
	for range 2 {
		after := x.get("bytes=10-19")
		after.expect(t).code(206).field("Content-Range", "bytes 10-19/50000")
		if err := next.Check(after.body, 10); err != nil {
			t.Error(err)
		}
		if after.header.Get("ETag") == before.header.Get("ETag") {
			t.Error("the ETag is the same")
		}
	}
	x.get("bytes=60000-").expect(t).code(416).field("Content-Range", "bytes */50000")
	wantHits(t, f, 1)
}

func TestLimitOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPipeFixture(t)
		limit := LimitOpen(2, 429, "Retry-After", "1")
		x.Inject(limit, FirstByteAfter(time.Second).On("/a.tar"))
		got := make(chan answer, 2)
		for range 2 {
			go func() { got <- x.get("") }() // awaited below
		}
		synctest.Wait()
		for range 3 {
			x.ask("GET", "/other").expect(t).code(429).field("Retry-After", "1")
		}
		for range 2 {
			(<-got).expect(t).code(200).bytesAt(0, size)
		}
		synctest.Wait()
		x.get("").expect(t).code(200)
		wantHits(t, limit, 3)
	})
}

func TestLimitRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPipeFixture(t)
		limit := LimitRate(2, time.Second, 429)
		x.Inject(limit)
		for range 3 {
			x.get("").expect(t).code(200)
			x.get("").expect(t).code(200)
			x.get("").expect(t).code(429)
			x.get("").expect(t).code(429)
			advance(time.Second) // fake time
		}
		wantHits(t, limit, 6)
	})
}
