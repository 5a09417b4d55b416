package peers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var epoch = time.Unix(1e9, 0)

func ring(self string, n int) *Ring {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("n%d:3537", i))
	}
	return NewRing(self, names)
}

func TestHostListIsReadAsSlurmReadsIt(t *testing.T) {
	for list, want := range map[string]string{
		"a":                           "a:3537",
		"a,b":                         "a:3537 b:3537",
		"a,b:80":                      "a:80 b:80",
		"a:1,b:2":                     "a:1 b:2",
		"127.0.0.1:5001,127.0.0.2":    "127.0.0.1:5001 127.0.0.2:3537",
		"gpu[01-03]:9":                "gpu01:9 gpu02:9 gpu03:9",
		"n[8-11]":                     "n8:3537 n9:3537 n10:3537 n11:3537",
		"n[08-11]":                    "n08:3537 n09:3537 n10:3537 n11:3537",
		"n[1,3,5-6],login":            "n1:3537 n3:3537 n5:3537 n6:3537 login:3537",
		"r[1-2]n[1-2]":                "r1n1:3537 r1n2:3537 r2n1:3537 r2n2:3537",
		"dlfs-[0-1].dlfs:3537":        "dlfs-0.dlfs:3537 dlfs-1.dlfs:3537",
		"[::1]:4,[fe80::1]":           "[::1]:4 [fe80::1]:3537",
		"a,a,b":                       "a:3537 b:3537",
		" a , b ":                     "a:3537 b:3537",
		"n[099-101]":                  "n099:3537 n100:3537 n101:3537",
		"cn[1-2,04-05].cluster.local": "cn1.cluster.local:3537 cn2.cluster.local:3537 cn04.cluster.local:3537 cn05.cluster.local:3537",
	} {
		names, err := ParseHosts(list)
		if got := strings.Join(names, " "); got != want || err != nil {
			t.Errorf("%q is %q, %v; want %q", list, got, err, want)
		}
	}
	for _, list := range []string{"", ",", "a,,b", "a[1-", "a]1[", "a[[1]]", "a[3-1]", "a[x]", "a[]", "a:0", "a:99999", "a:x", "a[0-99999999]", "a[0-999]b[0-999]", "http://a/", "a b", ":80"} {
		if names, err := ParseHosts(list); err == nil {
			t.Errorf("%q is read as %d names, want an error", list, len(names))
		}
	}
}

func TestAllMachinesAgreeOnTheOwner(t *testing.T) {
	const machines, extents = 8, 4000
	counts := map[string]int{}
	for e := range int64(extents) {
		k := KeyOf("set/a.tar", e)
		owner := ring("n0:3537", machines).Rank(k, nil, epoch)[0]
		counts[owner]++
		for _, self := range []string{"n3:3537", "n7:3537"} {
			if got := ring(self, machines).Rank(k, nil, epoch)[0]; got != owner {
				t.Fatalf("extent %d: %s takes %s for the owner, and another machine %s", e, self, got, owner)
			}
		}
		without := NewRing("n0:3537", slices.DeleteFunc([]string{"n1:3537", "n2:3537", "n3:3537", "n4:3537", "n5:3537", "n6:3537", "n7:3537"}, func(n string) bool { return n != owner && n == "n7:3537" })).Rank(k, nil, epoch)[0]
		if without != owner {
			t.Fatalf("extent %d moves from %s to %s because another machine is gone", e, owner, without)
		}
	}
	for name, n := range counts {
		if n < extents/machines*3/4 || n > extents/machines*5/4 {
			t.Errorf("%s owns %d extents of %d", name, n, extents)
		}
	}
}

// Machines of different releases must agree, so the hash never changes.
func TestOwnerOfAnExtentStays(t *testing.T) {
	for _, c := range []struct {
		name  string
		index int64
		want  string
	}{{"a.bin", 0, "n0:3537"}, {"a.bin", 1, "n5:3537"}, {"dir/b.bin", 0, "n7:3537"}} {
		if got := ring("n0:3537", 8).Rank(KeyOf(c.name, c.index), nil, epoch)[0]; got != c.want {
			t.Errorf("extent %d of %s is %s's, want %s", c.index, c.name, got, c.want)
		}
	}
}

func TestExtentsAreSixteenMebibytes(t *testing.T) {
	for off, want := range map[int64][2]int64{0: {0, 16 << 20}, 1: {0, 16 << 20}, 16<<20 - 1: {0, 16 << 20}, 16 << 20: {1, 32 << 20}} {
		if index, end := Extent(off); index != want[0] || end != want[1] {
			t.Errorf("byte %d is in extent %d, which ends at %d", off, index, end)
		}
	}
}

func TestSilentMachineIsLeftOutForLonger(t *testing.T) {
	r, now := ring("n0:3537", 2), epoch
	for _, out := range []time.Duration{5, 10, 20, 40, 60, 60} {
		r.Failed("n1:3537", now)
		r.Failed("n1:3537", now) // of a request that was under way, too
		if at := now.Add(out*time.Second - 1); len(r.Rank(1, nil, at)) != 1 {
			t.Errorf("after %v it is asked again before %v have passed", now.Sub(epoch), out*time.Second)
		}
		now = now.Add(out * time.Second)
		if len(r.Rank(1, nil, now)) != 2 {
			t.Errorf("it is still left out after %v", out*time.Second)
		}
	}
	r.Answered("n1:3537")
	r.Failed("n1:3537", now)
	if len(r.Rank(1, nil, now.Add(5*time.Second))) != 2 {
		t.Error("after an answer, it is left out for more than 5 s")
	}
}

// ownedBy returns an extent's key that name owns in r.
func ownedBy(t *testing.T, r *Ring, name string) Key {
	for e := range int64(1000) {
		if k := KeyOf("f", e); r.Rank(k, nil, epoch)[0] == name {
			return k
		}
	}
	t.Fatalf("%s owns nothing", name)
	return 0
}

func expect(t *testing.T, c *Course, kind Kind, peers ...string) {
	t.Helper()
	if a := c.Next(); a.Kind != kind || len(peers) > 0 && !slices.Equal(a.Peers, peers) {
		t.Fatalf("next is %d of %v, want %d of %v", a.Kind, a.Peers, kind, peers)
	}
}

func TestBusyOwnerSendsToThoseItNames(t *testing.T) {
	r := ring("n0:3537", 4)
	k := ownedBy(t, r, "n1:3537")
	c := r.Course(k, false, nil, epoch)
	expect(t, c, Fetch, "n1:3537")
	c.Note(Busy, []string{"n2:3537", "evil:1"}, epoch)
	expect(t, c, Cached, "n2:3537")
	c.Note(Busy, []string{"n3:3537"}, epoch)
	expect(t, c, Cached, "n3:3537")
	c.Note(Absent, nil, epoch)
	expect(t, c, Later)

	c = r.Course(k, true, nil, epoch) // a reader does not wait
	c.Note(c.outcomeOf(Busy), nil, epoch)
	expect(t, c, Origin)
}

// outcomeOf has a Next before the Note of o, as it must.
func (c *Course) outcomeOf(o Outcome) Outcome {
	c.Next()
	return o
}

func TestNextRankOwnsWhereTheOwnerIsOfNoUse(t *testing.T) {
	for _, o := range []Outcome{Dead, Unfit} {
		r := ring("n0:3537", 4)
		k := ownedBy(t, r, "n1:3537")
		rank := r.Rank(k, nil, epoch)
		c := r.Course(k, false, nil, epoch)
		for _, name := range rank {
			if name == "n0:3537" {
				break
			}
			expect(t, c, Fetch, name)
			c.Note(o, nil, epoch)
		}
		for c.Next().Kind == Probe {
			c.Found(nil, nil, epoch)
		}
		expect(t, c, Origin)
		if out := r.isOut("n1:3537", epoch.Add(time.Second)); out != (o == Dead) {
			t.Errorf("after outcome %d the owner is left out: %v", o, out)
		}
	}
}

func TestOwnerAsksTheOthersBeforeTheOrigin(t *testing.T) {
	r := ring("n1:3537", 20)
	k := ownedBy(t, r, "n1:3537")
	c := r.Course(k, false, nil, epoch)
	if a := c.Next(); !c.Own() || a.Kind != Probe || len(a.Peers) != maxProbed {
		t.Fatalf("an owner begins with %v", a)
	}
	c.Found([]string{"n2:3537", "n3:3537"}, []string{"n4:3537"}, epoch)
	expect(t, c, Cached, "n2:3537")
	c.Note(Dead, nil, epoch)
	expect(t, c, Cached, "n3:3537")
	c.Note(Absent, nil, epoch)
	expect(t, c, Origin)
	if !r.isOut("n4:3537", epoch) || !r.isOut("n2:3537", epoch) {
		t.Error("machines that do not answer are not left out")
	}
}

// A machine that needs nothing more has the extent, most likely: it is asked for it, and the others
// are asked whether they have it if it does not.
func TestOwnerAsksFirstOneThatNeedsNothingMore(t *testing.T) {
	r := ring("n1:3537", 6)
	k := ownedBy(t, r, "n1:3537")
	r.Told("n4:3537", true)
	c := r.Course(k, false, nil, epoch)
	expect(t, c, Cached, "n4:3537")
	c.Note(Absent, nil, epoch)
	if a := c.Next(); a.Kind != Probe || len(a.Peers) != 5 {
		t.Fatalf("then it asks %v", a)
	}
	c.Found(nil, nil, epoch)
	expect(t, c, Origin)

	c = r.Course(k, false, nil, epoch)
	expect(t, c, Cached, "n4:3537")
	c.Note(Dead, nil, epoch)
	expect(t, c, Probe)
	r.Told("n5:3537", true)
	c = r.Course(k, false, nil, epoch) // the first one is left out now
	expect(t, c, Cached, "n5:3537")
}

// An extent that another machine asks for is never asked of a third that would have to get it.
func TestRequestIsNotPassedOn(t *testing.T) {
	r := ring("n0:3537", 6)
	c := r.Owned(ownedBy(t, r, "n1:3537"), nil, epoch)
	expect(t, c, Probe)
	c.Found([]string{"n5:3537"}, nil, epoch)
	expect(t, c, Cached, "n5:3537")
	c.Note(Busy, nil, epoch)
	expect(t, c, Origin)
}

func TestUnfitMachinesAreLeftOut(t *testing.T) {
	r := ring("n0:3537", 4)
	k := ownedBy(t, r, "n1:3537")
	c := r.Course(k, false, func(name string) bool { return name != "n0:3537" }, epoch)
	expect(t, c, Origin)
}

func TestHoldersAreThoseThatAskedBefore(t *testing.T) {
	var h Holders
	if named := h.Asked(1, "a"); len(named) != 0 {
		t.Errorf("the first one is told of %v", named)
	}
	if named := h.Asked(1, "b"); !slices.Equal(named, []string{"a"}) {
		t.Errorf("the second one is told of %v", named)
	}
	h.Gave(1, "c")
	for range 100 {
		named := h.Asked(1, "b")
		if len(named) == 0 || named[0] != "c" || len(named) > 2 || slices.Contains(named, "b") {
			t.Fatalf("b is told of %v", named)
		}
	}
	if named := h.Asked(2, "b"); len(named) != 0 {
		t.Errorf("of another extent, b is told of %v", named)
	}
	for k := range Key(extentsKept + 10) {
		h.Asked(k+10, "a")
	}
	if len(h.of) != extentsKept || len(h.old) != extentsKept {
		t.Errorf("%d extents are kept", len(h.of))
	}
}

func TestStatesAndReplacement(t *testing.T) {
	r := ring("n0:3537", 4)
	r.Failed("n1:3537", epoch)
	r.Told("n2:3537", true)
	want := []State{{"n1:3537", "out"}, {"n2:3537", "done"}, {"n3:3537", "up"}}
	if got := r.States(epoch); !slices.Equal(got, want) {
		t.Errorf("states are %v", got)
	}
	r.Replace([]string{"n0:3537", "n1:3537", "n9:3537"})
	if got := r.States(epoch); !slices.Equal(got, []State{{"n1:3537", "out"}, {"n9:3537", "up"}}) || r.Len() != 3 || r.Has("n2:3537") {
		t.Errorf("after another list, states are %v", got)
	}
	if r.Through() {
		t.Error("the others need nothing more, though no machine has said so")
	}
	r.Told("n1:3537", true)
	r.Told("n9:3537", true)
	if !r.Through() {
		t.Error("all have said that they need nothing more")
	}
}
