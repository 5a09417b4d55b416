package hosts

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestFigures: the busiest host comes first, with its flights by class.
func TestFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hs := New(8)
		hs.Host("idle")
		busy := hs.Host("busy")
		if err := busy.TakeReader(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if !busy.Try(Bulk) {
				t.Fatal("no place")
			}
		}
		if !busy.Try(Ahead) {
			t.Fatal("no place")
		}
		end := busy.Rest(true)
		busy.Expect()
		busy.FirstByte(90 * time.Millisecond)
		want := Figures{Host: "busy", Readers: 1, Ahead: 1, Prefetch: 2, Resting: 1}
		if list, n := hs.Figures(1); n != 2 || len(list) != 1 || list[0] != want {
			t.Errorf("%d hosts, %+v, want %+v", n, list, want)
		}
		end()
		busy.Heard()
		busy.Landed(1000)
		want = Figures{Host: "busy", Readers: 1, Ahead: 1, Prefetch: 3, Rate: 1000, FirstByte: 0.06}
		if list, _ := hs.Figures(5); list[0] != want || list[1] != (Figures{Host: "idle"}) {
			t.Errorf("%+v, want %+v", list, want)
		}
		<-time.After(time.Minute)
		if list, _ := hs.Figures(5); !list[0].Stuck || list[1].Stuck {
			t.Errorf("after a minute of silence: %+v", list)
		}
	})
}
