package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Body is the bytes [off +n) of one version of a file, streamed. It resumes by
// itself, at the next byte, when a connection breaks, stalls or gives less than
// was asked. It is for one goroutine at a time.
type Body struct {
	c     *Client
	ctx   context.Context
	url   string
	what  string // for logs: the redacted URL and the extent
	whole bool   // ask for everything, and skip what was read before

	version Version
	pinned  bool  // version is known
	off     int64 // of the next byte Read returns
	end     int64

	cur    *watched // the response being read, nil between two
	curEnd int64    // where it ends
	ranged bool     // an answer has been about a range
}

// Get asks for [off +n) of the file at url. want is the pinned version; if nil,
// this is the first contact, and the answer's version is in Version. It returns
// when the first response has been examined. n is cut at the size of the file.
// The error is an *Error, or ctx's.
//
// An origin that answers with the whole file is good enough if that was asked;
// else the error's Kind is NoRanges. On first contact such an answer is kept
// whole, as of GetWhole, since asking again for the rest would be of no use.
func (c *Client) Get(ctx context.Context, url string, want *Version, off, n int64) (*Body, error) {
	b := &Body{c: c, ctx: ctx, url: url, off: off, end: off + n,
		what: fmt.Sprintf("%s [%d +%d)", Redact(url), off, n)}
	return b.begin(want)
}

// GetWhole asks for the whole file, of an origin that knows no ranges. When it
// has to resume it reads from the start again and skips what it had.
func (c *Client) GetWhole(ctx context.Context, url string, want *Version) (*Body, error) {
	b := &Body{c: c, ctx: ctx, url: url, end: 1 << 62, whole: true, what: Redact(url)}
	return b.begin(want)
}

func (b *Body) begin(want *Version) (*Body, error) {
	if want != nil {
		b.version, b.pinned, b.end = *want, true, min(b.end, want.Size)
	}
	_, err := retry(b.ctx, b.c, b.what, func() (struct{}, error) { return struct{}{}, b.connect() })
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Version is the pinned version, or on first contact the one that answered,
// with the validators it lacked and later answers had.
func (b *Body) Version() Version { return b.version }

// Ranged reports whether the origin has shown that it knows ranges.
func (b *Body) Ranged() bool { return b.ranged }

// End is the offset of the first byte that is not part of the body.
func (b *Body) End() int64 { return b.end }

// Read reads the next bytes. It blocks until some arrive, the retries are used
// up, or the context ends. The error is an *Error, the context's, or io.EOF
// after the last byte.
func (b *Body) Read(p []byte) (int, error) {
	if b.off >= b.end {
		return 0, io.EOF
	}
	return retry(b.ctx, b.c, b.what, func() (int, error) { return b.readOnce(p) })
}

// Close ends the request. If the response was read to its end, its connection
// serves the next one.
func (b *Body) Close() {
	if b.cur != nil {
		b.cur.end()
		b.cur = nil
	}
}

func (b *Body) readOnce(p []byte) (int, error) {
	if b.cur == nil {
		if err := b.connect(); err != nil {
			return 0, err
		}
	}
	n, err := b.cur.Read(p[:min(int64(len(p)), b.curEnd-b.off)])
	b.off += int64(n)
	b.c.received.Add(int64(n))
	if b.off == b.curEnd {
		b.finish()
		return n, nil
	}
	if err == nil {
		return n, nil
	}
	b.Close()
	if n > 0 {
		return n, nil // the next Read resumes
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return 0, b.fail(&Error{Err: fmt.Errorf("body broke off at byte %d: %w", b.off, err)})
}

// endWait is how long the bytes of a body may be kept back by its end.
const endWait = 100 * time.Millisecond

// finish ends a response whose last wanted byte was read, taking its end-of-body
// along where it follows at once, so that the connection can be kept.
func (b *Body) finish() {
	var one [1]byte
	if b.cur != nil && !b.whole {
		b.cur.timeout = min(b.cur.timeout, endWait)
		b.cur.Read(one[:]) // the outcome does not matter: the bytes are all there
	}
	b.Close()
}

// connect makes one request for what is left.
func (b *Body) connect() error {
	off, header := b.off, rangeHeader(b.off, b.end)
	if b.whole {
		off, header = 0, ""
	}
	if b.off >= b.end && b.pinned {
		return nil // there are no such bytes
	}
	resp, w, err := b.c.send(b.ctx, http.MethodGet, b.url, header)
	if err != nil {
		return b.fail(err)
	}
	var pinned *Version
	if b.pinned {
		pinned = &b.version
	}
	a, err := examine(resp, off, b.end, pinned)
	if partOnly := b.off > 0 || b.pinned && b.end < a.version.Size; err == nil && a.whole && !b.whole && partOnly {
		err = &Error{Kind: NoRanges, Status: resp.StatusCode, Err: errors.New("origin ignores ranges")}
	}
	if err != nil {
		w.end()
		return b.fail(err)
	}
	if !b.pinned && a.whole {
		b.whole, b.end = true, a.version.Size
	}
	b.version, b.pinned, b.end = b.version.merge(a.version), true, min(b.end, a.version.Size)
	b.ranged = b.ranged || !a.whole
	b.cur, b.curEnd = w, min(a.end, b.end)
	if b.off >= b.end {
		b.Close()
		return nil
	}
	if skip := b.off - a.off; skip > 0 {
		n, err := io.CopyN(io.Discard, w, skip)
		b.c.received.Add(n)
		if err != nil {
			b.Close()
			return b.fail(&Error{Err: fmt.Errorf("body broke off at byte %d: %w", n, err)})
		}
	}
	return nil
}

// fail completes an error with the URL, and has the host left alone if it said
// for how long.
func (b *Body) fail(err error) error { return b.c.describe(b.ctx, b.url, err) }

func (c *Client) describe(ctx context.Context, url string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Err: err}
		if !transient(err) {
			e.Kind = Permanent
		}
	}
	e.URL = Redact(url)
	if e.After > 0 {
		c.pauseHost(Host(url), e.After)
	}
	return e
}
