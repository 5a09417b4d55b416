package origin

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch/origintest"
)

// A file whose length is not told is read to the end of its stream.
func TestUnknownLength(t *testing.T) {
	calls := map[string]func(x *fixture) (*Body, []byte, error){
		"Get":      func(x *fixture) (*Body, []byte, error) { return x.get(nil, 0, 10) },
		"GetWhole": func(x *fixture) (*Body, []byte, error) { return x.getWhole(nil) },
	}
	for name, get := range calls {
		bubble(t, func(t *testing.T, x *fixture) {
			endless := origintest.NoLength()
			x.Inject(endless)
			b, p, err := get(x)
			x.wantBytes(p, size, err)
			if v := b.Version(); v.Size != UnknownSize || v.ETag == "" || b.Ranged() || b.End() != size {
				t.Errorf("%s: version %v, ranged %t, end %d", name, v, b.Ranged(), b.End())
			}
			x.wantRequests(1)
			wantHit(t, endless)
		})
	}
}

func TestProbeUnknownLength(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		endless := origintest.NoLength()
		x.Inject(endless)
		for _, useHead := range []bool{false, true} {
			v, head, err := x.probe(useHead)
			if v.Size != UnknownSize || head != nil || err != nil {
				t.Errorf("got %v, %d bytes, %v", v, len(head), err)
			}
		}
		_, _, err := x.get(nil, 1, 10)
		wantKind(t, err, NoRanges)
		wantHit(t, endless)
	})
}

func TestUnknownLengthOfNothing(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.url = x.base + "/empty"
		endless := origintest.NoLength()
		x.Inject(endless)
		b, p, err := x.get(nil, 0, 10)
		x.wantBytes(p, 0, err)
		if b.End() != 0 {
			t.Errorf("end %d", b.End())
		}
		wantHit(t, endless)
	})
}

// It is resumed, from its start, only if the answers carry the same validator.
func TestUnknownLengthResumes(t *testing.T) {
	day, epoch := time.Unix(1e9, 0), time.Unix(0, 0)
	tests := []struct {
		name    string
		file    origintest.File
		then    *origintest.File
		at      int64
		restart bool
	}{
		{"entity tag", origintest.File{ETag: "a", ModTime: epoch}, nil, 50_000, false},
		{"date", origintest.File{ETag: "-", ModTime: day}, nil, 50_000, false},
		{"weak entity tag", origintest.File{ETag: `W/"a"`, ModTime: epoch}, nil, 50_000, true},
		{"no validator", origintest.File{ETag: "-", ModTime: epoch}, nil, 50_000, true},
		{"no validator, nothing read", origintest.File{ETag: "-", ModTime: epoch}, nil, 0, false},
		{"no validator any more", origintest.File{ETag: "a"}, &origintest.File{ETag: "-", ModTime: epoch}, 50_000, true},
		{"changed", origintest.File{ETag: "a", ModTime: day}, &origintest.File{ETag: "b", ModTime: day}, 50_000, true},
		{"changed, nothing read", origintest.File{ETag: "a"}, &origintest.File{ETag: "b"}, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				tt.file.Content = content
				x.Put("/a.tar", tt.file)
				endless, cut := origintest.NoLength(), origintest.CutAfter(tt.at).Times(1)
				x.Inject(endless, cut)
				b, err := x.resource().Get(t.Context(), nil, 0, 1)
				if err != nil {
					t.Fatal(err)
				}
				if tt.then != nil {
					tt.then.Content = content
					x.Put("/a.tar", *tt.then)
				}
				_, p, err := x.read(b, 0, nil)
				if tt.restart {
					wantKind(t, err, Restart)
					if int64(len(p)) != tt.at {
						t.Errorf("%d bytes", len(p))
					}
				} else {
					x.wantBytes(p, size, err)
				}
				wantHit(t, endless, cut)
			})
		})
	}
}

// The second answer may say the length after all; if it is less than what was
// read, that was something else.
func TestLengthComesLater(t *testing.T) {
	for _, n := range []int64{size, 50_000, 49_999, 0} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.Put("/a.tar", origintest.File{Content: content, ETag: "a"})
			endless, cut := origintest.NoLength().Times(1), origintest.CutAfter(50_000).Times(1)
			x.Inject(endless, cut)
			b, err := x.resource().Get(t.Context(), nil, 0, 1)
			if err != nil {
				t.Fatal(err)
			}
			x.Put("/a.tar", origintest.File{Content: content, Body: content, Size: n, ETag: "a"})
			_, p, err := x.read(b, 0, nil)
			if n < 50_000 {
				wantKind(t, err, Restart)
			} else {
				x.wantBytes(p, n, err)
			}
			wantHit(t, endless, cut)
		})
	}
}

// A version of unknown length that is wanted must be proven, and is read from
// the start wherever reading is to begin.
func TestUnknownLengthWanted(t *testing.T) {
	for _, off := range []int64{0, 70_000} {
		bubble(t, func(t *testing.T, x *fixture) {
			endless := origintest.NoLength()
			x.Inject(endless)
			v, _, err := x.probe(false)
			if err != nil {
				t.Fatal(err)
			}
			_, p, err := x.get(&v, off, 1)
			x.wantBytes(p, size-off, err)
			x.Put("/a.tar", otherVersion)
			_, _, err = x.get(&v, off, 1)
			wantKind(t, err, Restart)
			wantHit(t, endless)
		})
	}
}

// A shorter stream than was read already is not the one that broke off.
func TestUnknownLengthShrinks(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		endless, cut := origintest.NoLength(), origintest.CutAfter(50_000).Times(1)
		shorter := origintest.EndAfter(40_000).After(1)
		x.Inject(endless, cut, shorter)
		_, p, err := x.get(nil, 0, 1)
		wantKind(t, err, Restart)
		if len(p) != 50_000 {
			t.Errorf("%d bytes", len(p))
		}
		wantHit(t, endless, cut, shorter)
	})
}

// Of a known version, an answer without a length may be read as the whole.
func TestKnownLengthUntold(t *testing.T) {
	for _, fault := range []func() *origintest.Fault{
		func() *origintest.Fault { return nil },
		func() *origintest.Fault { return origintest.CutAfter(50_000).Times(2) },
		func() *origintest.Fault { return origintest.CutAfter(size - 1).Times(1) },
		func() *origintest.Fault { return origintest.StallAfter(size - 1).Times(1) },
		func() *origintest.Fault { return origintest.EndAfter(50_000).Times(2) },
		func() *origintest.Fault { return origintest.LongBody(1).Times(2) },
	} {
		for call, get := range map[string]func(x *fixture, v *Version) ([]byte, error){
			"Get":      func(x *fixture, v *Version) ([]byte, error) { _, p, err := x.get(v, 0, size); return p, err },
			"GetWhole": func(x *fixture, v *Version) ([]byte, error) { _, p, err := x.getWhole(v); return p, err },
		} {
			fault := fault()
			t.Run(fmt.Sprint(call, fault), func(t *testing.T) {
				bubble(t, func(t *testing.T, x *fixture) {
					want := x.pin()
					endless := origintest.NoLength().Method("GET").When(func(r *http.Request) bool {
						return r.Header.Get("Range") == "" || call == "Get"
					})
					x.Inject(endless)
					if fault != nil {
						x.Inject(fault)
						defer wantHit(t, fault)
					}
					p, err := get(x, want)
					if call == "Get" && KindOf(err) == NoRanges {
						return // it broke off, and the rest is not to be had by a range
					}
					x.wantBytes(p, size, err)
					wantHit(t, endless)
				})
			})
		}
	}
}

// More bytes than the version has, or fewer, for good, are another version.
func TestOtherLengthUntold(t *testing.T) {
	for now, fault := range map[int64]func() *origintest.Fault{
		UnknownSize: func() *origintest.Fault { return origintest.LongBody(1) },
		70_000:      func() *origintest.Fault { return origintest.EndAfter(70_000) },
		0:           func() *origintest.Fault { return origintest.EndAfter(0) },
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			want := x.pin()
			fault := fault()
			x.Inject(origintest.NoLength(), fault)
			_, p, err := x.getWhole(want)
			e := wantKind(t, err, Changed)
			if e.Now.Size != now || len(p) >= size {
				t.Errorf("%v: now %v, after %d bytes", fault, e.Now, len(p))
			}
			if n := x.Counts().Requests; n < 4 || n > 5 {
				t.Errorf("%d requests", n)
			}
			wantHit(t, fault)
		})
	}
}

// Without a validator there is nothing to agree.
func TestKnownLengthUntoldAndUnproven(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.Put("/a.tar", origintest.File{Content: content, ETag: "-", ModTime: time.Unix(0, 0)})
		want := x.pin()
		endless := origintest.NoLength()
		x.Inject(endless)
		_, _, err := x.getWhole(want)
		wantKind(t, err, Unproven)
		wantHit(t, endless)
	})
}

// An origin of HTTP/1.0 ends its stream by closing the connection.
func TestLengthByClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := handlerFixture(t, func(w http.ResponseWriter, r *http.Request) {
			conn, buf, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprintf(buf, "HTTP/1.0 200 OK\r\nContent-Type: application/x-tar\r\n\r\n")
			buf.Write(content.Bytes())
			buf.Flush()
		})
		b, p, err := x.get(nil, 0, 1)
		x.wantBytes(p, size, err)
		if b.Version().Size != UnknownSize {
			t.Errorf("version %v", b.Version())
		}
	})
}

// handlerFixture is a fixture whose origin is h, for what an Origin cannot do.
func handlerFixture(t *testing.T, h http.HandlerFunc) *fixture {
	pipe := origintest.NewPipe()
	s := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { // ended by the Close in Cleanup, which waits for it
		defer close(done)
		s.Serve(pipe)
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return newFixture(t, origintest.New(), "http://origin", Options{DialContext: pipe.DialContext})
}

// serveRange answers a ranged request as an honest origin does.
func serveRange(w http.ResponseWriter, r *http.Request) {
	var first, last int64
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); err != nil {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		w.Write(content.Bytes())
		return
	}
	last = min(last, size-1)
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, int64(size)))
	w.Header().Set("Content-Length", strconv.FormatInt(last-first+1, 10))
	w.WriteHeader(http.StatusPartialContent)
	w.Write(content.Bytes()[first : last+1])
}
