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

// A machine is slow while it says so, and is one of those that may be slow at a time.
func TestSlowMachineSaysSo(t *testing.T) {
	r := ring("n0:3537", 4)
	heard(r, epoch, 900, 900)
	if !r.Heard("n3:3537", Pace{1, true}, epoch) || r.Heard("n3:3537", Pace{1, true}, epoch) || r.Heard("elsewhere:1", Pace{1, true}, epoch) {
		t.Error("that a machine is slow is not told once")
	}
	if !r.Slow("n3:3537", epoch.Add(slowFor-1)) || r.Slow("n3:3537", epoch.Add(slowFor)) {
		t.Errorf("it is not slow for %v after it has said so", slowFor)
	}
	if r.Paced(1, epoch) {
		t.Error("two of four machines are slow")
	}
	r.Heard("n3:3537", Pace{Rate: 900}, epoch)
	if r.Slow("n3:3537", epoch) {
		t.Error("it is slow and does not say so")
	}
	if !r.Paced(1, epoch) {
		t.Error("this machine is not slow, though it is the only one")
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
	r.Heard(owner, Pace{Slow: true}, epoch)
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
		r.Heard("n3:3537", Pace{Slow: true}, epoch)
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
