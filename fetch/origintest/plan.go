package origintest

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// plan is how one request will be answered. It starts as the honest answer,
// faults edit it, and then it is played once.
type plan struct {
	// What was asked and what is there. Only Swap and WrongBytes change these.
	origin *Origin
	req    *http.Request
	call   *call
	file   *File  // nil: no such path
	truth  *File  // file without WrongBytes
	asked  extent // the bytes the Range header asks for, whole file without
	ranged bool   // asked comes from a Range header that can be satisfied

	// The answer.
	status   int
	header   http.Header
	body     io.ReaderAt
	extent         // of body, to be sent
	length   int64 // the Content-Length, -1 for none
	answered bool  // a fault has replaced the honest answer

	// How it travels.
	stops []stop
	rate  int64 // bytes a second, 0 for no limit

	// The rate at the start of a body and after what time it is twice that,
	// and so on; 0 for no such limit.
	startRate int64
	doubling  time.Duration
}

// extent is the half-open byte interval [off +n).
type extent struct{ off, n int64 }

// stop is something that happens once a number of body bytes has been sent.
type stop struct {
	at    int64           // body bytes; -1: before the headers
	pause time.Duration   // first wait this long,
	until <-chan struct{} // then for this, if set,
	end   ending          // and then end like this
}

type ending int

const (
	goOn        ending = iota // do not end
	cut                       // close the connection
	reset                     // close it with RST
	stall                     // send nothing more, until the request's context ends
	goAway                    // close the connection after GOAWAY; HTTP/2
	streamReset               // end with RST_STREAM; HTTP/2
)

func newPlan(o *Origin, r *http.Request, c *call, file *File) *plan {
	p := &plan{origin: o, req: r, call: c, file: file, truth: file}
	p.honest()
	return p
}

// honest makes p the answer of a correct server. How it travels stays.
func (p *plan) honest() {
	p.header = make(http.Header)
	switch {
	case !p.isGet() && !p.isHead():
		p.html(http.StatusMethodNotAllowed)
		p.set("Allow", "GET, HEAD")
	case p.file == nil:
		p.html(http.StatusNotFound)
	default:
		p.show()
	}
}

// show answers with the bytes of p.file.
func (p *plan) show() {
	f := p.file
	p.asked, p.ranged = extent{0, f.Size}, false
	p.set("Accept-Ranges", "bytes")
	p.set("ETag", f.ETag)
	p.set("Last-Modified", f.lastModified())
	if r := p.rangeHeader(); r != "" {
		e, verdict := parseRange(r, f.Size)
		switch verdict {
		case unsatisfiable:
			p.html(http.StatusRequestedRangeNotSatisfiable)
			p.set("Content-Range", fmt.Sprintf("bytes */%d", f.Size))
			return
		case satisfiable:
			p.asked, p.ranged = e, true
			p.send206(e)
			return
		}
	}
	p.send200()
}

// rangeHeader returns the Range header if it counts.
func (p *plan) rangeHeader() string {
	ifRange := p.req.Header.Get("If-Range")
	if !p.isGet() || p.file.IfRange && ifRange != "" && !p.file.matches(ifRange) {
		return ""
	}
	return p.req.Header.Get("Range")
}

// send200 answers with the whole file.
func (p *plan) send200() {
	p.set("Content-Range", "")
	p.sendFile(http.StatusOK, extent{0, p.file.Size})
}

// send206 answers with e and a Content-Range that says so.
func (p *plan) send206(e extent) {
	p.set("Content-Range", e.contentRange(strconv.FormatInt(p.file.Size, 10)))
	p.sendFile(http.StatusPartialContent, e)
}

func (p *plan) sendFile(status int, e extent) {
	p.status = status
	p.set("Content-Type", p.file.ContentType)
	p.setBody(p.file.Body, e)
}

// html answers with a status and a small body that names it.
func (p *plan) html(status int) {
	p.status = status
	text := fmt.Sprintf("<html><body><h1>%d %s</h1></body></html>\n", status, http.StatusText(status))
	if status == http.StatusNoContent || status == http.StatusNotModified {
		p.setBody(strings.NewReader(""), extent{})
		p.length = -1
		return
	}
	p.set("Content-Type", "text/html; charset=utf-8")
	p.setBody(strings.NewReader(text), extent{0, int64(len(text))})
}

// replace answers with something else than the file.
func (p *plan) replace(status int) {
	p.answered = true
	p.header = make(http.Header)
	p.html(status)
}

func (p *plan) setBody(body io.ReaderAt, e extent) {
	p.body, p.extent, p.length = body, e, e.n
}

// set sets a header field, or removes it if value is empty.
func (p *plan) set(key, value string) {
	if value == "" {
		p.header.Del(key)
		return
	}
	p.header.Set(key, value)
}

func (p *plan) isGet() bool { return p.req.Method == http.MethodGet }

// isHead reports whether no body will be sent.
func (p *plan) isHead() bool { return p.req.Method == http.MethodHead }

// The following say what a fault finds to change.

func (p *plan) anything() bool   { return true }
func (p *plan) unanswered() bool { return !p.answered }

// found: an honest answer about a file, maybe 416.
func (p *plan) found() bool {
	return p.unanswered() && p.file != nil && (p.isGet() || p.isHead())
}

// shows: its bytes.
func (p *plan) shows() bool {
	return p.found() && (p.status == http.StatusOK || p.status == http.StatusPartialContent)
}

// shows206: those that were asked.
func (p *plan) shows206() bool {
	return p.found() && p.status == http.StatusPartialContent
}

// placed: an answer that says which bytes it has, or should.
func (p *plan) placed() bool {
	return p.status == http.StatusPartialContent ||
		p.status == http.StatusOK && p.header.Get("Content-Range") != ""
}

// contentRange returns the header value that says e, of this complete length.
func (e extent) contentRange(complete string) string {
	return fmt.Sprintf("bytes %d-%d/%s", e.off, e.off+e.n-1, complete)
}

type verdict int

const (
	ignored verdict = iota // malformed, or more than one range: answer 200
	satisfiable
	unsatisfiable
)

// parseRange returns the extent that a Range header asks of a file (RFC 9110,
// 14.1.2 and 14.2).
func parseRange(header string, size int64) (extent, verdict) {
	spec, isBytes := strings.CutPrefix(header, "bytes=")
	first, last, isRange := strings.Cut(strings.TrimSpace(spec), "-")
	a, hasFirst := parsePos(first)
	b, hasLast := parsePos(last)
	switch {
	case !isBytes || !isRange || !hasFirst && first != "" || !hasLast && last != "":
		return extent{}, ignored
	case !hasFirst && !hasLast, hasFirst && hasLast && b < a:
		return extent{}, ignored
	case !hasFirst && (b == 0 || size == 0), hasFirst && a >= size:
		return extent{}, unsatisfiable
	case !hasFirst:
		n := min(b, size)
		return extent{size - n, n}, satisfiable
	case !hasLast:
		b = size - 1
	}
	b = min(b, size-1)
	return extent{a, b - a + 1}, satisfiable
}

// parsePos parses digits only; a number too large is as large as can be.
func parsePos(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return math.MaxInt64, true
	}
	return n, true
}
