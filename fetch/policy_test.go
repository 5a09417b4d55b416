package fetch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch/origin"
	"dlfs/fetch/origintest"
)

func TestOnChangePolicies(t *testing.T) {
	for _, policy := range []Change{Restart, Fail, Keep} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 4<<20)
			x.opts.OnChange = policy
			x.start()
			h := x.open("a")
			defer h.Close()
			x.read(h, 0, bs)
			was := x.contents["a"]
			x.show("a", other(was, 0))
			check(t, x.Run(t.Context()))
			switch policy {
			case Restart:
				x.materialized("a")
				return
			case Fail:
				if _, err := x.File("a").Open(t.Context()); origin.KindOf(err) != origin.Changed {
					t.Errorf("a new open gets %v", err)
				}
			case Keep:
				again := x.open("a")
				x.read(again, 0, bs)
				again.Close()
			}
			x.wantState("a", "failed", "changed")
			if x.File("a").Blob().Present() == 0 {
				t.Errorf("%s dropped what was there", policy)
			}
			p := make([]byte, 100)
			n, err := h.ReadAt(t.Context(), p, 100)
			check(t, err)
			check(t, was.Check(p[:n], 100))
			if err := x.tryRead(t.Context(), h, 2<<20, 10); origin.KindOf(err) != origin.Changed {
				t.Errorf("a missing block gives %v", err)
			}
		})
	}
}

func TestDeadHostHoldsNobodyUp(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i := range 40 {
			x.add(fmt.Sprintf("dead%d", i), 1<<20)
		}
		for i := range 10 {
			x.add(fmt.Sprintf("live%d", i), 1<<20)
		}
		live := x.mirrors("live")[0]
		for i := range x.entries {
			x.entries[i].Details = nil
			if i >= 40 {
				x.entries[i].URL = "http://live/" + x.entries[i].Name
			}
		}
		stall := origintest.StallAfter(-1)
		x.Inject(stall)
		x.opts.Keep = true
		x.start()
		defer x.background()()
		for x.Totals().FilesComplete < 10 {
			advance(time.Second)
		}
		for i := range 10 {
			x.wantState(fmt.Sprintf("live%d", i), "complete", "")
		}
		wantHit(t, stall)
		if live.Counts().BodyBytes != 10<<20 {
			t.Errorf("the live host sent %d bytes", live.Counts().BodyBytes)
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i := range 4 {
			x.add(fmt.Sprint(i), 8<<20)
		}
		x.opts.Keep = true
		x.Inject(origintest.Throttle(1 << 20))
		x.start()
		defer x.background()()
		advance(2 * time.Second)
		x.Pause()
		advance(2 * time.Second)
		sent := x.Counts().BodyBytes
		if !x.Totals().Paused || sent == 0 {
			t.Errorf("totals: %+v", x.Totals())
		}
		advance(time.Minute)
		x.wantBodyBytes(sent, sent)
		h := x.open("3")
		x.read(h, 7<<20, 100) // readers go on
		h.Close()
		synctest.Wait()
		x.Resume()
		<-x.Done()
		x.materialized(x.names()...)
		x.wantBodyBytes(32<<20, 33<<20)
	})
}

func TestWhatExpiresFirstIsFetchedFirst(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		now := time.Now().Unix()
		for i, life := range []int64{0, 3 * 3600, 7200, 10 * 3600} {
			x.add(fmt.Sprint(i), 1<<20)
			if life > 0 {
				x.entries[i].URL += fmt.Sprintf("?oe=%X", now+life)
			}
		}
		x.opts.Order, x.opts.Jobs, x.opts.Split, x.opts.Prefetch = ExpiryOrder, 1, 1, All
		x.start()
		first, n := x.Expiry()
		if n != 3 || first.Unix() != now+7200 {
			t.Errorf("first of %d expires %v", n, first)
		}
		check(t, x.Run(t.Context()))
		var order string
		for _, r := range x.Log() {
			if r.Method == "GET" {
				order += r.Path
			}
		}
		if order != "/2/1/3/0" {
			t.Errorf("fetched in the order %s", order)
		}
		if _, n := x.Expiry(); n != 0 {
			t.Errorf("%d complete files expire", n)
		}
	})
}
