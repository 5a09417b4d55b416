package fetch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// drawn is a map in one line: the tenths and the first letter of the state of each cell.
func drawn(d Detail) string {
	var b strings.Builder
	for _, c := range d.Map {
		b.WriteString(strings.Repeat(fmt.Sprintf("%s ", c.State[:1]), c.Count))
	}
	return strings.TrimSpace(b.String())
}

// TestMapOfAFile: the map tells blocks that are present, in flight, awaited and missing,
// in as many cells as were asked for.
func TestMapOfAFile(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("f", 20*bs-5)
		let := make(chan struct{})
		held := origintest.HoldAfter(bs, let).Covering(10 * bs)
		x.Inject(held)
		x.start()
		if d := x.Inspect(x.File("f"), 100); len(d.Map) != 0 || d.Size != -1 || len(d.Mirrors) != 1 {
			t.Errorf("before it is known: %+v", d)
		}
		if _, err := x.File("f").Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := x.Inspect(x.File("f"), 100); drawn(d) != strings.TrimSpace(strings.Repeat("m ", 20)) || d.CellBytes != bs {
			t.Errorf("before anything of it is there: %+v", d)
		}
		check(t, x.readOnce("f", 0, 2*bs))
		check(t, x.readOnce("f", 5*bs, bs))
		h := x.open("f")
		defer h.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		read := x.reader(ctx, h, 9*bs, 3*bs)
		check(t, held.Wait(t.Context(), 1))
		advance(1e9)
		d := x.Inspect(x.File("f"), 100)
		if got, want := drawn(d), "p p m m m p m m m p a a m m m m m m m m"; got != want {
			t.Errorf("map %q, want %q", got, want)
		}
		if d.CellBytes != bs || d.BlockBytes != bs || d.Readers != 1 || d.ETag == "" || d.Mirrors[0].Flights != 1 {
			t.Errorf("%+v", d)
		}
		if got := drawn(x.Inspect(x.File("f"), 5)); got != "p p a m m" { // the first two are partial
			t.Errorf("map of five cells %q", got)
		}
		if d := x.Inspect(x.File("f"), 5); d.Map[0].Tenths != 5 || d.Map[1].Tenths != 2 || d.CellBytes != 4*bs {
			t.Errorf("five cells: %+v", d)
		}
		if got := drawn(x.Inspect(x.File("f"), 0)); got != "a" {
			t.Errorf("map of one cell %q", got)
		}
		waits, all := x.Waits(10)
		if all != 1 || len(waits) != 1 || waits[0].Name != "f" || waits[0].Readers != 1 || waits[0].Offset != 10*bs || waits[0].Since.IsZero() {
			t.Errorf("waits %d: %+v", all, waits)
		}
		if figures, n := x.Hosts(10); n != 1 || figures[0].Host != "origin" || figures[0].Readers != 1 {
			t.Errorf("hosts %d: %+v", n, figures)
		}
		close(let)
		check(t, <-read)
		if waits, all := x.Waits(10); all != 0 || waits == nil {
			t.Errorf("waits when nothing is awaited: %+v", waits)
		}
		x.read(h, 0, 20*bs)
		if d := x.Inspect(x.File("f"), 3); drawn(d) != "p p p" || len(d.Map) != 1 || d.Map[0].Tenths != 10 {
			t.Errorf("a complete file: %+v", d)
		}
	})
}

// TestWaitsForFirstContact: those who ask for a file whose version is not known are told, with
// the time since when the origin has been asked, until it answers or they give up.
func TestWaitsForFirstContact(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 10*bs)
		let := make(chan struct{})
		held := origintest.HoldAfter(-1, let)
		x.Inject(held)
		x.start()
		begin := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		for _, ctx := range []context.Context{ctx, t.Context()} {
			go func() { // ends with the contact, or with ctx
				_, err := x.File("a").Probe(ctx)
				ended <- err
			}()
		}
		check(t, held.Wait(t.Context(), 1))
		advance(1e9)
		if waits, all := x.Waits(10); all != 1 || waits[0].Name != "a" || waits[0].Readers != 2 || waits[0].Offset != 0 || !waits[0].Since.Equal(begin) {
			t.Errorf("waits %d: %+v", all, waits)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up: %v", err)
		}
		if waits, all := x.Waits(10); all != 1 || waits[0].Readers != 1 {
			t.Errorf("waits %d: %+v", all, waits)
		}
		close(let)
		check(t, <-ended)
		if waits, all := x.Waits(10); all != 0 {
			t.Errorf("waits after the answer: %+v", waits)
		}
	})
}

// TestWaitsAreOfFiles: readers of several flights of a file are one wait, and the longest
// wait comes first.
func TestWaitsAreOfFiles(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 100*bs)
		x.add("b", 100*bs)
		let := make(chan struct{})
		held := origintest.HoldAfter(0, let).Method("GET")
		x.start()
		a, b := x.open("a"), x.open("b")
		x.Inject(held)
		var reads []<-chan error
		for i, h := range []*Handle{b, a, a} {
			reads = append(reads, x.reader(t.Context(), h, int64(40-20*i)*bs, bs))
			check(t, held.Wait(t.Context(), i+1))
			advance(1e9)
		}
		waits, all := x.Waits(1)
		if all != 2 || len(waits) != 1 || waits[0].Name != "b" || waits[0].Offset != 40*bs {
			t.Errorf("%d waits: %+v", all, waits)
		}
		if waits, _ = x.Waits(5); len(waits) != 2 || waits[1].Readers != 2 || waits[1].Offset != 20*bs {
			t.Errorf("waits: %+v", waits)
		}
		close(let)
		for _, r := range reads {
			check(t, <-r)
		}
	})
}

// TestDetailHoldsNoSecret: what grants access is in no detail, whatever failed.
func TestDetailHoldsNoSecret(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("f", bs)
		x.entries[0].URL = strings.Replace(x.url, "http://", "http://user:CANARY@", 1) + "/f?sig=CANARY"
		x.Inject(origintest.Status(403))
		x.start()
		x.readOnce("f", 0, bs) // fails
		d := x.Inspect(x.File("f"), 10)
		if d.Error == "" || d.Mirrors[0].Error == "" {
			t.Errorf("no error in %+v", d)
		}
		if text := fmt.Sprintf("%+v", d); strings.Contains(text, "CANARY") {
			t.Errorf("a secret in %s", text)
		}
	})
}

// TestMapTellsWhatWasEvicted: blocks that made room are told from those that never came,
// until they come again.
func TestMapTellsWhatWasEvicted(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.bounded()
		x.add("f", 8*bs)
		x.start()
		check(t, x.readOnce("f", 0, 4*bs))
		freed, err := x.File("f").Evict()
		check(t, err)
		if freed != 4*bs {
			t.Errorf("%d bytes were evicted", freed)
		}
		if got := drawn(x.Inspect(x.File("f"), 8)); got != "e e e e m m m m" {
			t.Errorf("map after eviction %q", got)
		}
		check(t, x.readOnce("f", 0, bs))
		if got := drawn(x.Inspect(x.File("f"), 8)); got != "p e e e m m m m" {
			t.Errorf("map after one came again %q", got)
		}
	})
}
