package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"dlfs/fetch/origintest"
)

// TestRunningOutOfFilesIsWaitedFor: that there is no descriptor for a connection is
// no attempt that counts, and idle connections are closed.
func TestRunningOutOfFilesIsWaitedFor(t *testing.T) {
	for name, err := range map[string]error{
		"process": &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)},
		"system":  &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.ENFILE)},
		"lookup":  &net.DNSError{Err: "dial udp 192.0.2.53:53: socket: too many open files", Name: "origin"},
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.c.opts.Tries = 2
			left := 30
			x.dial(func(next dialer) dialer {
				return func(ctx context.Context, network, addr string) (net.Conn, error) {
					if left--; left >= 0 {
						return nil, err
					}
					return next(ctx, network, addr)
				}
			})
			_, p, got := x.get(nil, 0, 1000)
			x.wantBytes(p, 1000, got)
			if left >= 0 {
				t.Errorf("%s: no connection failed", name)
			}
		})
	}
}

// TestOpenRequestsAreBounded: of many hosts, only so many are asked at once, and only
// so many connections stay open afterwards. Urgent requests have seats of their own.
func TestOpenRequestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := origintest.New()
		o.Put("/a.tar", origintest.File{Content: content})
		var open atomic.Int64
		pipe := o.ServePipe(t)
		const most = 16
		c := New(Options{MaxOpen: most, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := pipe.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			open.Add(1)
			return &counted{Conn: conn, open: &open}, nil
		}})
		defer c.Close()
		release := make(chan struct{})
		o.Inject(origintest.HoldAfter(0, release))
		var all sync.WaitGroup
		ask := func(ctx context.Context, host int) {
			all.Go(func() { // awaited below
				b, err := c.Resource(fmt.Sprintf("http://h%d/a.tar", host), ResourceOptions{}).Get(ctx, nil, 0, 1000)
				if err != nil {
					t.Error(err)
					return
				}
				defer b.Close()
				if _, err := b.Read(make([]byte, 1000)); err != nil {
					t.Error(err)
				}
			})
		}
		for i := range 100 {
			ask(t.Context(), i)
		}
		synctest.Wait()
		if n := open.Load(); n != most/2 {
			t.Errorf("%d connections are open, want %d", n, most/2)
		}
		ask(urgently(t.Context(), true), 100)
		synctest.Wait()
		if n := open.Load(); n != most/2+1 {
			t.Errorf("%d connections are open beside an urgent request, want %d", n, most/2+1)
		}
		close(release)
		all.Wait()
		synctest.Wait()
		if n := open.Load(); n > most/2 {
			t.Errorf("%d connections stay open", n)
		}
	})
}

// counted is a connection that counts as open until it is closed.
type counted struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

func TestSeatsAreNotWaitedForInVain(t *testing.T) {
	s := newSeats(1)
	give, err := s.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	if _, err := s.take(ctx); !errors.Is(err, stopped) {
		t.Errorf("got %v", err)
	}
	give()
	if _, err := s.take(t.Context()); err != nil {
		t.Error(err)
	}
}
