package origintest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// resume gets all of /a.tar as a careful client does, whatever it takes: it
// trusts only Content-Range, keeps what arrived, and asks for the rest.
func (x *fixture) resume(block int64) ([]byte, error) {
	var got []byte
	for range 10_000 {
		off := int64(len(got))
		if off == size {
			return got, nil
		}
		got = append(got, x.extent(off, min(block, size-off))...)
	}
	return got, fmt.Errorf("gave up at %d", len(got))
}

// extent asks for [off +n) and returns those bytes of the answer that are
// surely the first of it.
func (x *fixture) extent(off, n int64) []byte {
	ctx, cancel := context.WithTimeout(x.t.Context(), time.Minute)
	defer cancel()
	a := x.askCtx(ctx, "GET", "/a.tar",
		"Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1), "Accept-Encoding", "identity")
	var first, last, complete int64
	_, err := fmt.Sscanf(a.header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &complete)
	switch {
	case a.err != nil, err != nil, first != off, complete != size:
	case a.status != 206 && a.status != 200:
	case a.header.Get("Content-Encoding") != "", a.header.Get("Content-Type") != "application/octet-stream":
	default:
		return a.body[:min(int64(len(a.body)), n, last-first+1)]
	}
	return nil
}

// All that a careful client can see through, at once.
func TestStorm(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			x := newPipeFixture(t)
			x.weather(seed, stormFaults(seed))
			checkStatuses(t, x.Log())
		})
	}
}

// Over HTTP/2 a cut or a GOAWAY ends the requests of others, too.
func TestStormOverHTTP2(t *testing.T) {
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			x := newTLSPipeFixture(t, TLS{HTTP2: true})
			x.weather(seed, append(stormFaults(seed),
				GoAwayAfter(55).Chance(0.04, seed), StreamResetAfter(65).Chance(0.04, seed)))
		})
	}
}

// weather has four clients get the file in spite of all these faults.
func (x *fixture) weather(seed uint64, faults []*Fault) {
	x.t.Helper()
	x.Inject(faults...)
	var clients sync.WaitGroup
	for i := range int64(4) {
		clients.Go(func() { // awaited below
			got, err := x.resume(1000 + 777*i)
			if err == nil {
				err = content.Check(got, 0)
			}
			if err != nil {
				x.t.Errorf("seed %d, client %d: %v", seed, i, err)
			}
		})
	}
	clients.Wait()
	for _, f := range faults {
		if f.Hits() == 0 {
			x.t.Errorf("seed %d: %v was never met", seed, f)
		}
	}
	synctest.Wait()
	checkTotals(x.t, x.Counts(), x.Log())
}

func stormFaults(seed uint64) []*Fault {
	faults := []*Fault{
		Status(503, "Retry-After", "1"), Page(200), Page(206), RedirectLoop(),
		NoRanges(), LyingAcceptRanges(), NoLength(), ShortRange(100), ShiftRange(8), ShiftRange(-8),
		WideRange(8, 8), WholeAs206(), Multipart(), RangeAs200(),
		CompleteLength("5"), WrongContentRange("bytes 0-0/1"), LongBody(1), Gzip(), RotateETag(), WeakETag(),
		CutAfter(50), ResetAfter(60), StallAfter(70), EndAfter(80), CutAfter(-1), StallAfter(-1),
		Throttle(100_000), FirstByteAfter(time.Second), PauseAfter(5, time.Second), Chunked(),
	}
	for i, f := range faults {
		f.Chance(0.04, seed*1000+uint64(i))
	}
	return faults
}

// checkTotals checks that the counts are the sums of the log.
func checkTotals(t testing.TB, c Counts, log []Request) {
	t.Helper()
	if c.Requests > maxLog {
		t.Fatalf("%d requests, more than the log holds", c.Requests)
	}
	var bytes int64
	for _, r := range log {
		bytes += r.BodyBytes
	}
	if c.Open != 0 || c.Requests != len(log) || c.BodyBytes != bytes || c.Paths["/a.tar"].BodyBytes != bytes {
		t.Errorf("%d requests and %d bytes in the log, counted %+v", len(log), bytes, c)
	}
}

// checkStatuses checks that all were answered that were not cut before.
func checkStatuses(t testing.TB, log []Request) {
	t.Helper()
	for _, r := range log {
		cut := strings.Contains(strings.Join(r.Faults, " "), "After(-1)")
		if (r.Status == 0) != cut {
			t.Errorf("status: %v", r)
		}
	}
}
