package header

import "testing"

func TestAllowed(t *testing.T) {
	for _, name := range []string{"range", "Accept-Encoding", "content-length", "Connection", "If-Range", "TE", "Transfer-Encoding"} {
		if Allowed(name) {
			t.Errorf("%s is allowed", name)
		}
	}
	for _, name := range []string{"Host", "Accept", "User-Agent", "Referer", "Cookie", "X-Range"} {
		if !Allowed(name) {
			t.Errorf("%s is not allowed", name)
		}
	}
}
