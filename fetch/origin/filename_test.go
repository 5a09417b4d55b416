package origin

import (
	"testing"

	"dlfs/fetch/origintest"
)

func TestFilenameIsWhatTheOriginSays(t *testing.T) {
	for header, want := range map[string]string{
		`attachment; filename="a b.tar"`:                       "a b.tar",
		`attachment; filename=x.tar; filename*=UTF-8''g%C3%BC`: "gü",
		`inline; filename="../../etc/passwd"`:                  "passwd",
		`attachment; filename="C:\dir\x.doc"`:                  "x.doc",
		`attachment`:                                           "",
		`;;`:                                                   "",
		``:                                                     "",
	} {
		for _, refused := range []bool{false, true} {
			bubble(t, func(t *testing.T, x *fixture) {
				x.Inject(origintest.Header("Content-Disposition", header))
				if refused {
					x.Inject(origintest.RefuseHead(405))
				}
				got, err := x.resource().Filename(t.Context())
				if err != nil || got != want {
					t.Errorf("%q is called %q, want %q: %v", header, got, want, err)
				}
			})
		}
	}
}

func TestFilenameOfWhatIsNotThere(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		gone := origintest.Status(404)
		x.Inject(gone)
		if _, err := x.resource().Filename(t.Context()); KindOf(err) != NotFound {
			t.Errorf("got %v", err)
		}
		wantHit(t, gone)
	})
}
