package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch/origintest"
)

// Wherever it is, a call ends the moment its context does, with its error.
func TestCancel(t *testing.T) {
	hang := func(t *testing.T, x *fixture) {
		over := make(chan struct{})
		t.Cleanup(func() { close(over) })
		x.dial(func(dialer) dialer {
			return func(context.Context, string, string) (net.Conn, error) {
				<-over
				return nil, io.ErrClosedPipe
			}
		})
	}
	tests := []struct {
		name  string
		fault *origintest.Fault
		setup func(t *testing.T, x *fixture)
	}{
		{"connect", nil, hang},
		{"headers", origintest.StallAfter(-1), nil},
		{"redirect", origintest.FirstByteAfter(300 * time.Millisecond).When(func(*http.Request) bool { return true }),
			func(_ *testing.T, x *fixture) {
				for i := range 9 {
					x.Inject(origintest.Redirect(302, fmt.Sprintf("/hop%d", i+1)).On(fmt.Sprintf("/hop%d", i)))
				}
				x.url = x.base + "/hop0"
			}},
		{"body at once", origintest.StallAfter(0), nil},
		{"body", origintest.StallAfter(1000), nil},
		{"back-off", origintest.Status(500), func(_ *testing.T, x *fixture) { x.c.opts.RetryWait = time.Minute }},
		{"Retry-After", origintest.Status(503, "Retry-After", "300"), nil},
		{"pause", nil, func(_ *testing.T, x *fixture) { x.pause(time.Minute) }},
	}
	calls := map[string]func(ctx context.Context, x *fixture) error{
		"Get": func(ctx context.Context, x *fixture) error {
			b, err := x.resource().Get(ctx, nil, 0, 5000)
			_, _, err = x.read(b, 0, err)
			return err
		},
		"GetWhole": func(ctx context.Context, x *fixture) error {
			b, err := x.resource().GetWhole(ctx, nil)
			_, _, err = x.read(b, 0, err)
			return err
		},
		"Probe": func(ctx context.Context, x *fixture) error {
			_, _, err := x.resource().Probe(ctx, false)
			return err
		},
	}
	errShut := errors.New("shut down")
	ends := map[error]func(ctx context.Context) (context.Context, context.CancelFunc){
		context.DeadlineExceeded: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
		context.Canceled: func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		},
		errShut: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, time.Second, errShut)
		},
	}
	for _, tt := range tests {
		for call, do := range calls {
			for want, end := range ends {
				t.Run(tt.name+"/"+call+"/"+want.Error(), func(t *testing.T) {
					bubble(t, func(t *testing.T, x *fixture) {
						if tt.fault != nil {
							x.Inject(tt.fault)
							defer wantHit(t, tt.fault)
						}
						if tt.setup != nil {
							tt.setup(t, x)
						}
						ctx, cancel := end(t.Context())
						defer cancel()
						start := time.Now()
						if err := do(ctx, x); !errors.Is(err, want) {
							t.Errorf("got %v", err)
						}
						wantPassed(t, start, time.Second)
					})
				})
			}
		}
	}
}

// A HEAD that is cancelled is not followed by a GET.
func TestCancelHead(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		stall := origintest.StallAfter(-1)
		x.Inject(stall)
		errShut := errors.New("shut down")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errShut)
		defer cancel()
		if _, _, err := x.resource().Probe(ctx, true); !errors.Is(err, errShut) {
			t.Errorf("got %v", err)
		}
		x.wantMethods("HEAD ")
		wantHit(t, stall)
	})
}

func TestCancelledBefore(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := x.resource().Get(ctx, nil, 0, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("Get: %v", err)
		}
		if _, _, err := x.resource().Probe(ctx, true); !errors.Is(err, context.Canceled) {
			t.Errorf("Probe: %v", err)
		}
		x.wantRequests(0)
	})
}

// To cancel is no failure: nothing is logged, nothing asked again, and the
// origin is let go.
func TestCancelIsNoFailure(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		stall := origintest.StallAfter(1000)
		x.Inject(stall)
		b, err := x.resource().Get(afterASecond(t), nil, 0, 5000)
		_, p, err := x.read(b, 0, err)
		if !errors.Is(err, context.Canceled) || len(p) != 1000 {
			t.Errorf("%d bytes, %v", len(p), err)
		}
		for range 20 {
			if n, err := b.Read(make([]byte, 10)); n != 0 || !errors.Is(err, context.Canceled) {
				t.Fatalf("read again: %d, %v", n, err)
			}
		}
		synctest.Wait()
		if got := x.Counts(); got.Requests != 1 || got.Open != 0 {
			t.Errorf("%d requests, %d open", got.Requests, got.Open)
		}
		if x.log.String() != "" {
			t.Errorf("logged %s", &x.log)
		}
		wantHit(t, stall)
	})
}

// The watchdog counts the time the origin takes, not the reader's.
func TestSlowReader(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		b, err := x.resource().Get(t.Context(), nil, 0, size)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		var p []byte
		for len(p) < size {
			wait := time.NewTimer(time.Hour)
			<-wait.C
			buf := make([]byte, 50_000)
			n, err := io.ReadFull(b, buf)
			if err != nil {
				t.Fatal(err)
			}
			p = append(p, buf[:n]...)
		}
		if err := content.Check(p, 0); err != nil {
			t.Error(err)
		}
		x.wantRequests(1)
	})
}

// A slow body is no stalled one, however long it takes.
func TestSlowOrigin(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		slow := origintest.Throttle(20)
		x.Inject(slow, origintest.FirstByteAfter(29*time.Second))
		start := time.Now()
		_, p, err := x.get(nil, 0, 20_000)
		x.wantBytes(p, 20_000, err)
		if d := time.Since(start); d < 1000*time.Second {
			t.Errorf("took %v", d)
		}
		x.wantRequests(1)
		wantHit(t, slow)
	})
}

// The watchdog ends a stall after exactly Timeout, wherever it is.
func TestWatchdog(t *testing.T) {
	for _, stall := range []*origintest.Fault{origintest.StallAfter(-1), origintest.StallAfter(0), origintest.StallAfter(100)} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.c.opts.Timeout, x.c.opts.Tries = 5*time.Second, 1
			x.Inject(stall)
			start := time.Now()
			_, _, err := x.get(nil, 0, 1000)
			wantKind(t, err, Transient)
			if !errors.Is(err, errStalled) {
				t.Errorf("got %v", err)
			}
			wantPassed(t, start, 5*time.Second)
			wantHit(t, stall)
		})
	}
}

// Errors and redirects cost no connection, unless their bodies are long.
func TestErrorsKeepTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.elsewhere()
		busy := origintest.Status(500).Times(5)
		x.Inject(busy)
		_, p, err := x.get(nil, 0, 1000)
		x.wantBytes(p, 1000, err)
		if got := x.Counts().Conns; got != 2 { // one to each host
			t.Errorf("%d connections", got)
		}
		wantHit(t, busy)
	})
	for _, body := range []int{maxDrain - 1, 10 << 20} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			x := handlerFixture(t, func(w http.ResponseWriter, r *http.Request) {
				if n++; n == 1 {
					w.Header().Set("Content-Length", fmt.Sprint(body))
					w.WriteHeader(500)
					w.Write(make([]byte, body))
					return
				}
				serveRange(w, r)
			})
			conns := x.countDials()
			_, p, err := x.get(nil, 0, 1000)
			x.wantBytes(p, 1000, err)
			want := 1
			if body > maxDrain {
				want = 2
			}
			if *conns != want || n != 2 {
				t.Errorf("%d connections for %d bytes, %d requests", *conns, body, n)
			}
		})
	}
}

// An error's body that does not come is not waited for.
func TestErrorBodyStalls(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		gone, stall := origintest.Status(404), origintest.StallAfter(3)
		x.Inject(gone, stall)
		start := time.Now()
		_, _, err := x.get(nil, 0, 1000)
		wantKind(t, err, NotFound)
		wantPassed(t, start, 2*endWait) // with a range and without
		wantHit(t, gone, stall)
	})
}
