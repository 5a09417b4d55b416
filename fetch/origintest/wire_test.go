package origintest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestCutAfter(t *testing.T) {
	for _, n := range []int64{0, 1, 4095, 4096, 4097, 70_000, size - 1} {
		for _, framing := range []*Fault{nil, Chunked()} {
			x := newFixture(t)
			f := CutAfter(n)
			x.Inject(f)
			length := int64(size)
			if framing != nil {
				x.Inject(framing)
				length = -1
			}
			a := x.get("")
			a.expect(t).code(200).contentLength(length).bytesUntilEnd(0, n)
			if !errors.Is(a.bodyErr, io.ErrUnexpectedEOF) {
				t.Errorf("%v, %v: body ended with %v", f, framing, a.bodyErr)
			}
			wantHits(t, f, 1)
			if got := x.Counts(); got.BodyBytes != n {
				t.Errorf("%v: %d bytes counted", f, got.BodyBytes)
			}
		}
	}
}

func TestCutInARange(t *testing.T) {
	x := newFixture(t)
	x.Inject(CutAfter(10))
	a := x.get("bytes=1000-1999")
	a.expect(t).code(206).bytesUntilEnd(1000, 10)
	if !errors.Is(a.bodyErr, io.ErrUnexpectedEOF) {
		t.Errorf("body ended with %v", a.bodyErr)
	}
	x.get("bytes=0-9").expect(t).code(206).bytesAt(0, 10) // no longer than the cut
}

func TestCutBeforeTheHeaders(t *testing.T) {
	x := newFixture(t)
	f := CutAfter(-1)
	x.Inject(f)
	if a := x.get(""); !errors.Is(a.err, io.EOF) {
		t.Errorf("got %v", a.err)
	}
	if a := x.ask("HEAD", "/a.tar"); !errors.Is(a.err, io.EOF) {
		t.Errorf("HEAD: got %v", a.err)
	}
	wantHits(t, f, 2)
	if got := x.Log()[0].Status; got != 0 {
		t.Errorf("logged status %d", got)
	}
}

func TestResetAfter(t *testing.T) {
	for _, n := range []int64{0, 1, 70_000} {
		x := newFixture(t)
		f := ResetAfter(n)
		x.Inject(f)
		a := x.get("")
		err := a.err // RST may overtake the headers too
		if err == nil {
			err = a.expect(t).code(200).bodyErr
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v: got %v", f, err)
		}
		if int64(len(a.body)) > n || content.Check(a.body, 0) != nil {
			t.Errorf("%v: %d bytes", f, len(a.body))
		}
		wantHits(t, f, 1)
	}
}

func TestResetBeforeTheHeaders(t *testing.T) {
	x := newFixture(t)
	x.Inject(ResetAfter(-1))
	if a := x.get(""); !errors.Is(a.err, syscall.ECONNRESET) {
		t.Errorf("got %v", a.err)
	}
}

func TestResetOnAPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPipeFixture(t)
		f := ResetAfter(70_000)
		x.Inject(f)
		a := x.get("")
		a.expect(t).code(200).bytesUntilEnd(0, 70_000)
		if a.bodyErr == nil {
			t.Error("no error")
		}
		wantHits(t, f, 1)
	})
}

func TestStallAfter(t *testing.T) {
	for _, n := range []int64{0, 1, 4096, size - 1} {
		synctest.Test(t, func(t *testing.T) {
			x := newPipeFixture(t)
			f := StallAfter(n)
			x.Inject(f)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			start := time.Now()
			a := x.askCtx(ctx, "GET", "/a.tar")
			a.expect(t).code(200).bytesUntilEnd(0, n)
			if !errors.Is(a.bodyErr, context.DeadlineExceeded) || time.Since(start) != time.Hour {
				t.Errorf("body ended with %v after %v", a.bodyErr, time.Since(start))
			}
			synctest.Wait()
			if got := x.Counts().Open; got != 0 {
				t.Errorf("%d open after the client left", got)
			}
			wantHits(t, f, 1)
		})
	}
}

func TestStallBeforeTheHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPipeFixture(t)
		x.Inject(StallAfter(-1))
		for _, method := range []string{"GET", "HEAD"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			if a := x.askCtx(ctx, method, "/a.tar"); !errors.Is(a.err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v", method, a.err)
			}
			cancel()
		}
	})
}

// A test may end while its origin stalls, here on a socket.
func TestStalledServerCloses(t *testing.T) {
	o := New()
	o.Put("/a.tar", File{Content: content})
	stalled := StallAfter(100)
	o.Inject(stalled)
	var client sync.WaitGroup
	t.Run("serve", func(t *testing.T) {
		url := o.Serve(t)
		client.Go(func() { // awaited below
			resp, err := http.Get(url + "/a.tar")
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
		if err := stalled.Wait(t.Context(), 1); err != nil {
			t.Error(err)
		}
	})
	client.Wait()
	if got := o.Counts().Open; got != 0 {
		t.Errorf("%d open", got)
	}
}

// One origin delays in all ways, and the sum is exact.
func TestDelays(t *testing.T) {
	tests := []struct {
		faults []*Fault
		want   time.Duration
	}{
		{nil, 0},
		{[]*Fault{FirstByteAfter(10 * time.Second)}, 10 * time.Second},
		{[]*Fault{PauseAfter(5, time.Second), PauseAfter(5, time.Second), PauseAfter(size-1, time.Minute)}, 62 * time.Second},
		{[]*Fault{Throttle(1000)}, 100 * time.Second},
		{[]*Fault{Throttle(50)}, 2000 * time.Second},
		{[]*Fault{Throttle(1 << 40)}, 0},
		{[]*Fault{Throttle(1000), FirstByteAfter(time.Second), PauseAfter(10, time.Second)}, 102 * time.Second},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			x := newPipeFixture(t)
			x.Inject(tt.faults...)
			start := time.Now()
			x.get("").expect(t).code(200).bytesAt(0, size)
			if got := time.Since(start).Round(time.Millisecond); got != tt.want {
				t.Errorf("%v: took %v, want %v", tt.faults, got, tt.want)
			}
			for _, f := range tt.faults {
				wantHits(t, f, 1)
			}
		})
	}
}

// A throttled byte arrives when it is sent, not when a buffer is full.
func TestThrottleDrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPipeFixture(t)
		x.Inject(Throttle(1))
		start := time.Now()
		resp, err := x.client.Get(x.url + "/a.tar")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for i := range 10 {
			if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			if got, want := time.Since(start), time.Duration(i+1)*time.Second; got != want {
				t.Errorf("byte %d after %v", i, got)
			}
		}
	})
}

// What waits, ends with the client.
func TestWaitsEndWithTheClient(t *testing.T) {
	for _, newFault := range []func(never chan struct{}) *Fault{
		func(chan struct{}) *Fault { return FirstByteAfter(time.Hour) },
		func(chan struct{}) *Fault { return PauseAfter(10, time.Hour) },
		func(chan struct{}) *Fault { return Throttle(1) },
		func(never chan struct{}) *Fault { return HoldAfter(-1, never) },
		func(never chan struct{}) *Fault { return HoldAfter(10, never) },
	} {
		synctest.Test(t, func(t *testing.T) {
			x := newPipeFixture(t)
			f := newFault(make(chan struct{}))
			x.Inject(f)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			a := x.askCtx(ctx, "GET", "/a.tar")
			if !errors.Is(errors.Join(a.err, a.bodyErr), context.DeadlineExceeded) {
				t.Errorf("%v: got %v, %v", f, a.err, a.bodyErr)
			}
			synctest.Wait()
			if got := x.Counts().Open; got != 0 {
				t.Errorf("%v: %d open", f, got)
			}
		})
	}
}

func TestHoldAfter(t *testing.T) {
	for _, n := range []int64{-1, 0, 10} {
		synctest.Test(t, func(t *testing.T) {
			x := newPipeFixture(t)
			release := make(chan struct{})
			f := HoldAfter(n, release)
			x.Inject(f)
			got := make(chan answer)
			go func() { got <- x.get("") }() // awaited below
			synctest.Wait()
			if bytes := x.Log()[0].BodyBytes; bytes != max(n, 0) {
				t.Errorf("held after %d bytes", bytes)
			}
			close(release)
			(<-got).expect(t).code(200).bytesAt(0, size)
			wantHits(t, f, 1)
		})
	}
}

func TestThrottleOfNothingPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Throttle(0)
}

func TestPipe(t *testing.T) {
	p := NewPipe()
	go func() { // ends after one connection
		c, err := p.Accept()
		if err == nil {
			c.Write([]byte("hello"))
			c.Close()
		}
	}()
	c, err := p.DialContext(t.Context(), "tcp", "anywhere:80")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.DialContext(ctx, "tcp", "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if p.Addr().Network() != "pipe" || p.Addr().String() != "pipe" {
		t.Errorf("address %v", p.Addr())
	}
	p.Close()
	p.Close()
	var op *net.OpError
	if _, err := p.DialContext(t.Context(), "tcp", "x"); !errors.Is(err, net.ErrClosed) || !errors.As(err, &op) {
		t.Errorf("closed: %v", err)
	}
	if _, err := p.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
}
