package fetch

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"dlfs/fetch/origin"
	"dlfs/fetch/origintest"
	"dlfs/listfile"
)

// mirrors gives the fixture further origins, by host name, which have what the
// first one has, and returns them. Each has faults and counts of its own.
func (x *fixture) mirrors(hosts ...string) (list []*origintest.Origin) {
	dial := map[string]func(context.Context, string, string) (net.Conn, error){"origin:80": x.originOpts.DialContext}
	for _, host := range hosts {
		o := origintest.New()
		for name, c := range x.contents {
			o.Put("/"+name, origintest.File{Content: c, ETag: tagOf(c)})
		}
		dial[host+":80"] = o.ServePipe(x.t).DialContext
		list = append(list, o)
	}
	x.originOpts.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dial[addr](ctx, network, addr)
	}
	for i := range x.entries {
		d := &listfile.Details{Size: -1}
		for _, host := range hosts {
			d.Mirrors = append(d.Mirrors, "http://"+host+"/"+x.entries[i].Name)
		}
		x.entries[i].Details = d
	}
	return list
}

func TestMirrorsAreUsedInParallelBySpeed(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 64<<20)
		others := x.mirrors("fast")
		x.Inject(origintest.Throttle(1 << 20))
		others[0].Inject(origintest.Throttle(8 << 20))
		x.start()
		start := time.Now()
		check(t, x.Run(t.Context()))
		x.materialized("a")
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("took %v", took)
		}
		slow, fast := x.Counts().BodyBytes, others[0].Counts().BodyBytes
		if slow == 0 || fast < 3*slow {
			t.Errorf("the slow mirror sent %d bytes, the fast one %d", slow, fast)
		}
		if sum := slow + fast; sum > 66<<20 {
			t.Errorf("both sent %d bytes", sum)
		}
	})
}

func TestBadMirrorIsDroppedWithoutLosingBlocks(t *testing.T) {
	for name, fault := range map[string]*origintest.Fault{
		"refuses":         origintest.Status(403),
		"has it not":      origintest.Status(404),
		"dies half-way":   origintest.CutAfter(1 << 20),
		"knows no ranges": origintest.NoRanges(),
		"other version":   origintest.Swap(origintest.File{Content: origintest.Content{Seed: 99, Size: 16 << 20}, ETag: `"x"`}),
		"other size":      origintest.Swap(origintest.File{Content: origintest.Content{Seed: 99, Size: 15 << 20}, ETag: `"x"`}),
	} {
		for _, first := range []bool{false, true} {
			bubble(t, func(t *testing.T, x *fixture) {
				x.add("a", 16<<20)
				others := x.mirrors("other")
				others[0].Inject(origintest.Throttle(4 << 20))
				x.Inject(origintest.Throttle(4 << 20))
				bad, good := others[0], x.Origin
				if first {
					bad, good = good, bad
				}
				if first && (name == "other version" || name == "other size") {
					return // the first to be asked pins the version
				}
				bad.Inject(fault.Method("GET"))
				x.opts.Split = 2
				x.start()
				check(t, x.Run(t.Context()))
				x.materialized("a")
				wantHit(t, fault)
				if sent := bad.Counts().BodyBytes + good.Counts().BodyBytes; sent > 40<<20 {
					t.Errorf("%s: the origins sent %d bytes", name, sent)
				}
			})
		}
	}
}

func TestAllMirrorsBadIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 16<<20)
		others := x.mirrors("other", "third")
		faults := []*origintest.Fault{origintest.Status(403), origintest.Status(403), origintest.Status(404)}
		x.Inject(faults[0])
		others[0].Inject(faults[1])
		others[1].Inject(faults[2])
		x.start()
		check(t, x.Run(t.Context()))
		wantHit(t, faults...)
		x.wantState("a", "needs-url", "403") // there is hope for that
	})
}

// One flight of a file fails while another of the same mirror goes on: that
// proves nothing, and hides nothing. One that was launched since does, and then
// the mirror may be asked again, too.
func TestFailureIsForgottenByLaterFlightsAlone(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 32<<20)
		x.start()
		f := x.File("a")
		f.mu.Lock()
		defer f.mu.Unlock()
		ms, fi := f.mirrorsLocked(), &fill{file: f}
		m := ms.list[0]
		before := &flight{fill: fi, mirror: m, born: time.Now()}
		advance(time.Second)
		_, err := f.dropLocked(m, &origin.Error{Kind: origin.NeedsURL, Err: errors.New("refused")})
		f.failLocked(err)
		advance(time.Second)
		before.disproveLocked()
		if f.mu.failure == nil || m.failure == nil || ms.pick(anyMirror) != nil {
			t.Error("forgotten for a flight from before")
		}
		(&flight{fill: fi, mirror: m, born: time.Now()}).disproveLocked()
		if f.mu.failure != nil || m.failure != nil || ms.pick(anyMirror) != m {
			t.Error("not forgotten for a flight from after")
		}
	})
}

// A mirror that has another file than the list describes is the wrong one, though
// it comes first.
func TestStaleMirrorIsNotBelieved(t *testing.T) {
	for name, describe := range map[string]func(*listfile.Entry, origintest.Content){
		"size":   func(e *listfile.Entry, c origintest.Content) { e.Details.Size = c.Size },
		"digest": func(e *listfile.Entry, c origintest.Content) { e.Details.Digest = sha256Of(c) },
	} {
		for _, how := range []string{"prefetch", "probe", "unknown length"} {
			t.Run(name+" "+how, func(t *testing.T) {
				bubble(t, func(t *testing.T, x *fixture) {
					x.add("a", 3<<20)
					right := x.contents["a"]
					x.Put("/stale", origintest.File{Content: origintest.Content{Seed: 99, Size: 1000}, ETag: "old"})
					e := &x.entries[0]
					e.Details = &listfile.Details{Mirrors: []string{e.URL}, Size: -1}
					e.URL = "http://origin/stale"
					describe(e, right)
					x.start()
					if how == "unknown length" {
						x.Inject(origintest.NoRanges(), origintest.Chunked(), origintest.RefuseHead(405))
					}
					if how == "probe" {
						x.File("a").Probe(t.Context()) // what it says of the version is not believed for long
					}
					check(t, x.Run(t.Context()))
					x.wantState("a", "complete", "")
					x.publishedIsOneOf("a", right)
				})
			})
		}
	}
}
