package origintest

import (
	"fmt"
	"maps"
	"net/http"
	"sync"
)

// Counts is what an Origin was asked and what it sent. A count is never behind
// what a client has seen: bytes are counted before they are written, and a
// request stops being open before its last byte is.
type Counts struct {
	Requests  int   // all methods
	Heads     int   // HEAD requests
	Gets      int   // GET requests
	Ranged    int   // requests with a Range header
	BodyBytes int64 // body bytes written
	Open      int   // requests being answered now
	MaxOpen   int   // the peak of Open
	Conns     int   // connections accepted and not refused by Down

	// Paths has the counts of each path asked for, found or not.
	Paths map[string]PathCounts
}

// PathCounts is the share of one path in Counts.
type PathCounts struct {
	Requests  int
	BodyBytes int64
}

// Request is one request in the log of an Origin.
type Request struct {
	Method    string
	Path      string
	Query     string      // raw
	Range     string      // the Range header
	Header    http.Header // shared by all copies; read only
	Status    int         // 0 if nothing was answered (yet)
	BodyBytes int64       // body bytes written so far
	Faults    []string    // the faults it met; read only
}

// String returns one line such as "GET /a.tar bytes=0-99: 206, 100 bytes".
func (r Request) String() string {
	asked := r.Path
	if r.Query != "" {
		asked += "?" + r.Query
	}
	if r.Range != "" {
		asked += " " + r.Range
	}
	s := fmt.Sprintf("%s %s: %d, %d bytes", r.Method, asked, r.Status, r.BodyBytes)
	for _, f := range r.Faults {
		s += ", " + f
	}
	return s
}

// Counts returns the counts so far.
//
// A request whose client went away stays open until the server notices.
func (o *Origin) Counts() Counts {
	t := &o.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.mu.counts
	c.Paths = maps.Clone(c.Paths)
	return c
}

// Log returns the last 10,000 requests in the order of their arrival.
func (o *Origin) Log() []Request {
	t := &o.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	log := make([]Request, len(t.mu.log))
	for i, r := range t.mu.log {
		log[i] = *r
	}
	return log
}

// Headers returns the header fields of each request for path in the log, in the
// order of their arrival: what a path was told. The headers are shared; read
// only.
func (o *Origin) Headers(path string) []http.Header {
	t := &o.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	var headers []http.Header
	for _, r := range t.mu.log {
		if r.Path == rooted(path) {
			headers = append(headers, r.Header)
		}
	}
	return headers
}

// ResetCounts sets the counts to zero and empties the log. Requests now open
// stay open, and what they still send is counted.
func (o *Origin) ResetCounts() {
	o.tally.reset()
}

const maxLog = 10_000

// tally keeps Counts and the log.
type tally struct {
	mu struct {
		sync.Mutex
		counts Counts
		log    []*Request // guarded too: the requests pointed to
	}
}

func (t *tally) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	open := t.mu.counts.Open
	t.mu.counts = Counts{Open: open, MaxOpen: open, Paths: make(map[string]PathCounts)}
	t.mu.log = nil
}

// open counts the arrival of r.
func (t *tally) open(r *http.Request) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := &t.mu.counts
	n.Requests++
	switch r.Method {
	case http.MethodHead:
		n.Heads++
	case http.MethodGet:
		n.Gets++
	}
	if r.Header.Get("Range") != "" {
		n.Ranged++
	}
	n.Open++
	n.MaxOpen = max(n.MaxOpen, n.Open)
	t.addPath(r.URL.Path, 1, 0)
	entry := &Request{
		Method: r.Method,
		Path:   r.URL.Path,
		Query:  r.URL.RawQuery,
		Range:  r.Header.Get("Range"),
		Header: r.Header.Clone(),
	}
	t.mu.log = append(t.mu.log, entry)
	if len(t.mu.log) > maxLog {
		t.mu.log = t.mu.log[1:]
	}
	return &call{tally: t, request: entry, opened: n.Open}
}

func (t *tally) addConn() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.counts.Conns++
}

// addPath needs t.mu.
func (t *tally) addPath(path string, requests int, bytes int64) {
	c := t.mu.counts.Paths[path]
	c.Requests += requests
	c.BodyBytes += bytes
	t.mu.counts.Paths[path] = c
}

// call is the share of one open request in a tally.
type call struct {
	tally   *tally
	request *Request // guarded by tally.mu
	opened  int      // open requests at its arrival, itself included
	closed  bool     // guarded by tally.mu
}

// close counts the request as no longer open; only the first call does.
func (c *call) close() {
	c.tally.mu.Lock()
	defer c.tally.mu.Unlock()
	if !c.closed {
		c.closed = true
		c.tally.mu.counts.Open--
	}
}

func (c *call) setStatus(code int) {
	c.tally.mu.Lock()
	defer c.tally.mu.Unlock()
	c.request.Status = code
}

// add counts n body bytes; n is negative for bytes that were not written.
func (c *call) add(n int) {
	t := c.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.counts.BodyBytes += int64(n)
	t.addPath(c.request.Path, 0, int64(n))
	c.request.BodyBytes += int64(n)
}

// met logs that the request met f.
func (c *call) met(f *Fault) {
	c.tally.mu.Lock()
	defer c.tally.mu.Unlock()
	c.request.Faults = append(c.request.Faults, f.String())
}
