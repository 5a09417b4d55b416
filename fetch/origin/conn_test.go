package origin

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// A connection serves one request after the other, however the body is framed.
func TestKeepAlive(t *testing.T) {
	tests := map[string]*origintest.Fault{
		"length":      nil,
		"chunked":     origintest.Chunked(),
		"short":       origintest.ShortRange(5000),
		"end of file": nil,
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			x := overTCP(t)
			want := x.pin()
			if fault != nil {
				x.Inject(fault)
				defer wantHit(t, fault)
			}
			for i := range int64(200) {
				off := i * 500
				if name == "end of file" {
					off = size - i - 1
				}
				_, p, err := x.get(want, off, 10_000)
				x.wantBytes(p, min(10_000, size-off), err)
			}
			if got := x.Counts().Conns; got > 3 {
				t.Errorf("%d connections", got)
			}
			if log := x.log.String(); log != "" {
				t.Errorf("logged %s", log)
			}
		})
	}
}

// RST overtakes data in the kernel, so what arrives before it varies; what is
// delivered does not.
func TestTCPResets(t *testing.T) {
	for _, n := range []int64{-1, 0, 1, 5000, 90_000} {
		for _, fault := range []*origintest.Fault{origintest.ResetAfter(n).Times(2), origintest.CutAfter(n).Times(2)} {
			t.Run(fmt.Sprint(fault), func(t *testing.T) {
				x := overTCP(t)
				x.c.opts.RetryWait = time.Millisecond
				x.Inject(fault)
				_, p, err := x.get(x.pin(), 1000, 100_000)
				x.wantBytes(p, 100_000, err)
				_, p, err = x.getWhole(nil)
				x.wantBytes(p, size, err)
				wantHit(t, fault)
			})
		}
	}
}

// Everything at once, from many sides.
func TestStorm(t *testing.T) {
	x := overTCP(t)
	want := x.pin()
	x.c.opts.RetryWait, x.c.opts.Tries = time.Millisecond, 50
	faults := []*origintest.Fault{
		origintest.Status(503).Chance(.1, 1),
		origintest.ShortRange(7000).Chance(.2, 2),
		origintest.ShiftRange(8).Chance(.02, 3),
		origintest.WideRange(8, 8).Chance(.02, 4),
		origintest.RangeAs200().Chance(.1, 6),
		origintest.Multipart().Chance(.02, 5), // not if 200: nothing would tell
		origintest.LongBody(100).Chance(.1, 7),
		origintest.Chunked().Chance(.1, 8),
		origintest.WrongContentRange("x").Chance(.02, 9),
		origintest.WeakETag().Chance(.2, 10),
		origintest.CutAfter(3000).Chance(.2, 11),
		origintest.ResetAfter(2000).Chance(.1, 12),
		origintest.EndAfter(1000).Chance(.1, 13),
		origintest.CutAfter(-1).Chance(.05, 14),
	}
	x.Inject(faults...)
	var readers sync.WaitGroup
	for i := range int64(8) {
		readers.Go(func() { // awaited below
			for k := range int64(20) {
				off := (i*20 + k) * 1117
				_, p, err := x.get(want, off, 15_000)
				x.wantBytes(p, min(15_000, size-off), err)
			}
		})
	}
	readers.Wait()
	wantHit(t, faults...)
}

func TestOptions(t *testing.T) {
	c := New(Options{})
	o := c.opts
	if o.MaxPerHost != 16 || o.ConnectTimeout != 20*time.Second ||
		o.Timeout != 30*time.Second || o.Tries != 12 || o.RetryWait != 500*time.Millisecond {
		t.Errorf("defaults %+v", o)
	}
	bubble(t, func(t *testing.T, x *fixture) {
		x.c.opts.Credentials.UserAgent = "tester/1"
		_, p, err := x.get(nil, 0, 10)
		x.wantBytes(p, 10, err)
		_, _, err = x.probe(true)
		if err != nil {
			t.Error(err)
		}
		for _, r := range x.Log() {
			if r.Header.Get("User-Agent") != "tester/1" || r.Header.Get("Accept-Encoding") != "identity" {
				t.Errorf("%s: header %v", r.Method, r.Header)
			}
		}
	})
}
