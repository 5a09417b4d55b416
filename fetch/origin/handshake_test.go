package origin

import (
	"context"
	"net"
	"testing"
)

// A certificate that is not good is not asked about twice.
func TestTLSErrorsArePermanent(t *testing.T) {
	x := overTCP(t)
	base, _ := tlsOrigin(t, x.Origin)
	dials := 0
	x.dial(func(next dialer) dialer {
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials++
			return next(ctx, network, addr)
		}
	})
	x.url = base + "/a.tar"
	_, _, err := x.get(nil, 0, 1)
	wantKind(t, err, Permanent)
	if dials != 1 {
		t.Errorf("%d connections", dials)
	}
	x.wantRequests(0)
}
