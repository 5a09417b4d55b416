package fetch

import (
	"fmt"
	"slices"
	"testing"

	"dlfs/fetch/origintest"
)

// TestSelect: files are found by a part of their name and by their state, in the order
// that is asked for.
func TestSelect(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("b/Two.bin", 2*bs)
		x.add("a/one.bin", 5*bs)
		x.add("c/gone.bin", bs)
		x.add("d/half.bin", 40*bs) // of a shorter one, a read brings all
		x.add("e/empty", 0)
		x.add("z/unasked.bin", bs)
		x.Inject(origintest.Status(404).On("gone.bin"))
		x.opts.Prefetch = PrefetchNone
		x.start()
		x.read(x.open("b/Two.bin"), 0, 2*bs)
		x.read(x.open("a/one.bin"), 0, 5*bs)
		x.open("e/empty")
		check(t, x.readOnce("d/half.bin", 0, bs))
		if err := x.readOnce("c/gone.bin", 0, bs); err == nil {
			t.Error("a file that is gone was read")
		}
		check(t, x.store.Sync(t.Context()))
		for _, tt := range []struct {
			q    Query
			want []string
		}{
			{Query{}, x.names()},
			{Query{Match: "BIN"}, []string{"b/Two.bin", "a/one.bin", "c/gone.bin", "d/half.bin", "z/unasked.bin"}},
			{Query{Match: "two"}, []string{"b/Two.bin"}},
			{Query{Match: "nowhere"}, nil},
			{Query{State: "failed"}, []string{"c/gone.bin"}},
			{Query{State: Trouble}, []string{"c/gone.bin"}},
			{Query{State: "unknown"}, []string{"z/unasked.bin"}},
			{Query{State: "waiting"}, []string{"d/half.bin"}},
			{Query{State: "mismatch"}, nil},
			{Query{Sort: "name"}, []string{"a/one.bin", "b/Two.bin", "c/gone.bin", "d/half.bin", "e/empty", "z/unasked.bin"}},
			{Query{Sort: "size", Desc: true, State: "complete"}, []string{"a/one.bin", "b/Two.bin", "e/empty"}},
			{Query{Sort: "progress", Match: "bin", Desc: true}, []string{"a/one.bin", "b/Two.bin", "d/half.bin", "z/unasked.bin", "c/gone.bin"}},
			{Query{Sort: "state", Match: "f"}, []string{"d/half.bin"}},
			{Query{Desc: true, State: "complete"}, []string{"e/empty", "a/one.bin", "b/Two.bin"}},
		} {
			files, err := x.Select(tt.q)
			check(t, err)
			var got []string
			for _, f := range files {
				got = append(got, f.Name())
			}
			if tt.q.Sort == "progress" { // what is equal has no order of its own
				slices.Sort(got[:2])
				slices.Sort(got[3:])
				tt.want = []string{"a/one.bin", "b/Two.bin", "d/half.bin", "c/gone.bin", "z/unasked.bin"}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%+v selects %q, want %q", tt.q, got, tt.want)
			}
		}
		want := map[string]int{"unknown": 1, "waiting": 1, "fetching": 0, "complete": 3, "failed": 1, "needs-url": 0, "mismatch": 0}
		if got := fmt.Sprint(x.States()); got != fmt.Sprint(want) {
			t.Errorf("states %v, want %v", got, want)
		}
		for _, q := range []Query{{State: "broken"}, {Sort: "color"}} {
			if files, err := x.Select(q); err == nil {
				t.Errorf("%+v selects %d files", q, len(files))
			}
		}
	})
}

// TestFirstAndRetry: a file that is put first is fetched before the others, and a failed
// one that is tried again is fetched once its origin has it.
func TestFirstAndRetry(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.Inject(origintest.Status(404).On("last"), origintest.FirstByteAfter(1e9))
		for i := range 20 {
			x.add(fmt.Sprintf("file%02d", i), bs)
		}
		x.add("last", bs)
		x.opts.Serve, x.opts.Jobs = true, 1
		x.start()
		x.Pause()
		defer x.background()()
		if _, err := x.File("last").Probe(t.Context()); err == nil {
			t.Error("a file that is gone has a version")
		}
		x.wantState("last", "failed", "404")
		if x.Retry(x.File("file00")) {
			t.Error("a file that has not failed is tried again")
		}
		x.Clear()
		x.Inject(origintest.FirstByteAfter(1e9))
		if !x.Retry(x.File("last")) {
			t.Error("a failed file is not tried again")
		}
		x.wantState("last", "unknown", "")
		x.First(x.File("file19"))
		before := len(x.Log())
		x.Resume()
		advance(1e10)
		var order []string
		for _, r := range x.Log()[before:] {
			if r.Method == "GET" {
				order = append(order, r.Path)
			}
		}
		// Those that prefetch had begun when it was paused go on beside them.
		if len(order) < 5 || !slices.Contains(order[:5], "/last") || !slices.Contains(order[:5], "/file19") {
			t.Errorf("fetched in the order %q", order)
		}
	})
}
