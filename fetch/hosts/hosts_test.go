package hosts

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/cache"
)

// A class never takes the place of another one, so no reader queues behind speculation.
func TestClassesHavePlacesOfTheirOwn(t *testing.T) {
	hs := NewShared(2, 3)
	h := hs.Host("h")
	for class, places := range map[Class]int{Ahead: 2, Bulk: 3} {
		for i := range places {
			if !h.Free(class) || !h.Try(class) {
				t.Fatalf("class %d: place %d of %d is not free", class, i+1, places)
			}
		}
		if h.Free(class) || h.Try(class) {
			t.Errorf("class %d has more than %d places", class, places)
		}
	}
	for range 2 {
		if err := h.TakeReader(t.Context()); err != nil {
			t.Fatalf("no place for a reader while the other classes are full: %v", err)
		}
	}
	full, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.TakeReader(full); !errors.Is(err, context.Canceled) {
		t.Errorf("a third reader gets a place of two: %v", err)
	}

	h.Put(Bulk)
	if h.Free(Ahead) || !h.Free(Bulk) {
		t.Error("a place that was given back went to another class")
	}
	if taken := hs.Taken(); !slices.Equal(taken, []string{"h"}) {
		t.Errorf("hosts with taken places: %q", taken)
	}
	for range 2 {
		h.PutReader()
		h.Put(Ahead)
		h.Put(Bulk)
	}
	h.Put(Demand) // a reader's place is given back by PutReader alone
	if taken := hs.Taken(); len(taken) > 0 || hs.Host("h") != h || hs.Host("other") == h {
		t.Errorf("when all is given back: %q", taken)
	}
}

// While a flight waits before another attempt, another one has its place. Its job is free as
// well if the host answers others, or has refused this request.
func TestARestingFlightLeavesItsPlace(t *testing.T) {
	for _, tt := range []struct {
		about            string
		answers, refused bool
		jobs             int
	}{
		{"host that never answered", false, false, 0},
		{"host that refused", false, true, 1},
		{"host that answers", true, false, 1},
	} {
		h := New(1).Host("h")
		if tt.answers {
			h.Heard()
		}
		if !h.Try(Bulk) || h.Try(Bulk) {
			t.Fatalf("%s: not one place", tt.about)
		}
		end := h.Rest(tt.refused)
		if h.Answers() != tt.answers || h.Rests() != tt.jobs || !h.Try(Bulk) {
			t.Errorf("%s: %d jobs are free, want %d", tt.about, h.Rests(), tt.jobs)
		}
		end()
		h.Put(Bulk) // of the flight that rested: two had the one place
		if h.Rests() != 0 || h.Free(Bulk) {
			t.Errorf("%s: a second place after the rest", tt.about)
		}
		if h.Put(Bulk); !h.Free(Bulk) {
			t.Errorf("%s: no place when no flight is left", tt.about)
		}
	}
}

// A host is stuck when it has sent nothing for a while, and sooner if it has never sent
// anything.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hs := New(1)
		mute, alive := hs.Host("mute"), hs.Host("alive")
		mute.Expect()
		alive.Heard()
		for _, tt := range []struct {
			after       time.Duration
			mute, alive bool
		}{
			{muteAfter, false, false},
			{muteAfter + time.Millisecond, true, false},
			{stuckAfter, true, false},
			{stuckAfter + time.Millisecond, true, true},
		} {
			synctest.Wait()
			advance(tt.after - time.Since(mute.born))
			if mute.Stuck() != tt.mute || alive.Stuck() != tt.alive {
				t.Errorf("after %v: %v and %v, want %v and %v", tt.after, mute.Stuck(), alive.Stuck(), tt.mute, tt.alive)
			}
		}
		if alive.Expect(); alive.Stuck() {
			t.Error("stuck although its time has begun anew")
		}
	})
}

// What a request is worth follows from how long hosts take to answer and how fast they send.
func TestWorth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(8).Host("h")
		if h.Worth() != 0 || h.Small() != leastSmall {
			t.Errorf("of an unknown host: worth %d, small %d", h.Worth(), h.Small())
		}
		for range 100 {
			h.FirstByte(100 * time.Millisecond)
			h.Landed(8 << 20)
		}
		if cost := h.RequestCost(); cost < 99*time.Millisecond || cost > 100*time.Millisecond {
			t.Errorf("a request costs %v, want 100 ms", cost)
		}
		want := int64(8 << 20 * worthCosts / 10)
		if worth := h.Worth(); worth%cache.BlockSize != 0 || worth > want || worth < want-2*cache.BlockSize {
			t.Errorf("worth %d bytes, want whole blocks just below %d", worth, want)
		}
		if small := h.Small(); small%cache.BlockSize != 0 || small > 8<<20/10 || small < 8<<20/10-2*cache.BlockSize {
			t.Errorf("small is %d bytes, want whole blocks just below %d", small, 8<<20/10)
		}
		for range 100 {
			h.Landed(1 << 30)
		}
		if h.Small() != mostSmall {
			t.Errorf("on a fast host small is %d, want %d at most", h.Small(), mostSmall)
		}
	})
}
