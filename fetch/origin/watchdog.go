package origin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// errStalled is the cause of a request that the watchdog ended.
var errStalled = errors.New("nothing arrived for too long")

// What is left of a response is read as far as this, if it comes at once: then
// its connection serves the next request.
const (
	maxDrain = 64 << 10
	endWait  = 100 * time.Millisecond
)

// cutNoticed is how soon a host may be expected to notice a cut connection.
const cutNoticed = 200 * time.Millisecond

// watched is one request under the progress watchdog. No timeout of net/http
// covers a body that stalls with its connection open; one that covers the whole
// request would kill long, healthy transfers. So only time spent waiting for
// the origin counts: the timer runs during the request for headers and during
// each Read, not between.
type watched struct {
	body     io.ReadCloser
	decoder  io.Reader // decodes the body; nil if it is not encoded
	broken   error     // why the body ended, as the decoder was told it
	ahead    []byte    // of what Read returns, read already
	timer    *time.Timer
	timeout  time.Duration
	received *atomic.Int64
	limit    *Limit
	ticket   *ticket              // of the gate, until the request is over
	ended    bool                 // the body was read to its end
	wire     atomic.Pointer[wire] // below the TLS connection; nil if there is none
	ctx      context.Context
	cancel   context.CancelCauseFunc
}

// watch starts the timer of a request that has passed the gate. It is to be made
// with the returned context.
func (c *Client) watch(ctx context.Context, t *ticket) (context.Context, *watched) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watched{timeout: c.opts.Timeout, received: &c.received, limit: c.opts.Limit, ticket: t, ctx: ctx, cancel: cancel}
	w.timer = time.AfterFunc(w.timeout, func() { cancel(errStalled) })
	return ctx, w
}

// rest stops the timer until the next Read.
func (w *watched) rest() { w.timer.Stop() }

// Read reads from the body. When the watchdog or the caller's context ended the
// request, the error is that.
func (w *watched) Read(p []byte) (int, error) {
	if len(w.ahead) > 0 {
		n := copy(p, w.ahead)
		w.ahead = w.ahead[n:]
		return n, nil
	}
	return w.next(p)
}

// next reads from the body what has not been read ahead.
func (w *watched) next(p []byte) (int, error) {
	if w.decoder != nil {
		return w.decoded(p)
	}
	return w.receive(p)
}

// receive is where the bytes of a file come in.
func (w *watched) receive(p []byte) (int, error) {
	w.timer.Reset(w.timeout)
	n, err := w.body.Read(p[:min(len(p), w.limit.Most())])
	w.timer.Stop()
	w.received.Add(int64(n))
	w.ended = w.ended || err == io.EOF
	if late := w.limit.Wait(w.ctx, n); late != nil && err == nil {
		err = late
	}
	if err != nil && err != io.EOF {
		if cause := context.Cause(w.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

// encoded is a body before it is decoded.
type encoded struct {
	w     *watched
	ahead []byte // read already
}

// Read returns the bytes as they were sent, before they are decoded. It notes an error of the
// connection, which a decoder would report as wrong data.
func (e *encoded) Read(p []byte) (int, error) {
	if len(e.ahead) > 0 {
		n := copy(p, e.ahead)
		e.ahead = e.ahead[n:]
		return n, nil
	}
	n, err := e.w.receive(p)
	if err != nil && err != io.EOF {
		e.w.broken = err
	}
	return n, err
}

// decode has Read return what the body decodes to. It blocks for the first bytes.
func (w *watched) decode(coding string) error {
	src := w.decoder
	if src == nil {
		src, w.ahead = &encoded{w, w.ahead}, nil
	}
	d, err := newDecoder(coding, bufio.NewReader(src))
	if err != nil {
		return w.undecodable(err)
	}
	w.decoder = d
	return nil
}

// decoded reads from the decoder. An end without an error is the end of the
// stream and of the body.
func (w *watched) decoded(p []byte) (int, error) {
	n, err := w.decoder.Read(p)
	if err != nil && err != io.EOF {
		err = w.undecodable(err)
	}
	return n, err
}

// undecodable is the error of a decoder: that of the body, if it broke off, else
// one that is likely to come again.
func (w *watched) undecodable(err error) error {
	if w.broken != nil {
		return w.broken
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &Error{Err: fmt.Errorf("body cannot be decoded: %w; --encoded=store keeps it as it comes", err), retry: retry{most: fewRetries, lasting: Permanent}}
}

// peek returns the first n bytes of the body, fewer if there are no more or
// they do not come. They are still to be read.
func (w *watched) peek(n int) []byte {
	for len(w.ahead) < n {
		p := make([]byte, n-len(w.ahead))
		m, err := w.next(p)
		w.ahead = append(w.ahead, p[:m]...)
		if err != nil {
			break // the next Read meets it again
		}
	}
	return w.ahead
}

// drain ends a request whose body is of no use.
func (w *watched) drain() {
	w.timer.Reset(endWait)
	io.CopyN(io.Discard, w.body, maxDrain) // the outcome does not matter
	w.end()
}

// end releases the request, which is over with it. A body that was not read to its end takes its
// connection along.
func (w *watched) end() {
	w.timer.Stop()
	if w.body != nil {
		w.body.Close() // of a response: nothing to be lost
	}
	if t := w.ticket; !w.ended && t.g.crowded(t.host) {
		// Its place is wanted. The host has yet to notice that it was cut short,
		// and would refuse the next one until then.
		time.AfterFunc(cutNoticed, t.leave)
	} else {
		t.leave()
	}
	w.cancel(nil)
}
