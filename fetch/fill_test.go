package fetch

import (
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch/origintest"
)

// rangeless are the ways of origins to send only whole files.
func rangeless() []*origintest.Fault {
	return []*origintest.Fault{origintest.NoRanges(), origintest.LyingAcceptRanges()}
}

func TestOriginWithoutRanges(t *testing.T) {
	for _, fault := range rangeless() {
		bubble(t, func(t *testing.T, x *fixture) {
			for _, name := range []string{"a", "b", "c"} {
				x.add(name, 5<<20+3)
			}
			x.Inject(fault)
			x.start()
			check(t, x.Run(t.Context()))
			wantHit(t, fault)
			x.materialized(x.names()...)
			x.wantBodyBytes(3*(5<<20+3), 4*(5<<20+3)) // one of them may be asked for a part first
		})
	}
}

func TestReaderInTheMiddleOfAWholeStream(t *testing.T) {
	for _, fault := range rangeless() {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 5<<20+3)
			x.Inject(fault, origintest.Throttle(1<<20))
			x.start()
			h := x.open("a")
			defer h.Close()
			middle := x.reader(t.Context(), h, 3<<20, 1000)
			advance(2 * time.Second) // the stream is on its way
			x.read(h, 0, 1000)
			select {
			case <-middle:
				t.Error("the middle came before its time")
			default:
			}
			check(t, <-middle)
			wantHit(t, fault)
			x.read(h, 0, 6<<20)
			x.wantGets("a", 2) // the first one asked for a range
		})
	}
}

// All of them find out at the same time.
func TestManyFlightsLearnThereAreNoRanges(t *testing.T) {
	for _, fault := range rangeless() {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 40<<20)
			slow := origintest.FirstByteAfter(time.Second).Method("GET")
			x.Inject(fault, slow)
			x.start()
			together(t, 6, func(i int) error { return x.readOnce("a", int64(i)*6<<20, bs) })
			wantHit(t, fault, slow)
			check(t, x.Run(t.Context()))
			x.materialized("a")
			x.wantGets("a", 6+1)
		})
	}
}

func TestPrefetchOfAProbedFileWithoutRanges(t *testing.T) {
	for _, fault := range rangeless() {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 40<<20)
			x.Inject(fault, origintest.FirstByteAfter(time.Second).Method("GET"))
			x.start()
			x.open("a").Close() // its size is known, so it is split
			check(t, x.Run(t.Context()))
			wantHit(t, fault)
			x.wantState("a", "complete", "")
			x.materialized("a")
		})
	}
}

func TestWholeStreamOutlivesItsReader(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 4<<20)
		none := origintest.NoRanges()
		x.Inject(none)
		x.start()
		h := x.open("a")
		x.read(h, 0, 10)
		h.Close()
		synctest.Wait()
		advance(2 * time.Second) // for the store's syncer
		wantHit(t, none)
		x.wantState("a", "complete", "")
		x.materialized("a")
	})
}

func TestResumeWithoutRanges(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 8<<20+1)
		none, cut := origintest.NoRanges(), origintest.CutAfter(3<<20).Times(2)
		x.Inject(none, cut, origintest.Throttle(1<<20))
		x.start()
		stop := x.background()
		advance(6 * time.Second)
		stop()
		x.restart()
		h := x.open("a")
		defer h.Close()
		if h.Copy().Present() == 0 {
			t.Error("what was fetched is lost")
		}
		x.read(h, 7<<20, bs)
		check(t, x.Run(t.Context()))
		wantHit(t, none, cut)
		x.materialized("a")
	})
}

func TestHeadLies(t *testing.T) {
	for _, length := range []int64{1, 100, 2 << 20, -1} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("read", 1<<20+5)
			x.add("fetched", 1<<20+5)
			lie := origintest.HeadLength(length)
			x.Inject(lie)
			x.start()
			h := x.open("read")
			p := make([]byte, 1000)
			if n, err := h.ReadAt(t.Context(), p, 0); err == nil {
				check(t, x.contents["read"].Check(p[:n], 0))
			} else if length > 0 {
				wantError(t, err, ErrStale)
			}
			h.Close()
			check(t, x.readOnce("read", 1<<20, bs))
			check(t, x.Run(t.Context()))
			wantHit(t, lie)
			x.materialized("read", "fetched")
		})
	}
}

func TestHeadIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 3*bs)
		x.add("tiny", 7)
		refuse := origintest.RefuseHead(405)
		x.Inject(refuse)
		x.start()
		check(t, x.readOnce("a", 0, bs))
		check(t, x.readOnce("tiny", 0, bs))
		wantHit(t, refuse)
		x.wantGets("a", 1) // what told the length is kept
		x.wantGets("tiny", 1)
		check(t, x.Run(t.Context()))
		x.materialized("a", "tiny")
		x.wantBodyBytes(3*bs+7, 4*bs) // with the text of two refusals
	})
}
