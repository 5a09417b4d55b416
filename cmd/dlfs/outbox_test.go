package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// stuckWriter takes a write only when it is let.
type stuckWriter struct {
	let chan struct{}

	mu  sync.Mutex
	got bytes.Buffer // guarded by mu
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	<-w.let
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got.Write(p)
}

// A reader that stops holds up one write, for a while, and no other. What fits into the
// queue arrives when it reads on, and what does not is counted.
func TestOutboxOfAReaderThatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stuckWriter{let: make(chan struct{})}
		o := newOutbox(w)
		line := strings.Repeat("x", 1023) + "\n"
		start := time.Now()
		const lines = 3000
		for range lines {
			if n, err := io.WriteString(o, line); n != len(line) || err != nil {
				t.Fatalf("write: %d, %v", n, err)
			}
		}
		if took := time.Since(start); took != outboxWait {
			t.Errorf("the writes took %v, want %v", took, outboxWait)
		}
		close(w.let)
		synctest.Wait()
		got := w.got.String()
		if n := strings.Count(got, line); n != outboxMost/len(line) {
			t.Errorf("%d lines arrived", n)
		}
		if !strings.HasSuffix(got, "dlfs: 1976 lines were not written here, since nobody read them\n") {
			t.Errorf("at the end: %q", got[len(got)-80:])
		}
		start = time.Now()
		if _, err := io.WriteString(o, "after\n"); err != nil || time.Since(start) != 0 || !strings.HasSuffix(w.got.String(), "after\n") {
			t.Errorf("a write to a reader that reads on: %v", err)
		}
	})
}

// Where the reader reads, a write is done, or has its error, when Write returns.
func TestOutboxTellsErrors(t *testing.T) {
	read, write := io.Pipe()
	o := newOutbox(write)
	go func() { // ends with the pipe
		io.Copy(io.Discard, read)
	}()
	if _, err := io.WriteString(o, "a\n"); err != nil {
		t.Error(err)
	}
	read.CloseWithError(syscall.EPIPE)
	if _, err := io.WriteString(o, "b\n"); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a write to a reader that has left: %v", err)
	}
}
