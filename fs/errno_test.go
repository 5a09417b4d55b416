//go:build linux

package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"dlfs/cache"
	"dlfs/fetch"
	"dlfs/fetch/origin"
	"dlfs/fetch/origintest"
)

func TestErrnoTable(t *testing.T) {
	kind := func(k origin.Kind) error { return &origin.Error{Kind: k, Err: errors.New("why")} }
	for _, tt := range []struct {
		err  error
		want syscall.Errno
	}{
		{nil, 0},
		{context.Canceled, syscall.EINTR},
		{context.DeadlineExceeded, syscall.EIO},
		{fetch.ErrStale, syscall.ESTALE},
		{cache.ErrNoSpace, syscall.EIO},
		{cache.ErrMissing, syscall.EIO},
		{iofs.ErrNotExist, syscall.ENOENT},
		{io.ErrUnexpectedEOF, syscall.EIO},
		{syscall.EDQUOT, syscall.EIO},
		{errors.New("other"), syscall.EIO},
		{fmt.Errorf("open: %w", syscall.EMFILE), syscall.EMFILE},
		{kind(origin.NotFound), syscall.ENOENT},
		{kind(origin.NeedsURL), syscall.EACCES},
		{kind(origin.Transient), syscall.EIO},
		{kind(origin.Permanent), syscall.EIO},
		{kind(origin.Changed), syscall.ESTALE},
		{kind(origin.Restart), syscall.EIO},
		{fetch.ErrMismatch, syscall.EIO},
		{kind(origin.NoRanges), syscall.EIO},
		{kind(origin.Unproven), syscall.EIO},
	} {
		for range 2 {
			if got := errno(tt.err); got != tt.want {
				t.Errorf("errno(%v) = %v, want %v", tt.err, got, tt.want)
			}
			if tt.err != nil {
				tt.err = fmt.Errorf("wrapped: %w", tt.err)
			}
		}
	}
}

func TestWhatAnOriginSaysBecomesAnErrno(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault *origintest.Fault
		want  syscall.Errno
	}{
		{"404", origintest.Status(404), syscall.ENOENT},
		{"403", origintest.Status(403), syscall.EACCES},
		{"401", origintest.Status(401), syscall.EACCES},
		{"410", origintest.Status(410), syscall.EACCES},
		{"500", origintest.Status(500), syscall.EIO},
		{"503", origintest.Status(503), syscall.EIO},
		{"reset", origintest.ResetAfter(0), syscall.EIO},
		{"page", origintest.Page(206), syscall.EIO},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := newRig(t)
			x.add("unknown", 4*bs)
			x.add("known", 4*bs)
			x.start()
			f := x.open("known") // HEAD tells
			x.Inject(tt.fault)
			if _, err := f.ReadAt(make([]byte, 10), 2*bs); !errors.Is(err, tt.want) {
				t.Errorf("read: %v, want %v", err, tt.want)
			}
			if tt.name != "reset" && tt.name != "page" {
				if st := statx(t, x.path("unknown")); st.Size == 0 { // which tar does not open
					t.Error("stat: empty")
				}
				if _, err := os.Open(x.path("unknown")); !errors.Is(err, tt.want) {
					t.Errorf("open: %v, want %v", err, tt.want)
				}
			}
			if _, err := os.ReadDir(x.path("")); err != nil {
				t.Error(err)
			}
			x.Clear()
			if tt.fault.Hits() == 0 {
				t.Error("the fault was not met")
			}
		})
	}
}

// The reason in the log is the reason: a connection that timed out is not the
// read timeout.
func TestFailSaysWhy(t *testing.T) {
	x := setOf(t, "a")
	var b bytes.Buffer
	f := &fileSystem{log: slog.New(slog.NewTextHandler(&b, nil)), opts: Options{ReadTimeout: time.Hour}}
	dial := &net.Dialer{Timeout: time.Nanosecond}
	_, err := dial.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Skipf("a dial timeout is %v", err)
	}
	code, _ := f.fail("read", x.File("a"), &origin.Error{Kind: origin.Transient, Err: err})
	if code != syscall.EIO || strings.Contains(b.String(), "read-timeout") {
		t.Errorf("%v: %s", code, b.String())
	}
}
