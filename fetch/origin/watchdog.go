package origin

import (
	"context"
	"errors"
	"io"
	"time"
)

// errStalled is the cause of a request that the watchdog ended.
var errStalled = errors.New("nothing arrived for too long")

// watched is one request under the progress watchdog. No timeout of net/http
// covers a body that stalls with its connection open; one that covers the whole
// request would kill long, healthy transfers. So only time spent waiting for
// the origin counts: the timer runs during the request for headers and during
// each Read, not between.
type watched struct {
	body    io.ReadCloser
	timer   *time.Timer
	timeout time.Duration
	ctx     context.Context
	cancel  context.CancelCauseFunc
}

// watch starts the timer. The request is to be made with the returned context.
func watch(ctx context.Context, timeout time.Duration) (context.Context, *watched) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watched{timeout: timeout, ctx: ctx, cancel: cancel}
	w.timer = time.AfterFunc(timeout, func() { cancel(errStalled) })
	return ctx, w
}

// rest stops the timer until the next Read.
func (w *watched) rest() { w.timer.Stop() }

// Read reads from the body. When the watchdog or the caller's context ended the
// request, the error is that.
func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.timeout)
	n, err := w.body.Read(p)
	w.timer.Stop()
	if err != nil && err != io.EOF {
		if cause := context.Cause(w.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

// end releases the request. A body that was not read to its end takes its
// connection along.
func (w *watched) end() {
	w.timer.Stop()
	if w.body != nil {
		w.body.Close() // of a response: nothing to be lost
	}
	w.cancel(nil)
}
