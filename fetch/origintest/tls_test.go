package origintest

import (
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/cache/hosttest"
)

// newTLSFixture asks over TLS, on TCP.
func newTLSFixture(t testing.TB, opts TLS) *fixture {
	o := New()
	o.Put("/a.tar", File{Content: content})
	url, config := o.ServeTLS(t, opts)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: opts.HTTP2, DisableCompression: true}}
	t.Cleanup(client.CloseIdleConnections)
	return &fixture{o, t, url, client}
}

// newTLSPipeFixture asks over TLS, on a Pipe.
func newTLSPipeFixture(t testing.TB, opts TLS) *fixture {
	o := New()
	o.Put("/a.tar", File{Content: content})
	pipe, config := o.ServePipeTLS(t, opts)
	client := &http.Client{Transport: &http.Transport{
		DialContext: pipe.DialContext, TLSClientConfig: config, ForceAttemptHTTP2: opts.HTTP2, DisableCompression: true}}
	t.Cleanup(client.CloseIdleConnections)
	return &fixture{o, t, "https://origin", client}
}

// eachH2 runs a test on TCP and in a bubble.
func eachH2(t *testing.T, test func(t *testing.T, x *fixture)) {
	t.Run("tcp", func(t *testing.T) { test(t, newTLSFixture(t, TLS{HTTP2: true})) })
	t.Run("pipe", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, newTLSPipeFixture(t, TLS{HTTP2: true})) })
	})
}

func TestCertificates(t *testing.T) {
	invalid := func(want x509.InvalidReason) func(error) bool {
		return func(err error) bool {
			var got x509.CertificateInvalidError
			return errors.As(err, &got) && got.Reason == want
		}
	}
	tests := []struct {
		certificate Certificate
		is          func(error) bool
	}{
		{Good, func(err error) bool { return err == nil }},
		{Expired, invalid(x509.Expired)},
		{OtherName, func(err error) bool { var e x509.HostnameError; return errors.As(err, &e) }},
		{UnknownAuthority, func(err error) bool { var e x509.UnknownAuthorityError; return errors.As(err, &e) }},
	}
	for _, tt := range tests {
		for _, http2 := range []bool{false, true} {
			opts := TLS{Certificate: tt.certificate, HTTP2: http2}
			if a := newTLSFixture(t, opts).get(""); !tt.is(a.err) {
				t.Errorf("%+v: got %v", opts, a.err)
			}
			synctest.Test(t, func(t *testing.T) {
				if a := newTLSPipeFixture(t, opts).get(""); !tt.is(a.err) {
					t.Errorf("%+v on a pipe: got %v", opts, a.err)
				}
			})
		}
	}
}

func TestProtocolOverTLS(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		x := newTLSFixture(t, TLS{HTTP2: http2})
		resp, err := x.client.Get(x.url + "/a.tar")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.ProtoMajor == 2; got != http2 {
			t.Errorf("HTTP2 %v: got %s", http2, resp.Proto)
		}
	}
}

// A client that does not want HTTP/2 need not take it, and is spared its faults.
func TestHTTP1WhereHTTP2IsOffered(t *testing.T) {
	x := newTLSFixture(t, TLS{HTTP2: true})
	x.client.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	away, reset := GoAwayAfter(10), StreamResetAfter(10)
	x.Inject(away, reset)
	x.get("bytes=0-99").expect(t).code(206).bytesAt(0, 100)
	wantHits(t, away, 0)
	wantHits(t, reset, 0)
}

func TestHonestOverHTTP2(t *testing.T) {
	eachH2(t, func(t *testing.T, x *fixture) {
		x.get("").expect(t).code(200).contentLength(size).bytesAt(0, size)
		x.get("bytes=10-70000").expect(t).code(206).bytesAt(10, 69_991)
		if got := x.Counts(); got.Conns != 1 || got.Requests != 2 {
			t.Errorf("counts %+v", got)
		}
	})
}

func TestGoAwayAfter(t *testing.T) {
	eachH2(t, func(t *testing.T, x *fixture) {
		for _, n := range []int64{1, 4096, 70_000, size - 1} {
			x.Clear()
			f := GoAwayAfter(n)
			x.Inject(f)
			a := x.get("")
			a.expect(t).code(200).bytesUntilEnd(0, n)
			if a.bodyErr == nil || !strings.Contains(a.bodyErr.Error(), "GOAWAY") || !strings.Contains(a.bodyErr.Error(), "NO_ERROR") {
				t.Errorf("%v: body ended with %v", f, a.bodyErr)
			}
			wantHits(t, f, 1)
		}
		x.Clear()
		x.get("").expect(t).code(200).bytesAt(0, size)
		if got := x.Counts().Conns; got != 5 {
			t.Errorf("%d connections, want a new one after each GOAWAY", got)
		}
	})
}

func TestStreamResetAfter(t *testing.T) {
	eachH2(t, func(t *testing.T, x *fixture) {
		for _, n := range []int64{1, 4096, 70_000, size - 1} {
			x.Clear()
			f := StreamResetAfter(n)
			x.Inject(f)
			a := x.get("")
			a.expect(t).code(200).bytesUntilEnd(0, n)
			if a.bodyErr == nil || !strings.Contains(a.bodyErr.Error(), "INTERNAL_ERROR") {
				t.Errorf("%v: body ended with %v", f, a.bodyErr)
			}
			wantHits(t, f, 1)
		}
		x.Clear()
		x.get("").expect(t).code(200).bytesAt(0, size)
		if got := x.Counts().Conns; got != 1 {
			t.Errorf("%d connections, want only one", got)
		}
	})
}

func TestCutAndResetOverHTTP2(t *testing.T) {
	eachH2(t, func(t *testing.T, x *fixture) {
		x.Inject(CutAfter(50_000).Times(1), ResetAfter(60_000))
		a := x.get("")
		a.expect(t).code(200).bytesUntilEnd(0, 50_000)
		if !errors.Is(a.bodyErr, io.ErrUnexpectedEOF) {
			t.Errorf("cut: body ended with %v", a.bodyErr)
		}
		if a = x.get(""); a.err == nil && (a.bodyErr == nil || content.Check(a.body, 0) != nil) {
			t.Errorf("reset: %d bytes, %v", len(a.body), a.bodyErr)
		}
		if got := x.Counts().Conns; got != 2 {
			t.Errorf("%d connections, want a new one after the cut", got)
		}
	})
}

func TestDownAndUp(t *testing.T) {
	x := newFixture(t)
	x.get("").expect(t).code(200)
	x.Down()
	if a := x.get(""); !errors.Is(a.err, syscall.ECONNRESET) && !errors.Is(a.err, io.EOF) {
		t.Errorf("down: got %v", a.err)
	}
	if got := x.Counts(); got.Requests != 1 || got.Conns != 1 {
		t.Errorf("counts %+v", got)
	}
	x.Up()
	x.get("").expect(t).code(200).bytesAt(0, size)
}

// newFixtures returns fixtures of all kinds that a bubble can hold.
func newBubbleFixtures(t testing.TB) []*fixture {
	return []*fixture{newPipeFixture(t), newTLSPipeFixture(t, TLS{}), newTLSPipeFixture(t, TLS{HTTP2: true})}
}

func TestDownCutsWhatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, x := range newBubbleFixtures(t) {
			x.Inject(StallAfter(50_000))
			got := make(chan answer)
			go func() { got <- x.get("") }() // awaited below
			synctest.Wait()
			x.Down()
			a := <-got
			a.expect(t).code(200).bytesUntilEnd(0, 50_000)
			if a.bodyErr == nil {
				t.Error("no error")
			}
			if a := x.get(""); a.err == nil {
				t.Errorf("down: got status %d", a.status)
			}
			x.Clear()
			x.Up()
			x.get("").expect(t).code(200).bytesAt(0, size)
		}
	})
}

func TestBlackhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, x := range newBubbleFixtures(t) {
			x.Inject(PauseAfter(50_000, time.Minute).Times(1))
			got := make(chan answer, 2)
			go func() { got <- x.get("") }() // awaited below
			synctest.Wait()
			x.Blackhole()
			go func() { got <- x.get("") }() // awaited below
			advance(time.Hour)               // fake time
			synctest.Wait()
			if len(got) != 0 {
				t.Errorf("an answer arrived: %v", (<-got).err)
			}
			x.Up()
			for range 2 {
				(<-got).expect(t).code(200).bytesAt(0, size)
			}
		}
	})
}

// A test may end in a black hole.
func TestBlackholeEndsWithTheTest(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	o := New()
	o.Put("/a.tar", File{Content: content})
	got := make(chan error, 1)
	t.Run("serve", func(t *testing.T) {
		url, config := o.ServeTLS(t, TLS{})
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
		hit := FirstByteAfter(0)
		o.Inject(hit)
		if resp, err := client.Get(url + "/a.tar"); err == nil { // the handshake
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		o.Blackhole()
		go func() { // awaited below
			resp, err := client.Get(url + "/a.tar")
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			got <- err
		}()
		if err := hit.Wait(t.Context(), 2); err != nil {
			t.Error(err)
		}
	})
	<-got // whatever it is
	if got := o.Counts().Open; got != 0 {
		t.Errorf("%d open", got)
	}
}
