package origintest

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
)

// statuses asks n times and returns what was answered.
func (x *fixture) statuses(n int) []int {
	var all []int
	for range n {
		all = append(all, x.get("bytes=0-9").status)
	}
	return all
}

func TestSelectorsThatCount(t *testing.T) {
	const ok, no = 206, 503
	tests := []struct {
		faults []*Fault
		want   []int
	}{
		{[]*Fault{Status(no)}, []int{no, no, no, no}},
		{[]*Fault{Status(no).Times(2)}, []int{no, no, ok, ok}},
		{[]*Fault{Status(no).After(2)}, []int{ok, ok, no, no}},
		{[]*Fault{Status(no).After(1).Times(1)}, []int{ok, no, ok, ok}},
		{[]*Fault{Status(no).Every(1)}, []int{no, no}},
		{[]*Fault{Status(no).Every(3)}, []int{ok, ok, no, ok, ok, no, ok}},
		{[]*Fault{Status(no).After(1).Every(2).Times(2)}, []int{ok, ok, no, ok, no, ok, ok}},
		{[]*Fault{Status(no).Times(2), Status(429).Times(1)}, []int{no, no, 429, ok}},
		{[]*Fault{Status(no).Every(2), Status(429)}, []int{429, no, 429, no}},
		{[]*Fault{Status(no).Chance(0, 1)}, []int{ok, ok, ok}},
		{[]*Fault{Status(no).Chance(1, 1)}, []int{no, no, no}},
	}
	for _, tt := range tests {
		t.Run(tt.faults[0].String(), func(t *testing.T) {
			x := newFixture(t)
			x.Inject(tt.faults...)
			if got := x.statuses(len(tt.want)); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			hits := 0
			for _, s := range tt.want {
				if s == no {
					hits++
				}
			}
			wantHits(t, tt.faults[0], hits)
		})
	}
}

func TestChanceDependsOnTheSeedOnly(t *testing.T) {
	run := func(seed uint64) []int {
		x := newFixture(t)
		x.Inject(Status(503).Chance(0.5, seed))
		return x.statuses(64)
	}
	one := run(1)
	if again := run(1); !reflect.DeepEqual(one, again) {
		t.Errorf("same seed: %v, then %v", one, again)
	}
	if other := run(2); reflect.DeepEqual(one, other) {
		t.Errorf("another seed: again %v", one)
	}
}

func TestSelectorsThatMatch(t *testing.T) {
	type req struct{ method, path, rang string }
	whole := req{"GET", "/a.tar", ""}
	first := req{"GET", "/a.tar", "bytes=0-9"}
	tests := []struct {
		fault *Fault
		req   req
		want  bool
	}{
		{Status(418).On("/a.tar"), whole, true},
		{Status(418).On("/*.tar"), whole, true},
		{Status(418).On("*.tar"), whole, true},
		{Status(418).On("*.tar"), req{"GET", "/deep/er/a.tar", ""}, true},
		{Status(418).On("/*.tar"), req{"GET", "/deep/er/a.tar", ""}, false},
		{Status(418).On("/b.tar"), whole, false},
		{Status(418).Method("HEAD"), whole, false},
		{Status(418).Method("HEAD"), req{"HEAD", "/a.tar", ""}, true},
		{Status(418).Ranged(), whole, false},
		{Status(418).Ranged(), first, true},
		{Status(418).Ranged(), req{"GET", "/a.tar", "bytes=100000-"}, false},
		{Status(418).LongerThan(10), first, false},
		{Status(418).LongerThan(9), first, true},
		{Status(418).LongerThan(size - 1), whole, true},
		{Status(418).Covering(9), first, true},
		{Status(418).Covering(10), first, false},
		{Status(418).Covering(size - 1), whole, true},
		{Status(418).Covering(size), whole, false},
		{Status(418).Covering(size - 1), req{"GET", "/a.tar", "bytes=-1"}, true},
		{Status(418).When(func(r *http.Request) bool { return r.URL.Query().Has("k") }), whole, false},
		{Status(418).When(func(r *http.Request) bool { return r.URL.Query().Has("k") }), req{"GET", "/a.tar?k", ""}, true},
		{Status(418).Method("GET").On("*.zip"), whole, false},
	}
	for _, tt := range tests {
		t.Run(tt.fault.String()+" "+tt.req.path+tt.req.rang, func(t *testing.T) {
			x := newFixture(t)
			x.Inject(tt.fault)
			a := x.ask(tt.req.method, tt.req.path, "Range", tt.req.rang)
			if got := a.status == 418; got != tt.want {
				t.Errorf("status %d", a.status)
			}
			if got := tt.fault.Hits() == 1; got != tt.want {
				t.Errorf("%d hits", tt.fault.Hits())
			}
		})
	}
}

func TestString(t *testing.T) {
	all := func(*http.Request) bool { return true }
	tests := []struct {
		fault *Fault
		want  string
	}{
		{CutAfter(4096).On("/a.tar").Every(3), "CutAfter(4096) on /a.tar every 3"},
		{Status(503, "Retry-After", "3").Times(2), `Status(503, "Retry-After", "3") times 2`},
		{Throttle(9).Method("GET").After(1).Chance(0.25, 7).When(all), "Throttle(9) method GET after 1 chance 0.25 seed 7 when func"},
		{Swap(Text("abc")), "Swap(seed 0, size 3)"},
		{NoRanges().Ranged().LongerThan(8).Covering(9), "NoRanges() ranged longer than 8 covering 9"},
		{LimitOpen(2, 429, "Retry-After", "1"), `LimitOpen(2, 429, "Retry-After", "1")`},
		{CloseOpen(2), "CloseOpen(2)"},
	}
	for _, tt := range tests {
		if got := tt.fault.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestMalformedGlobPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Status(503).On("[")
}

// Faults of all kinds meet one answer, in whatever order they are injected.
func TestFaultsCompose(t *testing.T) {
	x := newFixture(t)
	faults := []*Fault{
		CutAfter(10), PauseAfter(5, 1), Throttle(1 << 20), FirstByteAfter(1),
		WeakETag(), CompleteLength("*"), ShortRange(50), ShiftRange(100),
		Swap(File{Content: content, ETag: "v2"}),
	}
	x.Inject(faults...)
	x.get("bytes=200-299").expect(t).code(206).contentLength(50).bytesUntilEnd(300, 10).
		field("ETag", `W/"v2"`).
		field("Content-Range", "bytes 300-349/*")
	for _, f := range faults {
		wantHits(t, f, 1)
	}
}

// A fault with nothing to change is not counted.
func TestFaultsThatDoNotApply(t *testing.T) {
	x := newFixture(t)
	idle := []*Fault{
		NoRanges(), NoLength(), ShortRange(1), ShiftRange(1), WholeAs206(), Multipart(),
		LyingAcceptRanges(), RangeAs200(), WideRange(1, 1), RotateETag(), WeakETag(), Gzip(), LongBody(1),
		WrongContentRange("x"), CompleteLength("9"), HeadLength(1), Status(502),
		CutAfter(1000), ResetAfter(1000), StallAfter(1000), EndAfter(1000),
		Swap(Text("x")).On("/none"),
	}
	x.Inject(Status(503))
	x.Inject(idle...)
	x.get("bytes=0-9999").expect(t).code(503).text("503")
	x.Clear()
	whole := []*Fault{
		ShortRange(1), ShiftRange(1), WholeAs206(), Multipart(), LyingAcceptRanges(), RangeAs200(), WideRange(1, 1),
		WrongContentRange("x"), CompleteLength("9"), HeadLength(1), RefuseHead(403),
		CutAfter(size), ResetAfter(size), StallAfter(size), EndAfter(size), PauseAfter(size, 1),
	}
	x.Inject(whole...)
	x.get("").expect(t).code(200).contentLength(size).bytesAt(0, size)
	x.ask("POST", "/a.tar").expect(t).code(405)
	for _, f := range append(idle, whole...) {
		wantHits(t, f, 0)
	}
}

func TestClear(t *testing.T) {
	x := newFixture(t)
	x.Inject(Status(503))
	x.get("").expect(t).code(503)
	x.Clear()
	x.get("").expect(t).code(200)
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPipeFixture(t)
		f := Status(503)
		x.Inject(f)
		done := make(chan error, 1)
		go func() { done <- f.Wait(t.Context(), 2) }() // awaited below
		synctest.Wait()
		x.get("")
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("returned %v after one hit", err)
		default:
		}
		x.get("")
		if err := <-done; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.Wait(ctx, 3); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// Times holds when many requests arrive at once.
func TestConcurrentHits(t *testing.T) {
	x := newFixture(t)
	f := Status(503).Times(10)
	x.Inject(f, RotateETag())
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() { // awaited below
			for range 10 {
				x.get("bytes=0-9")
			}
		})
	}
	clients.Wait()
	wantHits(t, f, 10)
	refused := 0
	for _, r := range x.Log() {
		if r.Status == 503 {
			refused++
		}
	}
	if refused != 10 || x.Counts().Requests != 80 {
		t.Errorf("%d refused, %+v", refused, x.Counts())
	}
}
