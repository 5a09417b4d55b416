package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

const (
	outboxMost = 1 << 20         // bytes that wait to be written
	outboxWait = 2 * time.Second // how long a Write waits for a reader that has stopped
)

// outbox is a stream whose reader may stop reading: a pager, a pipe to a program that
// hangs. What is written waits in a queue of bounded length, and what does not fit is
// counted and left out, so that no caller that logs is blocked for ever. It is safe for
// concurrent use.
type outbox struct {
	w io.Writer

	mu    sync.Mutex
	queue [][]byte      // guarded by mu, as is all below
	size  int           // bytes of queue
	lost  int           // lines that were left out
	err   error         // of a write; the next Write returns it
	empty chan struct{} // closed when all of queue is written; nil if it is
	stuck bool          // a Write has waited in vain since queue was empty
}

// newOutbox returns an outbox for w, which it alone writes to from then on.
func newOutbox(w io.Writer) *outbox { return &outbox{w: w} }

// throughOutbox returns w, behind an outbox if it is a pipe, a terminal or a socket: a
// disk does not block for ever.
func throughOutbox(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
			return newOutbox(f)
		}
	}
	return w
}

// Write writes p, or leaves it in the queue when the reader has stopped. It blocks for up
// to outboxWait, and not at all while an earlier Write still waits. The error is of this
// write or of one in the queue before it.
func (o *outbox) Write(p []byte) (int, error) {
	empty, stuck := o.enqueue(p)
	if empty != nil && !stuck {
		patience := time.NewTimer(outboxWait)
		defer patience.Stop()
		select {
		case <-empty:
		case <-patience.C:
			o.mu.Lock()
			o.stuck = o.empty == empty
			o.mu.Unlock()
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.err
	o.err = nil
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// enqueue puts p into the queue, if it fits, and sees to it that the queue is written.
// empty is closed when it has been; it is nil if p is left out.
func (o *outbox) enqueue(p []byte) (empty chan struct{}, stuck bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.size > 0 && o.size+len(p) > outboxMost {
		o.lost += max(1, bytes.Count(p, []byte("\n")))
		return nil, true
	}
	o.queue = append(o.queue, bytes.Clone(p))
	o.size += len(p)
	if o.empty == nil {
		o.empty = make(chan struct{})
		go o.drain() // ends when all is written, which only the reader can delay
	}
	return o.empty, o.stuck
}

// drain writes the queue until it is empty, and then a line that says how many lines were left out
// for want of room. It is the goroutine that enqueue starts, and ends when the queue is empty; the
// lock is not held over a write, which may block for as long as the reader likes.
func (o *outbox) drain() {
	for {
		o.mu.Lock()
		var p []byte
		var n int // of the queue
		switch {
		case len(o.queue) > 0:
			p, n = o.queue[0], len(o.queue[0])
			o.queue = o.queue[1:]
		case o.lost > 0:
			p = fmt.Appendf(nil, "dlfs: %d lines were not written here, since nobody read them\n", o.lost)
			o.lost = 0
		default:
			close(o.empty)
			o.empty, o.stuck = nil, false
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		_, err := o.w.Write(p)
		o.mu.Lock()
		o.size -= n
		if err != nil {
			o.err = err
		}
		o.mu.Unlock()
	}
}
