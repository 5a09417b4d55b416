package peers

import (
	"testing"
	"time"
)

// end is when measured has measured.
var end = epoch.Add(10 * time.Second)

// measured is a ring of n machines; this one has measured the others and the origin
// at these rates, in bytes a second.
func measured(t *testing.T, origin int64, rates ...int64) *Ring {
	r := ring("n0:3537", len(rates)+1)
	for i := range 40 {
		now := epoch.Add(time.Duration(i) * time.Second / 4)
		r.Took("n0:3537", origin/4, time.Second/4, now)
		for i, rate := range rates {
			name := []string{"n1:3537", "n2:3537", "n3:3537", "n4:3537", "n5:3537"}[i]
			r.Took(name, rate/4, time.Second/4, now)
		}
	}
	return r
}

// In the first seconds nothing follows: everything is slow then.
func TestNoMachineIsSlowAtFirst(t *testing.T) {
	r := ring("n0:3537", 4)
	for range 100 {
		r.Took("n0:3537", 1000, time.Second, epoch)
		r.Took("n1:3537", 1000, time.Second, epoch)
		r.Took("n2:3537", 1000, time.Second, epoch)
		if r.Took("n3:3537", 1, time.Second, epoch.Add(measuredSince-1)) {
			t.Fatal("a machine is slow already")
		}
	}
	if !r.Took("n3:3537", 1, time.Second, epoch.Add(2*measuredSince)) || !r.Slow("n3:3537", epoch.Add(2*measuredSince)) {
		t.Error("later it is not slow either")
	}
}

func TestMachineIsSlowBesideTheOthersAndTheOrigin(t *testing.T) {
	for _, tt := range []struct {
		what   string
		origin int64
		rates  []int64
		slow   bool // the last one
	}{
		{"slower than all", 1000, []int64{900, 1200, 800, 100}, true},
		{"a little slower", 1000, []int64{900, 1200, 800, 300}, false},
		{"as slow as the origin", 200, []int64{5000, 5000, 5000, 200}, false},
		{"as slow as the others", 9000, []int64{100, 120, 90, 95}, false},
		{"the only other one", 1000, []int64{10}, false},
		{"one of two", 1000, []int64{900, 10}, true},
		{"silent", 1000, []int64{900, 900, 900, 0}, true},
		{"the origin is not measured", 0, []int64{900, 900, 900, 1}, false},
	} {
		r := measured(t, tt.origin, tt.rates...)
		last := r.Others()[len(tt.rates)-1]
		if got := r.Slow(last, end); got != tt.slow {
			t.Errorf("%s: slow is %v", tt.what, got)
		}
		for _, other := range r.Others()[:len(tt.rates)-1] {
			if r.Slow(other, end) {
				t.Errorf("%s: %s is slow, too", tt.what, other)
			}
		}
	}
}

// A slow machine owns nothing while others can, is asked at last, and has another trial after
// a minute.
func TestSlowMachineIsAskedLast(t *testing.T) {
	r := ring("n0:3537", 4)
	k := ownedBy(t, r, "n3:3537")
	before := r.Rank(k, nil, epoch)
	for i := range 20 {
		now := epoch.Add(time.Duration(i) * time.Second / 2)
		r.Took("n0:3537", 500, time.Second/2, now)
		r.Took("n1:3537", 500, time.Second/2, now)
		r.Took("n2:3537", 500, time.Second/2, now)
		r.Took("n3:3537", 50, time.Second/2, now)
	}
	got := r.Rank(k, nil, end)
	if want := append(before[1:len(before):len(before)], "n3:3537"); len(got) != 4 || got[0] != want[0] || got[3] != "n3:3537" {
		t.Errorf("the rank is %v, want %v", got, want)
	}
	if s := r.States(end); s[2].State != "slow" {
		t.Errorf("the states are %v", s)
	}
	if got := r.Rank(k, nil, end.Add(slowFor)); got[0] != "n3:3537" {
		t.Errorf("after %v the rank is %v", slowFor, got)
	}
}

// Of eight machines two may be slow at a time: what is true of most is not true of one.
func TestFewMachinesAreSlowAtATime(t *testing.T) {
	r := ring("n0:3537", 9)
	slow := func() (n int) {
		for _, name := range r.Others() {
			if r.Slow(name, end) {
				n++
			}
		}
		return n
	}
	for i := range 20 {
		now := epoch.Add(time.Duration(i) * time.Second / 2)
		r.Took("n0:3537", 500, time.Second/2, now)
		for i, name := range r.Others() {
			rate := int64(500)
			if i < 3 {
				rate = 20
			}
			r.Took(name, rate, time.Second/2, now)
		}
	}
	if got := slow(); got != 2 {
		t.Errorf("%d machines are slow", got)
	}
}
