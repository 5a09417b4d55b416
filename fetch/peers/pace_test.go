package peers

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// heard has the other machines of a ring say their paces.
func heard(r *Ring, now time.Time, rates ...int64) {
	for i, name := range r.Others() {
		if i < len(rates) {
			r.Heard(name, Pace{Rate: rates[i]}, now)
		}
	}
}

func TestMachineIsSlowBesideThePaceOfMost(t *testing.T) {
	for _, tt := range []struct {
		what   string
		own    int64
		others []int64
		slow   bool
	}{
		{"less than a third", 299, []int64{900, 900, 900}, true},
		{"a third", 300, []int64{900, 900, 900}, false},
		{"all", 10, []int64{10, 10, 10}, false},
		{"another one is slower", 400, []int64{900, 900, 1}, false},
		{"half of them", 10, []int64{10, 900, 900}, true},
		{"of three", 1, []int64{900, 900}, true},
		{"of two", 1, []int64{900}, false},
		{"of two that say something", 1, []int64{900, 0, 0}, false},
	} {
		r := ring("n0:3537", 4)
		heard(r, epoch, tt.others...)
		if got := r.Paced(tt.own, epoch); got != tt.slow {
			t.Errorf("%s: slow is %v", tt.what, got)
		}
		if got := r.Slow("n0:3537", epoch.Add(slowFor-1)); got != tt.slow {
			t.Errorf("%s: later, slow is %v", tt.what, got)
		}
		if r.Slow("n0:3537", epoch.Add(slowFor)) {
			t.Errorf("%s: it is slow for more than %v", tt.what, slowFor)
		}
		for _, name := range r.Others() {
			if r.Slow(name, epoch) {
				t.Errorf("%s: %s is slow and has not said so", tt.what, name)
			}
		}
	}
}

func TestPaceOfOthersIsOfUseForAWhile(t *testing.T) {
	r := ring("n0:3537", 4)
	heard(r, epoch, 900, 900, 900)
	now := epoch.Add(paceGood)
	if r.Paced(1, now) {
		t.Error("it is slow beside paces of long ago")
	}
	heard(r, now, 900, 900, 900)
	if !r.Paced(1, now) {
		t.Error("it is not slow")
	}
	if r.Paced(1, now) {
		t.Error("it has turned out to be slow twice")
	}
}

// A machine is slow for as long as it has said, also if an earlier word of it comes later, and
// is one of those that may be slow at a time.
func TestSlowMachineSaysSo(t *testing.T) {
	const d = slowFor / 2
	r := ring("n0:3537", 4)
	heard(r, epoch, 900, 900)
	slow := Pace{1, d}
	if !r.Heard("n3:3537", slow, epoch) || r.Heard("n3:3537", slow, epoch) || r.Heard("elsewhere:1", slow, epoch) {
		t.Error("that a machine is slow is not told once")
	}
	r.Heard("n3:3537", Pace{Rate: 900}, epoch)
	if r.Slow("n3:3537", epoch.Add(-1)) || !r.Slow("n3:3537", epoch.Add(d-1)) || r.Slow("n3:3537", epoch.Add(d)) {
		t.Errorf("it is not slow for %v from when it has said so", d)
	}
	if r.Paced(1, epoch) {
		t.Error("two of four machines are slow")
	}
	now := epoch.Add(d)
	heard(r, now, 900, 900, 900)
	if !r.Paced(1, now) || r.Says(7, now) != (Pace{7, slowFor}) || r.Says(7, now.Add(slowFor)) != (Pace{7, 0}) {
		t.Error("this machine does not say that it is slow, though it is the only one")
	}
}

// A machine that says only its pace was not slow before it said so: a flight that asked it then is
// not one that asked a slow machine for want of another one.
func TestMachineThatSaysItsPaceWasNotSlow(t *testing.T) {
	r := ring("n0:3537", 4)
	r.Heard("n3:3537", Pace{Rate: 900}, epoch)
	r.Paced(900, epoch)
	for _, name := range []string{"n3:3537", "n0:3537"} {
		if r.Slow(name, epoch.Add(-1)) || r.Slow(name, epoch) {
			t.Errorf("%s was slow, though it has never said so", name)
		}
	}
	r.Heard("n3:3537", Pace{Slow: time.Second}, epoch)
	if r.Slow("n3:3537", epoch.Add(-1)) || !r.Slow("n3:3537", epoch) {
		t.Error("a machine is slow from another time on than that at which it says so")
	}
}

// A slow machine that owned an extent is asked whether it has it before the origin is, also where
// so many others come before it that it is not among the ranks.
func TestNewOwnerAsksTheSlowOne(t *testing.T) {
	const machines = 3 * maxRank
	names := make([]string, machines)
	for i := range names {
		names[i] = fmt.Sprintf("n%d:3537", i)
	}
	r := NewRing(names[0], names)
	var k Key
	var rank []string
	for e := int64(0); len(rank) < 2 || rank[1] != r.Self(); e++ {
		k = KeyOf("f", e)
		rank = r.Rank(k, nil, epoch)
	}
	owner := rank[0]
	r.Heard(owner, Pace{Slow: time.Second}, epoch)
	if got := r.Rank(k, nil, epoch); got[0] != r.Self() || slices.Contains(got, owner) {
		t.Fatalf("the rank is %v", got)
	}
	c := r.Course(k, false, nil, epoch)
	ask := c.Next()
	if ask.Kind != Probe || !slices.Contains(ask.Peers, owner) {
		t.Fatalf("the new owner asks %+v", ask)
	}
	c.Found([]string{owner}, nil, epoch)
	expect(t, c, Cached, owner)
}

// Prefetch does not take an extent from a slow machine that a busy one names; a reader does.
func TestSlowMachineIsNamedInVain(t *testing.T) {
	for _, urgent := range []bool{false, true} {
		r := ring("n0:3537", 4)
		k := ownedBy(t, r, "n1:3537")
		r.Heard("n3:3537", Pace{Slow: time.Second}, epoch)
		c := r.Course(k, urgent, nil, epoch)
		expect(t, c, Fetch, "n1:3537")
		c.Note(Busy, []string{"n3:3537"}, epoch)
		if urgent {
			expect(t, c, Cached, "n3:3537")
		} else {
			expect(t, c, Later)
		}
	}
}
