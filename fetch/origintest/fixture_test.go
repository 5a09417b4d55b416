package origintest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"dlfs/cache/hosttest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	hosttest.NeedForExamples(hosttest.Loopback())
	goleak.VerifyTestMain(m)
}

const size = 100_000

var content = Content{Seed: 1, Size: size}

// fixture is an Origin that shows content at /a.tar, and a plain client.
type fixture struct {
	*Origin
	t      testing.TB
	url    string
	client *http.Client
}

func newFixture(t testing.TB) *fixture {
	o := New()
	o.Put("/a.tar", File{Content: content})
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(client.CloseIdleConnections)
	return &fixture{o, t, o.Serve(t), client}
}

func newPipeFixture(t testing.TB) *fixture {
	o := New()
	o.Put("/a.tar", File{Content: content})
	return &fixture{o, t, "http://origin", o.ServePipe(t).Client()}
}

// answer is all that a client sees.
type answer struct {
	status  int
	header  http.Header
	length  int64 // Content-Length, -1 for none
	body    []byte
	err     error // of the request
	bodyErr error // of the body
}

// ask sends a request and reads the whole answer. The header is pairs.
func (x *fixture) ask(method, path string, header ...string) answer {
	x.t.Helper()
	return x.askCtx(x.t.Context(), method, path, header...)
}

func (x *fixture) askCtx(ctx context.Context, method, path string, header ...string) answer {
	x.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, x.url+path, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := x.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, resp.ContentLength, body, nil, err}
}

// get gets /a.tar, with this Range header if not empty.
func (x *fixture) get(rang string) answer {
	x.t.Helper()
	if rang == "" {
		return x.ask("GET", "/a.tar")
	}
	return x.ask("GET", "/a.tar", "Range", rang)
}

// expect returns a check of one answer to a.
func (a answer) expect(t testing.TB) *expectation {
	t.Helper()
	if a.err != nil {
		t.Fatalf("request: %v", a.err)
	}
	return &expectation{a, t}
}

// expectation checks parts of an answer, as prose.
type expectation struct {
	answer
	t testing.TB
}

func (e *expectation) code(want int) *expectation {
	e.t.Helper()
	if e.status != want {
		e.t.Errorf("status: got %d, want %d", e.status, want)
	}
	return e
}

// field checks a header field; want is empty for one that is not there.
func (e *expectation) field(key, want string) *expectation {
	e.t.Helper()
	if got := strings.Join(e.header.Values(key), "; "); got != want {
		e.t.Errorf("%s: got %q, want %q", key, got, want)
	}
	return e
}

func (e *expectation) contentLength(want int64) *expectation {
	e.t.Helper()
	if e.length != want {
		e.t.Errorf("Content-Length: got %d, want %d", e.length, want)
	}
	return e
}

// bytesAt checks that the body is [off +n) of content and came without error.
func (e *expectation) bytesAt(off, n int64) *expectation {
	e.t.Helper()
	if e.bodyErr != nil {
		e.t.Errorf("body: %v", e.bodyErr)
	}
	return e.bytesUntilEnd(off, n)
}

// bytesUntilEnd checks that the body is [off +n) of content, however it ended.
func (e *expectation) bytesUntilEnd(off, n int64) *expectation {
	e.t.Helper()
	if int64(len(e.body)) != n {
		e.t.Errorf("body: got %d bytes, want %d", len(e.body), n)
	}
	if err := content.Check(e.body, off); err != nil {
		e.t.Errorf("body: %v", err)
	}
	return e
}

// text checks that the body contains want.
func (e *expectation) text(want string) *expectation {
	e.t.Helper()
	if e.bodyErr != nil || !strings.Contains(string(e.body), want) {
		e.t.Errorf("body: got %.200q, %v; want …%q…", e.body, e.bodyErr, want)
	}
	return e
}

func wantHits(t testing.TB, f *Fault, want int) {
	t.Helper()
	if got := f.Hits(); got != want {
		t.Errorf("%v: %d hits, want %d", f, got, want)
	}
}

// advance moves the fake clock of a bubble on. What is due meanwhile happens.
func advance(d time.Duration) { <-time.After(d) }
