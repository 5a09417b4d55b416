package origin

import (
	"testing"
	"time"

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

// TestFileNameOf is how browsers read the header, beyond what RFC 6266 allows.
func TestFileNameOf(t *testing.T) {
	for header, want := range map[string]string{
		`attachment; filename=a b.tar`:                                "a b.tar",
		`attachment; FILENAME="x.tar"`:                                "x.tar",
		`attachment;filename=x.tar;size=3`:                            "x.tar",
		`filename=x.tar`:                                              "x.tar",
		`"attachment"; filename=x.tar`:                                "x.tar",
		`attachment; filename="x.tar`:                                 "x.tar",
		`attachment; filename="a\"b\\c;d.tar"`:                        "c;d.tar",
		`attachment; filename="g` + "\xfc" + `.tar"`:                  "gü.tar",
		`attachment; filename=gü.tar`:                                 "gü.tar",
		`attachment; filename="g%C3%BC.tar"`:                          "gü.tar",
		`attachment; filename="g%fc.tar"`:                             "g%fc.tar",
		`attachment; filename="50% off.tar"`:                          "50% off.tar",
		`attachment; filename="=?UTF-8?B?Z8O8LnRhcg==?="`:             "gü.tar",
		`attachment; filename*=UTF-8''g%C3%BC.tar; filename=x`:        "gü.tar",
		`attachment; filename*=utf-8'de'a%20b.tar`:                    "a b.tar",
		`attachment; filename*=iso-8859-1''g%FC.tar`:                  "gü.tar",
		`attachment; filename*="UTF-8''g%C3%BC.tar"`:                  "gü.tar",
		`attachment; filename*=UTF-8''%FF; filename="x.tar"`:          "x.tar",
		`attachment; filename*=koi8-r''%D1; filename="x.tar"`:         "x.tar",
		`attachment; filename*0="long "; filename*1="name.tar"`:       "long name.tar",
		`attachment; filename*0*=UTF-8''g%C3%BC; filename*1="%2.tar"`: "gü%2.tar",
		`attachment; filename="a.tar"; filename="b.tar"`:              "a.tar",
		`attachment; filename="..%2F..%2Fetc%2Fpasswd"`:               "passwd",
		`attachment; filename=`:                                       "",
		`filename`:                                                    "",
		`;=;=`:                                                        "",
	} {
		if got := fileNameOf(header); got != want {
			t.Errorf("%q gives %q, want %q", header, got, want)
		}
	}
}

// TestFilenameIsAskedForAgain: what passes costs no name, and what does not pass
// does not hold a job up for as long as a file may.
func TestFilenameIsAskedForAgain(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.Inject(origintest.Header("Content-Disposition", `attachment; filename="n.bin"`), origintest.Status(503).Times(3))
		if name, err := x.resource().Filename(t.Context()); name != "n.bin" || err != nil {
			t.Errorf("got %q, %v", name, err)
		}
	})
	bubble(t, func(t *testing.T, x *fixture) {
		x.Inject(origintest.Status(503))
		start := time.Now()
		_, err := x.resource().Filename(t.Context())
		if KindOf(err) != Transient || err == nil || time.Since(start) > time.Minute {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}
