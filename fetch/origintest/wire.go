package origintest

import (
	"fmt"
	"time"
)

// Faults that change how the answer travels, whatever it is. Those that take a
// number of body bytes apply only to a longer body; -1 is before the headers.

// CutAfter closes the connection after n bytes of the body, with HTTP/2 for all
// of its streams.
//
// After CutAfter(-1) or ResetAfter(-1) on a connection used before, Go's
// http.Transport asks once more by itself: such a client meets the fault twice.
func CutAfter(n int64) *Fault {
	return stopFault(stop{at: n, end: cut}, "CutAfter(%d)", n)
}

// ResetAfter resets the connection after n bytes of the body: RST where it is
// TCP, else a plain close. RST overtakes: fewer than n bytes may arrive.
func ResetAfter(n int64) *Fault {
	return stopFault(stop{at: n, end: reset}, "ResetAfter(%d)", n)
}

// StallAfter sends nothing after n bytes of the body and keeps the connection
// open, until the client leaves or the server is closed.
func StallAfter(n int64) *Fault {
	return stopFault(stop{at: n, end: stall}, "StallAfter(%d)", n)
}

// PauseAfter waits for d after n bytes of the body and then goes on.
func PauseAfter(n int64, d time.Duration) *Fault {
	return stopFault(stop{at: n, pause: d}, "PauseAfter(%d, %v)", n, d)
}

// HoldAfter waits after n bytes of the body until release is closed, and then
// goes on. Inside a synctest bubble make release in the bubble.
func HoldAfter(n int64, release <-chan struct{}) *Fault {
	return stopFault(stop{at: n, until: release}, "HoldAfter(%d)", n)
}

// FirstByteAfter waits for d before the headers.
func FirstByteAfter(d time.Duration) *Fault {
	return stopFault(stop{at: -1, pause: d}, "FirstByteAfter(%v)", d)
}

func stopFault(s stop, format string, args ...any) *Fault {
	return newFault(stageWire, func(p *plan) bool {
		return s.at < 0 || !p.isHead() && s.at < p.n
	}, func(p *plan) {
		p.stops = append(p.stops, s)
	}, format, args...)
}

// Throttle sends each body at this many bytes a second, in 20 steps a second
// or, if slower than that, byte by byte.
func Throttle(bytesPerSecond int64) *Fault {
	if bytesPerSecond <= 0 {
		panic(fmt.Sprintf("origintest: Throttle(%d)", bytesPerSecond))
	}
	return newFault(stageWire, hasBody, func(p *plan) {
		p.rate = bytesPerSecond
	}, "Throttle(%d)", bytesPerSecond)
}

// SlowStart sends each body at this many bytes a second and doubles that again
// and again, each time after doubling. With Throttle, that is the most.
func SlowStart(bytesPerSecond int64, doubling time.Duration) *Fault {
	if bytesPerSecond <= 0 || doubling <= 0 {
		panic(fmt.Sprintf("origintest: SlowStart(%d, %v)", bytesPerSecond, doubling))
	}
	return newFault(stageWire, hasBody, func(p *plan) {
		p.startRate, p.doubling = bytesPerSecond, doubling
	}, "SlowStart(%d, %v)", bytesPerSecond, doubling)
}

// Chunked sends the answer as it is, but without Content-Length.
func Chunked() *Fault {
	return newFault(stageWire, hasBody, func(p *plan) {
		p.length = -1
	}, "Chunked()")
}

// EndAfter ends the answer after n bytes of the body as if complete: chunked,
// with no Content-Length, and no error for a client that trusts the framing.
func EndAfter(n int64) *Fault {
	return newFault(stageWire, func(p *plan) bool {
		return !p.isHead() && n < p.n
	}, func(p *plan) {
		p.n, p.length = n, -1
	}, "EndAfter(%d)", n)
}

func hasBody(p *plan) bool { return !p.isHead() && p.n > 0 }
