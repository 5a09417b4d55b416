package origintest

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// player plays one plan.
type player struct {
	*plan
	w     http.ResponseWriter
	conn  *http.ResponseController
	h2    *tlsConn // nil for HTTP/1.1
	buf   []byte
	sent  int64     // body bytes
	began time.Time // the body
}

const (
	bufSize      = 64 << 10
	stepsASecond = 20 // writes a second of a throttled body
)

// play answers the request. It returns when the answer is complete or the
// client is gone, and panics with http.ErrAbortHandler to close the connection.
func (p *plan) play(w http.ResponseWriter, c *call) {
	slices.SortStableFunc(p.stops, func(a, b stop) int {
		if a.at != b.at {
			return int(max(-1, min(1, a.at-b.at)))
		}
		return int(a.end) - int(b.end) // what goes on comes before what ends
	})
	y := &player{plan: p, w: w, conn: http.NewResponseController(w), h2: h2Conn(p.req)}
	stops := p.stops
	for len(stops) > 0 && stops[0].at < 0 {
		y.pass(stops[0])
		stops = stops[1:]
	}
	y.sendHeader()
	if p.isHead() {
		return
	}
	y.buf = make([]byte, min(p.n, bufSize))
	y.began = time.Now()
	for _, s := range stops {
		if s.at >= p.n {
			break
		}
		y.sendUpTo(s.at)
		y.conn.Flush()
		y.pass(s)
	}
	y.sendUpTo(p.n)
}

// pace returns the bytes a second of now, 0 for no limit, and the most bytes to
// write at once.
func (y *player) pace() (rate, step int64) {
	rate = y.rate
	if y.startRate > 0 {
		doublings := min(40, time.Since(y.began)/y.doubling)
		if grown := min(y.startRate, 1<<22) << doublings; rate == 0 || grown < rate {
			rate = grown
		}
	}
	if rate == 0 {
		return 0, bufSize
	}
	return rate, max(1, min(bufSize, rate/stepsASecond))
}

func (y *player) sendHeader() {
	maps.Copy(y.w.Header(), y.header)
	if y.length >= 0 {
		y.w.Header().Set("Content-Length", strconv.FormatInt(y.length, 10))
	}
	y.call.setStatus(y.status)
	if y.n == 0 || y.isHead() {
		y.call.close()
	}
	y.w.WriteHeader(y.status)
	if y.length < 0 && !y.isHead() {
		y.conn.Flush() // or else net/http adds the length of a small body
	}
}

// sendUpTo sends the body until the first end bytes of it are sent.
func (y *player) sendUpTo(end int64) {
	for y.sent < end {
		rate, step := y.pace()
		n := min(int64(len(y.buf)), step, end-y.sent)
		// The last byte goes alone: before it the request stops being open.
		last := y.n - 1
		if y.sent < last && y.sent+n > last {
			n = last - y.sent
		}
		y.send(y.buf[:n], rate)
	}
}

// send sends the next len(buf) bytes of the body, using buf, at this rate.
func (y *player) send(buf []byte, rate int64) {
	n, err := y.body.ReadAt(buf, y.off+y.sent)
	if n < len(buf) {
		panic(fmt.Sprintf("origintest: body ends before its size: %v", err))
	}
	if rate > 0 {
		y.wait(time.Duration(float64(n)/float64(rate)*float64(time.Second)), nil)
	}
	y.sent += int64(n)
	if y.sent == y.n {
		y.call.close()
	}
	y.call.add(n)
	if y.h2 != nil {
		y.h2.hand(n)
	}
	if written, err := y.w.Write(buf); err != nil {
		y.call.add(written - n)
		panic(http.ErrAbortHandler)
	}
	if rate > 0 {
		y.conn.Flush()
	}
}

// pass does what s says and returns if the answer goes on after it.
func (y *player) pass(s stop) {
	y.wait(s.pause, s.until)
	switch s.end {
	case cut, goAway:
		if y.h2 != nil {
			y.h2.end(y.req.Context(), s.end)
		}
		panic(http.ErrAbortHandler)
	case streamReset:
		panic(http.ErrAbortHandler)
	case reset:
		y.call.close()
		y.reset()
		panic(http.ErrAbortHandler)
	case stall:
		<-y.req.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

// wait waits for d and then for until, if set. It does not return if the
// request's context ends first.
func (y *player) wait(d time.Duration, until <-chan struct{}) {
	gone := y.req.Context().Done()
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-gone:
			panic(http.ErrAbortHandler)
		}
	}
	if until != nil {
		select {
		case <-until:
		case <-gone:
			panic(http.ErrAbortHandler)
		}
	}
}

// reset closes the connection, with RST where it is TCP.
func (y *player) reset() {
	if y.h2 != nil {
		abort(y.h2)
		return
	}
	conn, _, err := y.conn.Hijack()
	if err != nil {
		return // not a real connection: the caller's panic must do
	}
	abort(conn)
	conn.Close()
}

// padded is body up to end and fill after it, without end.
type padded struct {
	body io.ReaderAt
	end  int64
	fill byte
}

func (b padded) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < b.end {
		var err error
		n, err = b.body.ReadAt(p[:min(int64(len(p)), b.end-off)], off)
		if err != nil && err != io.EOF {
			return n, err
		}
	}
	for i := n; i < len(p); i++ {
		p[i] = b.fill
	}
	return len(p), nil
}
