package fetch

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// TestBodyCutOffTLSIsDoubted: over TLS, a body without a length that ends without a
// close_notify is read again, and believed when it ends at the same byte twice.
func TestBodyCutOffTLSIsDoubted(t *testing.T) {
	const size = 3 * bs
	for name, tt := range map[string]struct {
		cuts []int64 // where the connection is cut, by request; then it is closed well
		gets int64
	}{
		"closed well":                    {nil, 1},
		"cut once":                       {[]int64{bs}, 2},
		"cut twice, at different bytes":  {[]int64{bs, 2 * bs}, 3},
		"cut before the first byte":      {[]int64{0}, 2},
		"never closed well, but at once": {[]int64{size, size, size, size}, 2},
	} {
		x := newFixture(t)
		t.Cleanup(x.stop)
		var gets atomic.Int64
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			n := gets.Add(1)
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
			if n > int64(len(tt.cuts)) {
				io.Copy(conn, x.contents["a"].Reader())
				return
			}
			io.CopyN(conn, x.contents["a"].Reader(), tt.cuts[n-1])
			conn.(*tls.Conn).NetConn().Close()
		}))
		t.Cleanup(s.Close)
		x.url, x.originOpts.TLS = s.URL, s.Client().Transport.(*http.Transport).TLSClientConfig
		x.add("a", size)
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized("a")
		if n := gets.Load(); n != tt.gets {
			t.Errorf("%s: asked %d times, want %d", name, n, tt.gets)
		}
	}
}
