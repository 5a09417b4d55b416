package origintest

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// player plays one plan.
type player struct {
	*plan
	w    http.ResponseWriter
	conn *http.ResponseController
	buf  []byte
	sent int64 // body bytes
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
	y := &player{plan: p, w: w, conn: http.NewResponseController(w)}
	stops := p.stops
	for len(stops) > 0 && stops[0].at < 0 {
		y.pass(stops[0])
		stops = stops[1:]
	}
	y.sendHeader()
	if p.isHead() {
		return
	}
	y.buf = make([]byte, min(p.n, y.step()))
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

// step returns the most bytes to write at once.
func (y *player) step() int64 {
	if y.rate == 0 {
		return bufSize
	}
	return max(1, min(bufSize, y.rate/stepsASecond))
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
		n := min(int64(len(y.buf)), end-y.sent)
		// The last byte goes alone: before it the request stops being open.
		last := y.n - 1
		if y.sent < last && y.sent+n > last {
			n = last - y.sent
		}
		y.send(y.buf[:n])
	}
}

// send sends the next len(buf) bytes of the body, using buf.
func (y *player) send(buf []byte) {
	n, err := y.body.ReadAt(buf, y.off+y.sent)
	if n < len(buf) {
		panic(fmt.Sprintf("origintest: body ends before its size: %v", err))
	}
	if y.rate > 0 {
		y.wait(time.Duration(float64(n)/float64(y.rate)*float64(time.Second)), nil)
	}
	y.sent += int64(n)
	if y.sent == y.n {
		y.call.close()
	}
	y.call.add(n)
	if written, err := y.w.Write(buf); err != nil {
		y.call.add(written - n)
		panic(http.ErrAbortHandler)
	}
	if y.rate > 0 {
		y.conn.Flush()
	}
}

// pass does what s says and returns if the answer goes on after it.
func (y *player) pass(s stop) {
	y.wait(s.pause, s.until)
	switch s.end {
	case cut:
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
	conn, _, err := y.conn.Hijack()
	if err != nil {
		return // not a real connection: the caller's panic must do
	}
	tcp := conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		tcp = t.NetConn()
	}
	if t, ok := tcp.(*net.TCPConn); ok {
		t.SetLinger(0)
		tcp.Close()
	}
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
