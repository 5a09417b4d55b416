//go:build linux

package fs

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch"
	"dlfs/fetch/origintest"
)

func TestWalkSteps(t *testing.T) {
	for _, tt := range []struct {
		what  string
		steps []int
		want  int // how many are foreseen after the last step
	}{
		{"two in order", []int{0, 1}, 0},
		{"three in order", []int{0, 1, 2}, 6},
		{"from the middle", []int{500, 501, 502}, 6},
		{"many in order", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, walkAhead},
		{"one again and again", []int{7, 7, 7, 7, 7, 7}, 0},
		{"each twice", []int{50, 50, 51, 51, 52, 52}, 6},
		{"the order of another language", []int{100, 103, 101, 102}, 8},
		{"here and there", []int{100, 900, 300, 700, 50, 400}, 0},
		{"a jump", []int{0, 1, 2, 3, 500}, 0},
	} {
		var w walk
		got := 0
		for _, i := range tt.steps {
			_, got = w.step(i, 1000)
		}
		if got != tt.want {
			t.Errorf("%s: %d names are foreseen, want %d", tt.what, got, tt.want)
		}
	}
}

// Who opens files of a directory in no order, many in quick succession, has any of them
// foreseen, and in the end each.
func TestWalkInNoOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const names = 200
		var w walk
		at := func(k int) int { return k * 73 % names } // far apart
		foreseen := map[int]bool{}
		for k := range names / 2 {
			<-time.After(50 * time.Millisecond)
			from, n := w.step(at(k), names)
			if n > 0 && k < max(walkMany, names/walkShare)-1 {
				t.Fatalf("names are foreseen after %d", k+1)
			}
			for i := range n {
				foreseen[from+i] = true
			}
		}
		if len(foreseen) < names {
			t.Errorf("%d of %d names are foreseen", len(foreseen), names)
		}
		for k := range names { // a user who takes a file now and then
			<-time.After(2 * walkPause)
			if _, n := w.step(at(k), names); n > 0 {
				t.Fatal("names are foreseen though there is time between them")
			}
		}
	})
}

// Who opens the files of a directory in order has the next ones fetched before they are
// opened.
func TestFilesInOrderAreForeseen(t *testing.T) {
	x := newRig(t)
	x.config.Prefetch = fetch.PrefetchNone
	for i := range 20 {
		x.add(fmt.Sprintf("d/%02d", i), bs+1)
	}
	var once sync.Once
	asked := make(chan struct{})
	seen := origintest.Status(500).When(func(r *http.Request) bool {
		if r.Method == http.MethodGet && r.URL.Path == "/d/07" {
			once.Do(func() { close(asked) })
		}
		return false
	})
	x.Inject(seen)
	x.start()
	for i := range 4 {
		name := fmt.Sprintf("d/%02d", i)
		x.read(x.open(name), name, 0, bs+1)
	}
	x.join(asked, "the eighth file is not asked for though four were opened")
	for i := range 20 {
		name := fmt.Sprintf("d/%02d", i)
		x.read(x.open(name), name, 0, bs+1)
		if n := x.Counts().Paths["/"+name].BodyBytes; n != bs+1 {
			t.Errorf("%s: %d bytes were sent", name, n)
		}
	}
}

// Who asks for the sizes of files in order has those of the next ones found out.
func TestSizesInOrderAreForeseen(t *testing.T) {
	x := newRig(t)
	for i := range 20 {
		x.add(fmt.Sprintf("d/%02d", i), bs)
	}
	var once sync.Once
	asked := make(chan struct{})
	x.Inject(origintest.Status(500).When(func(r *http.Request) bool {
		if r.URL.Path == "/d/07" {
			once.Do(func() { close(asked) })
		}
		return false
	}))
	x.start()
	for i := range 4 {
		_, err := os.Stat(x.path(fmt.Sprintf("d/%02d", i)))
		must(t, err)
	}
	x.join(asked, "the size of the eighth file is not asked for though those of four were")
	if n := x.Counts().BodyBytes; n != 0 {
		t.Errorf("%d bytes were sent", n)
	}
}
