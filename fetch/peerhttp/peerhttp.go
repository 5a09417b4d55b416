// Package peerhttp is what machines that share a list say to each other, which is plain
// HTTP: GET and HEAD of /f/NAME with a range (RFC 9110 section 14), "only-if-cached" for
// what is to be given only if it is there (RFC 9111 section 5.2.1.7), "rel=duplicate" for
// others that may have it (RFC 6249), and a priority (RFC 9218). The validators and the
// total of an answer are the origin's.
//
// A request holds the name of a file, and no URL, query or header of a list. Who may ask
// and answer is decided by a key that all machines have (Key), or by certificates.
package peerhttp

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"dlfs/fetch/peers"
)

const (
	filePrefix = "/f/"
	idPath     = "/id"

	// Header fields of requests and answers.
	peerField    = "Dlfs-Peer"    // the name of the machine that asks
	throughField = "Dlfs-Through" // "1" if the machine needs nothing more
	digestField  = "Dlfs-Digest"  // of the whole file, as the origin said
	paceField    = "Dlfs-Pace"    // how fast the machine that says it gets files, in bytes a second
	slowField    = "Dlfs-Slow"    // for how many milliseconds yet the machine that says it is slow

	mostSlow = 24 * 60 * 60 * 1000 // milliseconds

	urgentPriority = "u=1" // a reader waits
	bulkPriority   = "u=6"
)

// Version is a version of a file as the origin told it. Its fields are those of
// cache.Version, so that one converts to the other.
type Version struct {
	Size         int64
	ETag         string
	LastModified string
}

// same reports whether two versions are the same. As in an origin's answers, strong entity
// tags decide where both have one, else the dates.
func (v Version) same(now Version) bool {
	if v.Size != now.Size {
		return false
	}
	if v.ETag != "" && now.ETag != "" {
		return v.ETag == now.ETag
	}
	return v.LastModified == now.LastModified && (v.LastModified != "" || v.ETag == now.ETag)
}

// Question is what one machine asks another: bytes of a file, or, with N zero, its version.
type Question struct {
	Name   string
	Off, N int64
	Cached bool // only if it is there
	Urgent bool // a reader waits
}

// Asked is a request as the asked machine sees it.
type Asked struct {
	Question
	Head bool // the bytes are not wanted, only whether they would be given
	Word
	ID   bool   // it asks for the identity of the process, and nothing else
	Peer string // the name of the machine that asks, as it says
}

// Word is what a machine says of itself with each request and answer.
type Word struct {
	Through bool // it needs nothing more
	Pace    peers.Pace
}

// Error is why a machine did not give what was asked for.
type Error struct {
	Peer    string
	Outcome peers.Outcome
	Named   []string // machines that may have it
	Err     error
}

// Error names the machine, and why its answer is of no use.
func (e *Error) Error() string { return fmt.Sprintf("peer %s: %v", e.Peer, e.Err) }

// Unwrap returns why.
func (e *Error) Unwrap() error { return e.Err }

// request makes the request of a question.
func request(method, scheme, peer string, q Question) *http.Request {
	req := &http.Request{Method: method, Header: http.Header{}, Host: peer,
		URL: &url.URL{Scheme: scheme, Host: peer, Path: filePrefix + q.Name}}
	if q.N > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", q.Off, q.Off+q.N-1))
	}
	if q.Cached {
		req.Header.Set("Cache-Control", "only-if-cached")
	}
	priority := bulkPriority
	if q.Urgent {
		priority = urgentPriority
	}
	req.Header.Set("Priority", priority)
	return req
}

var errNoQuestion = errors.New("no request of a peer")

// ReadRequest reads a request of another machine. The error says why it is none.
func ReadRequest(r *http.Request) (a Asked, err error) {
	a.Peer, a.Word = r.Header.Get(peerField), wordOf(r.Header)
	if a.Head = r.Method == http.MethodHead; !a.Head && r.Method != http.MethodGet {
		return a, errNoQuestion
	}
	if a.ID = r.URL.Path == idPath; a.ID {
		return a, nil
	}
	name, ok := strings.CutPrefix(r.URL.Path, filePrefix)
	if !ok || name == "" {
		return a, errNoQuestion
	}
	a.Name = name
	a.Cached = r.Header.Get("Cache-Control") == "only-if-cached"
	a.Urgent = r.Header.Get("Priority") == urgentPriority
	if text := r.Header.Get("Range"); text != "" {
		if a.Off, a.N, ok = parseRange(text); !ok {
			return a, errNoQuestion
		}
	} else if !a.Head {
		return a, errNoQuestion
	}
	return a, nil
}

// parseRange reads "bytes=FIRST-LAST".
func parseRange(text string) (off, n int64, ok bool) {
	span, ok1 := strings.CutPrefix(text, "bytes=")
	first, last, ok2 := strings.Cut(span, "-")
	f, err1 := strconv.ParseUint(first, 10, 62)
	l, err2 := strconv.ParseUint(last, 10, 62)
	if !ok1 || !ok2 || err1 != nil || err2 != nil || l < f {
		return 0, 0, false
	}
	return int64(f), int64(l-f) + 1, true
}

// Give writes the header of an answer with bytes of a version, or, with n zero, with the
// version alone. digest is of the whole file, in text form, "" if none is known.
func Give(w http.ResponseWriter, v Version, digest string, off, n int64) {
	h := w.Header()
	for field, value := range map[string]string{"ETag": v.ETag, "Last-Modified": v.LastModified, digestField: digest} {
		if value != "" {
			h.Set(field, value)
		}
	}
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Accept-Ranges", "bytes")
	if n == 0 {
		h.Set("Content-Length", strconv.FormatInt(v.Size, 10))
		w.WriteHeader(http.StatusOK)
		return
	}
	h.Set("Content-Length", strconv.FormatInt(n, 10))
	h.Set("Content-Range", contentRange(off, n, v.Size))
	w.WriteHeader(http.StatusPartialContent)
}

// contentRange is the Content-Range of n bytes from off on (RFC 9110, 14.4).
func contentRange(off, n, size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, size)
}

// Refuse writes an answer that gives nothing. named are machines that may have what was
// asked for, scheme is how they are asked.
func Refuse(w http.ResponseWriter, o peers.Outcome, scheme string, named []string, name string) {
	for _, peer := range named {
		u := url.URL{Scheme: scheme, Host: peer, Path: filePrefix + name}
		w.Header().Add("Link", "<"+u.String()+">; rel=duplicate")
	}
	w.WriteHeader(map[peers.Outcome]int{
		peers.Busy: http.StatusServiceUnavailable, peers.Absent: http.StatusGatewayTimeout, peers.Unfit: http.StatusNotFound,
		peers.Full: http.StatusInsufficientStorage,
	}[o])
}

// outcomeOf is what the status of an answer that gives nothing means.
func outcomeOf(status int) peers.Outcome {
	switch status {
	case http.StatusServiceUnavailable:
		return peers.Busy
	case http.StatusGatewayTimeout:
		return peers.Absent
	case http.StatusInsufficientStorage:
		return peers.Full
	}
	return peers.Unfit
}

// duplicates returns the machines that the Link fields of an answer name.
func duplicates(h http.Header) (named []string) {
	for _, link := range h.Values("Link") {
		target, params, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
		u, err := url.Parse(target)
		if ok && err == nil && strings.TrimSpace(params) == "; rel=duplicate" {
			named = append(named, u.Host)
		}
	}
	return named
}

// Set puts the word into the header of a request or an answer. It is called before the header
// is written.
func (w Word) Set(h http.Header) {
	if w.Through {
		h.Set(throughField, "1")
	}
	if w.Pace.Rate > 0 {
		h.Set(paceField, strconv.FormatInt(w.Pace.Rate, 10))
	}
	if ms := w.Pace.Slow.Milliseconds(); ms > 0 {
		h.Set(slowField, strconv.FormatInt(ms, 10))
	}
}

// wordOf is what Word.Set has set.
func wordOf(h http.Header) Word {
	slow := time.Duration(min(number(h, slowField), mostSlow)) * time.Millisecond
	return Word{Through: h.Get(throughField) == "1", Pace: peers.Pace{Rate: number(h, paceField), Slow: slow}}
}

// number is the number in a field, 0 if there is none, or none of this release.
func number(h http.Header, field string) int64 {
	n, err := strconv.ParseUint(h.Get(field), 10, 62)
	if err != nil {
		return 0
	}
	return int64(n)
}

// WriteID answers a request for the identity of the process: id is this one's.
func WriteID(w http.ResponseWriter, id string) {
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintln(w, id) // an error is the asking machine's to see
}
