package origintest

import (
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestCounts(t *testing.T) {
	x := newFixture(t)
	x.get("")
	x.get("bytes=0-99")
	x.get("bytes=200000-") // 416, with a small body
	x.ask("HEAD", "/a.tar")
	missing := x.ask("GET", "/b")
	small := int64(len("<html><body><h1>416 Requested Range Not Satisfiable</h1></body></html>\n"))
	a := size + 100 + small
	want := Counts{
		Requests: 5, Heads: 1, Gets: 4, Ranged: 2, MaxOpen: 1, Conns: 1,
		BodyBytes: a + int64(len(missing.body)),
		Paths: map[string]PathCounts{
			"/a.tar": {Requests: 4, BodyBytes: a},
			"/b":     {Requests: 1, BodyBytes: int64(len(missing.body))},
		},
	}
	if got := x.Counts(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	x.ResetCounts()
	if got, want := x.Counts(), (Counts{Paths: map[string]PathCounts{}}); !reflect.DeepEqual(got, want) {
		t.Errorf("after reset: got %+v", got)
	}
	if log := x.Log(); len(log) != 0 {
		t.Errorf("after reset: log %v", log)
	}
}

func TestCountsAreSnapshots(t *testing.T) {
	x := newFixture(t)
	x.get("")
	before, log := x.Counts(), x.Log()
	x.get("")
	if before.Paths["/a.tar"].Requests != 1 || log[0].BodyBytes != size {
		t.Errorf("%+v, %v changed afterwards", before, log)
	}
}

func TestLog(t *testing.T) {
	x := newFixture(t)
	x.Inject(ShortRange(5).Times(1))
	x.ask("GET", "/a.tar?k=v", "Range", "bytes=10-19", "Accept-Encoding", "identity")
	x.ask("HEAD", "/none")
	log := x.Log()
	if len(log) != 2 {
		t.Fatalf("log: %v", log)
	}
	first := log[0]
	if got := first.Header.Get("Accept-Encoding"); got != "identity" {
		t.Errorf("Accept-Encoding: %q", got)
	}
	first.Header = nil
	want := Request{
		Method: "GET", Path: "/a.tar", Query: "k=v", Range: "bytes=10-19",
		Status: 206, BodyBytes: 5, Faults: []string{"ShortRange(5) times 1"},
	}
	if !reflect.DeepEqual(first, want) {
		t.Errorf("got %+v\nwant %+v", first, want)
	}
	if got, want := first.String(), "GET /a.tar?k=v bytes=10-19: 206, 5 bytes, ShortRange(5) times 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := log[1].String(), "HEAD /none: 404, 0 bytes"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLogIsBounded(t *testing.T) {
	var tl tally
	tl.reset()
	const extra = 7
	for i := range maxLog + extra {
		r, _ := http.NewRequest("GET", fmt.Sprintf("/%d", i), nil)
		tl.open(r).close()
	}
	if n := len(tl.mu.log); n != maxLog {
		t.Errorf("%d requests in the log", n)
	}
	if first := tl.mu.log[0].Path; first != "/7" {
		t.Errorf("the log begins with %s", first)
	}
}

func TestMaxOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPipeFixture(t)
		x.Inject(FirstByteAfter(time.Second))
		var clients sync.WaitGroup
		for range 5 {
			clients.Go(func() { x.get("bytes=0-9") }) // awaited below
		}
		synctest.Wait()
		if n := x.Counts().Open; n != 5 {
			t.Errorf("Open is %d of 5", n)
		}
		x.ResetCounts()
		clients.Wait()
		x.get("bytes=0-9")
		if c := x.Counts(); c.Open != 0 || c.MaxOpen != 5 || c.Requests != 1 {
			t.Errorf("after reset and the end: %+v", c)
		}
	})
}

// A client that asks one request after the other is never seen to have two
// open, even on different connections.
func TestMaxOpenOfOneAtATime(t *testing.T) {
	x := newFixture(t)
	x.client.Transport.(*http.Transport).DisableKeepAlives = true
	for range 200 {
		x.get("bytes=0-9999").expect(t).code(206)
	}
	if n := x.Counts().MaxOpen; n != 1 {
		t.Errorf("MaxOpen is %d", n)
	}
	if n := x.Counts().Conns; n != 200 {
		t.Errorf("%d connections", n)
	}
}

// Bytes a client did not take are not counted.
func TestBodyBytesOfAClientThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPipeFixture(t)
		resp, err := x.client.Get(x.url + "/a.tar")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		synctest.Wait()
		c := x.Counts()
		if c.BodyBytes >= size || c.Open != 0 {
			t.Errorf("%d bytes counted, %d open", c.BodyBytes, c.Open)
		}
	})
}
