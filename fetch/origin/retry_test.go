package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"dlfs/cache/hosttest"
	"dlfs/fetch/origintest"
)

// Without progress, Tries attempts are made, and not one more.
func TestTries(t *testing.T) {
	tests := []struct {
		fault  *origintest.Fault
		status int
	}{
		{origintest.Status(503), 503},
		{origintest.CutAfter(0), 0},
		{origintest.StallAfter(-1), 0},
		{origintest.StallAfter(0), 0},
	}
	for _, tt := range tests {
		bubble(t, func(t *testing.T, x *fixture) {
			want := x.pin()
			x.Inject(tt.fault)
			start := time.Now()
			_, p, err := x.get(want, 0, 1000)
			e := wantKind(t, err, Transient)
			if e.Status != tt.status || len(p) != 0 {
				t.Errorf("%v: status %d, %d bytes", tt.fault, e.Status, len(p))
			}
			x.wantRequests(12)
			if d := time.Since(start); d < 30*time.Second || d > 10*time.Minute {
				t.Errorf("%v: gave up after %v", tt.fault, d)
			}
			wantHit(t, tt.fault)
		})
	}
}

func TestTriesOption(t *testing.T) {
	for _, tries := range []int{1, 2, 3} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.c.opts.Tries = tries
			down := origintest.Status(500)
			x.Inject(down)
			_, _, err := x.get(nil, 0, 1000)
			wantKind(t, err, Transient)
			x.wantRequests(tries + 1) // the last one without a range
			wantHit(t, down)
		})
	}
}

// The last try's error comes as it is, if permanent too.
func TestLastTryPermanent(t *testing.T) {
	for _, tries := range []int{1, 3} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.c.opts.Tries = tries
			down, gone := origintest.Status(500).Times(tries-1), origintest.Status(404)
			if tries > 1 {
				x.Inject(down)
				defer wantHit(t, down)
			}
			x.Inject(gone)
			_, _, err := x.get(nil, 0, 1000)
			wantKind(t, err, NotFound)
			x.wantRequests(tries + 1) // the last one without a range
			wantHit(t, gone)
		})
	}
}

// The waits double, and are jittered by half.
func TestBackoff(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		var at []time.Time
		down := origintest.Status(502).When(func(*http.Request) bool { at = append(at, time.Now()); return true })
		x.Inject(down)
		_, _, err := x.get(nil, 0, 1000)
		wantKind(t, err, Transient)
		for i := range len(at) - 1 {
			want := min(500*time.Millisecond<<i, maxRetryWait)
			if got := at[i+1].Sub(at[i]); got < want-want/4 || got > want+want/4+1 {
				t.Errorf("wait %d was %v, want about %v", i, got, want)
			}
		}
		wantHit(t, down)
	})
}

func TestStatus(t *testing.T) {
	tests := []struct {
		kind  Kind
		codes []int
	}{
		{Transient, []int{408, 425, 429, 500, 502, 503, 504, 520, 599}},
		{NotFound, []int{404}},
		{NeedsURL, []int{401, 403, 410}},
		{Permanent, []int{201, 204, 300, 304, 400, 402, 405, 406, 407, 451, 501, 505}},
	}
	for _, tt := range tests {
		for _, code := range tt.codes {
			t.Run(fmt.Sprint(code), func(t *testing.T) {
				bubble(t, func(t *testing.T, x *fixture) {
					want := x.pin()
					fault := origintest.Status(code).Times(3)
					x.Inject(fault)
					_, p, err := x.get(want, 5, 1000)
					if tt.kind == Transient {
						x.wantBytes(p, 1000, err)
						x.wantRequests(4)
					} else {
						if e := wantKind(t, err, tt.kind); e.Status != code || e.URL != x.url {
							t.Errorf("status %d, URL %q", e.Status, e.URL)
						}
						if mayMeanTheRange(code) {
							x.wantRequests(2)
						} else {
							x.wantRequests(1)
						}
					}
					wantHit(t, fault)
				})
			})
		}
	}
}

func TestRetryAfter(t *testing.T) {
	inSeconds := func(s int) string {
		return time.Now().Add(time.Duration(s) * time.Second).UTC().Format(http.TimeFormat)
	}
	tests := []struct {
		code  int
		value func() string
		min   time.Duration
		max   time.Duration
	}{
		{503, func() string { return "7" }, 7 * time.Second, 8 * time.Second},
		{429, func() string { return "120" }, 2 * time.Minute, 2*time.Minute + maxHostJitter},
		{503, func() string { return inSeconds(90) }, 90 * time.Second, 90*time.Second + maxHostJitter},
		{503, func() string { return inSeconds(86_400) }, DefaultMaxWait, DefaultMaxWait + maxHostJitter},
		{503, func() string { return "1000000" }, DefaultMaxWait, DefaultMaxWait + maxHostJitter},
		{503, func() string { return inSeconds(-86_400) }, time.Millisecond, time.Second},
		{503, func() string { return "0" }, time.Millisecond, time.Second},
		{503, func() string { return "-5" }, time.Millisecond, time.Second},
		{503, func() string { return "soon" }, time.Millisecond, time.Second},
		{503, func() string { return "99999999999999999999" }, DefaultMaxWait, DefaultMaxWait + maxHostJitter},
	}
	for _, tt := range tests {
		bubble(t, func(t *testing.T, x *fixture) {
			value := tt.value()
			fault := origintest.Status(tt.code, "Retry-After", value).Times(1)
			x.Inject(fault)
			start := time.Now()
			_, p, err := x.get(nil, 0, 1000)
			x.wantBytes(p, 1000, err)
			if d := time.Since(start); d < tt.min || d > tt.max {
				t.Errorf("Retry-After %q: asked again after %v", value, d)
			}
			wantHit(t, fault)
		})
	}
}

// Retry-After holds every request to the same host, and no other.
func TestRetryAfterHoldsTheHost(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.Put("/b.tar", origintest.File{Content: content})
		x.c.opts.Tries = 1
		busy := origintest.Status(429, "Retry-After", "60").Times(1)
		x.Inject(busy)
		_, _, err := x.get(nil, 0, 1000)
		if e := wantKind(t, err, Transient); e.After != time.Minute {
			t.Errorf("After is %v", e.After)
		}

		start := time.Now()
		x.url = "http://other/b.tar"
		_, p, err := x.get(nil, 0, 1000)
		x.wantBytes(p, 1000, err)
		wantPassed(t, start, 0)

		x.url = "http://origin/b.tar"
		_, p, err = x.get(nil, 0, 1000)
		x.wantBytes(p, 1000, err)
		wantPassedAbout(t, start, time.Minute)

		_, p, err = x.get(nil, 0, 1000) // and then it is over
		x.wantBytes(p, 1000, err)
		wantPassedAbout(t, start, time.Minute)
		wantHit(t, busy)
	})
}

// The longest Retry-After counts, not the last.
func TestPauseIsTheLongest(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.pause(time.Minute, time.Second)
		start := time.Now()
		_, p, err := x.get(nil, 0, 1000)
		x.wantBytes(p, 1000, err)
		wantPassedAbout(t, start, time.Minute)
	})
}

// A connection that cannot be made may be made later. The timeouts among these
// say that they are context.DeadlineExceeded, though no context has ended.
func TestDialFailuresAreRetried(t *testing.T) {
	_, refused := net.Dial("tcp", closedPort(t))
	_, timeout := (&net.Dialer{Deadline: time.Unix(1, 0)}).Dial("tcp", "127.0.0.1:1")
	failures := map[string]error{
		"refused":          refused,
		"timeout":          timeout,
		"no name":          &net.DNSError{Err: "no such host", Name: "origin", IsNotFound: true},
		"resolver timeout": &net.DNSError{Err: "i/o timeout", Name: "origin", IsTimeout: true, UnwrapErr: context.DeadlineExceeded},
	}
	for name, failure := range failures {
		for _, times := range []int{3, 1000} {
			t.Run(fmt.Sprint(name, " ", times), func(t *testing.T) {
				bubble(t, func(t *testing.T, x *fixture) {
					dials := 0
					x.dial(func(next dialer) dialer {
						return func(ctx context.Context, network, addr string) (net.Conn, error) {
							if dials++; dials <= times {
								return nil, failure
							}
							return next(ctx, network, addr)
						}
					})
					_, p, err := x.get(nil, 0, 1000)
					if times == 3 {
						x.wantBytes(p, 1000, err)
						return
					}
					wantKind(t, err, Transient)
					want := 12
					if name == "no name" {
						want = 4 // it may be for ever
					}
					if !errors.Is(err, failure) || dials != want {
						t.Errorf("got %v after %d tries", err, dials)
					}
				})
			})
		}
	}
}

// closedPort returns an address where no server listens.
func closedPort(t *testing.T) string {
	hosttest.Need(t, hosttest.Loopback())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// An origin that refuses ranges with 500 is asked without one after a few attempts, and
// not after all of them.
func TestRangesRefusedWith500(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		refused := origintest.Status(500).Ranged()
		x.Inject(refused)
		_, p, err := x.get(nil, 0, size)
		x.wantBytes(p, size, err)
		x.wantRequests(fewRetries + 1)
		wantHit(t, refused)
	})
}
