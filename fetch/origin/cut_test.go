package origin

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"dlfs/cache/hosttest"

	"golang.org/x/sys/unix"
)

// What has come over a connection and is not read before it is closed counts as received.
func TestUnreadBytesAreReceived(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const sent, read = 10_000, 1000
	go func() { // ends with the connection
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.Write(make([]byte, sent))
		io.Copy(io.Discard, conn)
	}()
	var received atomic.Int64
	conn, err := wired((&net.Dialer{}).DialContext, &received)(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, read)); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); unread(conn.(*wire).Conn) < sent-read; { // the rest is on its way
		if time.Since(began) > 30*time.Second {
			t.Fatal("the rest does not come")
		}
		unix.Poll(nil, 1)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if got := received.Load(); got != sent-read {
		t.Errorf("%d bytes are counted that were not read, want %d", got, sent-read)
	}
	if conn.Close(); received.Load() != sent-read {
		t.Error("a second close counts them again")
	}
}
