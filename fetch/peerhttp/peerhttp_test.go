package peerhttp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dlfs/cache/hosttest"
	"dlfs/fetch/peers"
)

var (
	content = []byte("0123456789")
	version = Version{10, `"tag"`, "Mon, 02 Jan 2006 15:04:05 GMT"}
)

func newKey(t *testing.T, secret string) *Key {
	t.Helper()
	k, err := NewKey([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// serve serves h, and returns a client and the name of the server.
func serve(t *testing.T, h http.HandlerFunc, opts Options) (*Client, string) {
	hosttest.Need(t, hosttest.Loopback())
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c := New(opts)
	t.Cleanup(c.Close)
	return c, strings.TrimPrefix(s.URL, "http://")
}

func outcome(t *testing.T, err error) (peers.Outcome, []string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want one of a peer", err)
	}
	return e.Outcome, e.Named
}

func TestQuestionIsReadAsAsked(t *testing.T) {
	var got Asked
	c, peer := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var err error
		if got, err = ReadRequest(r); err != nil {
			t.Error(err)
		}
		if got.N == 0 {
			Give(w, version, "sha256:00", 0, 0)
			return
		}
		Give(w, version, "sha256:00", got.Off, got.N)
		if !got.Head {
			w.Write(content[got.Off : got.Off+got.N])
		}
	}, Options{Self: "me:1"})
	ctx := t.Context()
	for _, name := range []string{"a", "dir/b c.bin", "100%", "?x#y", "é", `back\slash`, "a;b&c=d"} {
		q := Question{Name: name, Off: 2, N: 5, Cached: true, Urgent: true}
		b, err := c.Get(ctx, peer, q, version)
		if err != nil {
			t.Fatal(err)
		}
		bytes, err := io.ReadAll(b)
		if string(bytes) != "23456" || err != nil || b.Digest() != "sha256:00" {
			t.Errorf("%q gives %q, %v", name, bytes, err)
		}
		b.Close()
		if want := (Asked{Question: q, Peer: "me:1"}); got != want {
			t.Errorf("asked %+v, want %+v", got, want)
		}
	}
	if err := c.Has(ctx, peer, Question{Name: "a", Off: 0, N: 10}, version); err != nil || !got.Head || !got.Cached || got.Urgent {
		t.Errorf("Has: %v, asked %+v", err, got)
	}
	c.Through()
	v, said, err := c.Version(ctx, peer, Question{Name: "a"})
	if v != version || said != "sha256:00" || err != nil || !got.Through || got.N != 0 {
		t.Errorf("Version: %v %q %v, asked %+v", v, said, err, got)
	}
	if c.Received() != 7*5 {
		t.Errorf("received %d bytes", c.Received())
	}
}

func TestRefusalTellsWhyAndWhoMayHaveIt(t *testing.T) {
	for _, o := range []peers.Outcome{peers.Busy, peers.Absent, peers.Unfit, peers.Full} {
		c, peer := serve(t, func(w http.ResponseWriter, r *http.Request) {
			Refuse(w, o, "https", []string{"n1:3537", "[::1]:3537"}, "dir/a b")
		}, Options{})
		_, err := c.Get(t.Context(), peer, Question{Name: "dir/a b", N: 1}, version)
		if got, named := outcome(t, err); got != o || !slices.Equal(named, []string{"n1:3537", "[::1]:3537"}) {
			t.Errorf("outcome %d is read as %d with %v", o, got, named)
		}
	}
	c := New(Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, _, err = c.ID(t.Context(), l.Addr().String())
	if got, _ := outcome(t, err); got != peers.Dead {
		t.Errorf("a refused connection is outcome %d", got)
	}
}

// The version and the first bytes come with one request, of a file of any length.
func TestFirstBytesTellTheVersion(t *testing.T) {
	for _, tt := range []struct {
		size, want int64
		answer     string // the Content-Range; "" for none, with status 200
		of         int64  // Content-Length
		ok         bool
	}{
		{10, 4, "bytes 0-3/10", 4, true},
		{10, 10, "bytes 0-9/10", 10, true},
		{10, 100, "bytes 0-9/10", 10, true},
		{0, 100, "", 0, true},
		{10, 100, "", 10, false}, // a whole file is no answer to a range
		{10, 4, "bytes 0-9/10", 10, false},
		{10, 4, "bytes 0-2/10", 3, false},
		{10, 4, "bytes 1-4/10", 4, false},
		{10, 4, "bytes 0-3/*", 4, false},
	} {
		c, peer := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if a, err := ReadRequest(r); err != nil || a.Off != 0 || a.N != tt.want || a.Head {
				t.Errorf("asked %+v, %v", a, err)
			}
			w.Header().Set("ETag", version.ETag)
			w.Header().Set("Content-Length", strconv.FormatInt(tt.of, 10))
			if tt.answer != "" {
				w.Header().Set("Content-Range", tt.answer)
				w.WriteHeader(http.StatusPartialContent)
			}
			w.Write(content[:tt.of])
		}, Options{})
		v, b, err := c.First(t.Context(), peer, Question{Name: "a", N: tt.want})
		if !tt.ok {
			if o, _ := outcome(t, err); o != peers.Unfit {
				t.Errorf("%+v: outcome %d", tt, o)
			}
			continue
		}
		if err != nil || v != (Version{Size: tt.size, ETag: version.ETag}) {
			t.Fatalf("%+v: version %v, %v", tt, v, err)
		}
		if got, err := io.ReadAll(b); !bytes.Equal(got, content[:tt.of]) || err != nil {
			t.Errorf("%+v: %q, %v", tt, got, err)
		}
		b.Close()
	}
}

// An answer is used only if it is about the bytes that were asked for, of the same version.
func TestLyingAnswerIsNotUsed(t *testing.T) {
	honest := func(h http.Header) {
		h.Set("ETag", version.ETag)
		h.Set("Last-Modified", version.LastModified)
		h.Set("Content-Range", "bytes 2-6/10")
		h.Set("Content-Length", "5")
	}
	for name, lie := range map[string]func(h http.Header) int{
		"whole file":         func(h http.Header) int { h.Del("Content-Range"); return 200 },
		"other place":        func(h http.Header) int { h.Set("Content-Range", "bytes 3-7/10"); return 206 },
		"other total":        func(h http.Header) int { h.Set("Content-Range", "bytes 2-6/11"); return 206 },
		"unknown total":      func(h http.Header) int { h.Set("Content-Range", "bytes 2-6/*"); return 206 },
		"other tag":          func(h http.Header) int { h.Set("ETag", `"other"`); return 206 },
		"no tag, other date": func(h http.Header) int { h.Del("ETag"); h.Set("Last-Modified", "x"); return 206 },
		"no validator":       func(h http.Header) int { h.Del("ETag"); h.Del("Last-Modified"); return 206 },
		"other length":       func(h http.Header) int { h.Set("Content-Length", "4"); return 206 },
		"redirect":           func(h http.Header) int { h.Set("Location", "/f/other"); return 302 },
	} {
		c, peer := serve(t, func(w http.ResponseWriter, r *http.Request) {
			honest(w.Header())
			w.WriteHeader(lie(w.Header()))
			w.Write(make([]byte, 5))
		}, Options{})
		_, err := c.Get(t.Context(), peer, Question{Name: "a", Off: 2, N: 5}, version)
		if o, _ := outcome(t, err); o != peers.Unfit {
			t.Errorf("%s: outcome %d, %v", name, o, err)
		}
	}
}

func TestVersionsAreTheSame(t *testing.T) {
	for _, c := range []struct {
		a, b Version
		same bool
	}{
		{Version{1, "", ""}, Version{1, "", ""}, true},
		{Version{1, "", ""}, Version{2, "", ""}, false},
		{Version{1, "a", "x"}, Version{1, "a", "y"}, true},
		{Version{1, "a", "x"}, Version{1, "b", "x"}, false},
		{Version{1, "a", "x"}, Version{1, "", "x"}, true},
		{Version{1, "a", ""}, Version{1, "", ""}, false},
		{Version{1, "", "x"}, Version{1, "", "y"}, false},
	} {
		if c.a.same(c.b) != c.same || c.b.same(c.a) != c.same {
			t.Errorf("%v and %v: want %v", c.a, c.b, c.same)
		}
	}
}

func TestBodyThatBreaksOffIsAnError(t *testing.T) {
	c, peer := serve(t, func(w http.ResponseWriter, r *http.Request) {
		Give(w, version, "", 0, 10)
		w.Write(content[:4])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}, Options{})
	b, err := c.Get(t.Context(), peer, Question{Name: "a", N: 10}, version)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got, err := io.ReadAll(b)
	if o, _ := outcome(t, err); o != peers.Absent || !bytes.Equal(got, content[:4]) {
		t.Errorf("read %q, outcome %d, %v", got, o, err)
	}
}

func TestWhatIsNoRequestOfAPeer(t *testing.T) {
	for _, c := range []struct{ method, path, ranges string }{
		{"POST", "/f/a", "bytes=0-1"}, {"GET", "/f/", "bytes=0-1"}, {"GET", "/", "bytes=0-1"}, {"GET", "/g/a", "bytes=0-1"},
		{"GET", "/f/a", ""}, {"GET", "/f/a", "bytes=1-0"}, {"GET", "/f/a", "bytes=-5"}, {"GET", "/f/a", "bytes=5-"},
		{"GET", "/f/a", "bytes=0-1,3-4"}, {"HEAD", "/f/a", "lines=0-1"},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		if c.ranges != "" {
			r.Header.Set("Range", c.ranges)
		}
		if a, err := ReadRequest(r); err == nil {
			t.Errorf("%v is read as %+v", c, a)
		}
	}
}

// secured returns a server that has one key asked by a client that has another.
func secured(t *testing.T, server, client *Key) error {
	hosttest.Need(t, hosttest.Loopback())
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { WriteID(w, "me") }))
	s.TLS = server.TLS()
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	opts := Options{}
	if client != nil {
		opts.TLS = client.TLS()
	}
	c := New(opts)
	t.Cleanup(c.Close)
	id, _, err := c.ID(t.Context(), s.Listener.Addr().String())
	if err == nil && id != "me" {
		t.Errorf("id is %q", id)
	}
	return err
}

func TestOnlyTheSameKeyOpens(t *testing.T) {
	const secret = "a secret of many bytes"
	if err := secured(t, newKey(t, secret), newKey(t, secret)); err != nil {
		t.Errorf("with the same key: %v", err)
	}
	if err := secured(t, newKey(t, secret), newKey(t, secret+"!")); !errors.Is(err, errOtherKey) {
		t.Errorf("with another key: %v", err)
	}
	if err := secured(t, newKey(t, secret), nil); err == nil {
		t.Error("without TLS it answers")
	}
	if _, err := NewKey([]byte("short")); err == nil {
		t.Error("a short key is taken")
	}
}

// A server with a key does not answer a client that shows no certificate, or one of another key.
func TestServerRefusesOtherCertificates(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Error("a request is let in") }))
	s.TLS = newKey(t, "a secret of many bytes").TLS()
	s.StartTLS()
	defer s.Close()
	for name, cfg := range map[string]*Key{"none": nil, "another": newKey(t, "another secret of bytes")} {
		conf := newKey(t, "another secret of bytes").TLS()
		conf.VerifyConnection = nil // the client looks at nothing
		if cfg == nil {
			conf.Certificates = nil
		}
		c := New(Options{TLS: conf})
		if _, _, err := c.ID(t.Context(), s.Listener.Addr().String()); err == nil {
			t.Errorf("%s certificate: it answers", name)
		}
		c.Close()
	}
}

func TestSignedRequests(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	key, other, now := newKey(t, "a secret of many bytes"), newKey(t, "another secret of bytes"), time.Now()
	signed := func(change func(*http.Request)) *http.Request {
		r := request("GET", "http", "n1:1", Question{Name: "dir/a b", Off: 1, N: 2})
		key.sign(r, now)
		change(r)
		return r
	}
	nothing := func(*http.Request) {}
	if !key.Signed(signed(nothing), now.Add(4*time.Minute)) {
		t.Error("a signed request is refused")
	}
	if key.Signed(signed(nothing), now.Add(6*time.Minute)) || key.Signed(signed(nothing), now.Add(-6*time.Minute)) {
		t.Error("an old request is taken")
	}
	if other.Signed(signed(nothing), now) {
		t.Error("a request signed with another key is taken")
	}
	for name, change := range map[string]func(*http.Request){
		"path":  func(r *http.Request) { r.URL.Path = "/f/other" },
		"range": func(r *http.Request) { r.Header.Set("Range", "bytes=0-9") },
		"peer":  func(r *http.Request) { r.Header.Set(peerField, "n9:1") },
		"none":  func(r *http.Request) { r.Header.Del("Authorization") },
	} {
		if key.Signed(signed(change), now) {
			t.Errorf("a request whose %s was changed is taken", name)
		}
	}
	c, peer := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !key.Signed(r, time.Now()) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		Word{Through: true}.Set(w.Header())
		WriteID(w, "me")
	}, Options{Self: "me:1", Sign: key})
	if id, through, err := c.ID(t.Context(), peer); id != "me" || !through || err != nil {
		t.Errorf("ID: %q %v %v", id, through, err)
	}
}

func TestEndOfContextEndsTheBody(t *testing.T) {
	c, peer := serve(t, func(w http.ResponseWriter, r *http.Request) {
		Give(w, version, "", 0, 10)
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	b, err := c.Get(ctx, peer, Question{Name: "a", N: 10}, version)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	cancel()
	if _, err := b.Read(make([]byte, 10)); err == nil {
		t.Error("read goes on after the end of its context")
	}
}
