package origin

import (
	"testing"
	"testing/synctest"

	"dlfs/fetch/origintest"
)

// overH2 is a bubble whose origin speaks HTTP/2, and whose client may.
func overH2(t *testing.T, f func(t *testing.T, x *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := origintest.New()
		pipe, tls := o.ServePipeTLS(t, origintest.TLS{HTTP2: true})
		f(t, newFixture(t, o, "https://origin", Options{DialContext: pipe.DialContext, TLS: tls, HTTP2: true}))
	})
}

func TestStreamsThatEndEarlyAreResumed(t *testing.T) {
	for name, fault := range map[string]*origintest.Fault{
		"GOAWAY":     origintest.GoAwayAfter(50_000).Times(3),
		"RST_STREAM": origintest.StreamResetAfter(50_000).Times(3),
		"cut":        origintest.CutAfter(50_000).Times(3),
	} {
		overH2(t, func(t *testing.T, x *fixture) {
			x.Inject(fault)
			_, p, err := x.get(nil, 0, size)
			x.wantBytes(p, size, err)
			wantHit(t, fault)
			for _, r := range x.Log() {
				if r.Status != 0 && r.Status != 206 {
					t.Errorf("%s: %v", name, r)
				}
			}
		})
	}
}
