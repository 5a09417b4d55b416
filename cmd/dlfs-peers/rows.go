package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	ot "dlfs/fetch/origintest"
)

// row is one way to misbehave.
type row struct {
	name   string
	set    func(*stage)
	digest bool // the user knows the SHA-256 of the file
	gzip   bool // the user knows that the origin compresses
	login  bool // the origin wants the login of a user
}

// stage is the origin of one cell.
type stage struct {
	origin   *ot.Origin
	size     int64
	versions []ot.Content // that the origin shows now or may show later
	faults   []*ot.Fault  // that make the row; setting is not among them
	plot     func(ctx context.Context, s *stage) bool
	happened bool // the plot, once it has ended
}

const path = "/" + fileName

// newStage returns a stage that shows one version and sends this many bytes a
// second on each connection: something can happen meanwhile, and few bytes are
// in the kernel's buffers when a tool stops reading.
func newStage(size, rate int64) *stage {
	s := &stage{origin: ot.New(), size: size}
	s.origin.Inject(ot.Throttle(rate))
	s.versions = []ot.Content{{Seed: 1, Size: size}}
	s.origin.Put(path, ot.File{Content: s.versions[0], IfRange: true})
	return s
}

// inject adds the faults of the row.
func (s *stage) inject(faults ...*ot.Fault) {
	s.faults = append(s.faults, faults...)
	s.origin.Inject(faults...)
}

// begin runs the plot, if there is one, until the function it returns is
// called.
func (s *stage) begin(ctx context.Context) (end func()) {
	if s.plot == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var played sync.WaitGroup
	played.Go(func() { s.happened = s.plot(ctx, s) }) // ended by end
	return func() {
		cancel()
		played.Wait()
	}
}

// met reports whether the tool has seen anything that is not honest.
func (s *stage) met() bool {
	met := len(s.faults) == 0 && s.plot == nil || s.happened
	for _, f := range s.faults {
		met = met || f.Hits() > 0
	}
	return met
}

// faulty is a row of faults only. They are made anew for each cell.
func faulty(name string, faults func() []*ot.Fault) row {
	return row{name: name, set: func(s *stage) { s.inject(faults()...) }}
}

// one is a row of one fault.
func one(name string, fault func() *ot.Fault) row {
	return faulty(name, func() []*ot.Fault { return []*ot.Fault{fault()} })
}

// rows returns all rows for a file of this size. What is wrong for a while only
// can be waited out; what is wrong always is a kind of origin one may meet.
func rows(size int64) []row {
	all := []row{{name: "none: honest", set: func(*stage) {}}}
	all = append(all, headRows(size)...)
	all = append(all, rangeRows(size)...)
	all = append(all, cutRows(size)...)
	all = append(all, pageRows(size)...)
	all = append(all, redirectRows(size)...)
	all = append(all, loadRows(size)...)
	all = append(all, changeRows(size)...)
	all = append(all, unprovenRows(size)...)
	return append(all, wordRows(size)...)
}

// headRows are faults of the answers to HEAD.
func headRows(size int64) []row {
	var all []row
	for _, code := range []int{403, 405, 501} {
		all = append(all, one(fmt.Sprintf("HEAD refused, %d", code), func() *ot.Fault { return ot.RefuseHead(code) }))
	}
	return append(all, one("HEAD tells half the length", func() *ot.Fault { return ot.HeadLength(size / 2) }))
}

// rangeRows are faults of the answers to requests for ranges.
func rangeRows(size int64) []row {
	return []row{
		one("ranges ignored", ot.NoRanges),
		one("ranges ignored, Accept-Ranges lies", ot.LyingAcceptRanges),
		resumed("every 2nd 206 shifted by 8", size, func() *ot.Fault { return ot.ShiftRange(8).Every(2) }),
		resumed("every 2nd 206 without Content-Range", size, func() *ot.Fault { return ot.WrongContentRange("").Every(2) }),
		resumed("every 2nd 206 with a wrong Content-Range", size, func() *ot.Fault { return ot.WrongContentRange("bytes 0-0/1").Every(2) }),
		resumed("every 2nd range 416", size, func() *ot.Fault {
			return ot.Status(416, "Content-Range", fmt.Sprintf("bytes */%d", size)).Ranged().Every(2)
		}),
		one("206 with more than asked", func() *ot.Fault { return ot.WideRange(0, 4096) }),
		one("206 with less than asked", func() *ot.Fault { return ot.ShortRange(size / 16) }),
		one("206 with more than it says", func() *ot.Fault { return ot.LongBody(100).Ranged() }),
		one("206 with the whole file", ot.WholeAs206),
		one("200 with the range and Content-Range", ot.RangeAs200),
		one("multipart/byteranges", ot.Multipart),
		one("ranges above 1 MiB 400", func() *ot.Fault { return ot.Status(400).Ranged().LongerThan(1 << 20) }),
	}
}

// resumed is a row of one fault on an origin that cuts the first body, so that
// every tool asks again.
func resumed(name string, size int64, fault func() *ot.Fault) row {
	return row{name: name, set: func(s *stage) {
		s.origin.Inject(ot.CutAfter(size / 32).Times(1))
		s.inject(fault())
	}}
}

// cutRows are bodies that end early, stall, or come without a length.
func cutRows(size int64) []row {
	eighth := size / 8
	all := []row{
		one("3 bodies cut at an eighth", func() *ot.Fault { return ot.CutAfter(eighth).Times(3) }),
		one("every body cut at an eighth", func() *ot.Fault { return ot.CutAfter(eighth) }),
		one("every body cut at 64 KiB", func() *ot.Fault { return ot.CutAfter(64 << 10) }),
		one("3 connections reset", func() *ot.Fault { return ot.ResetAfter(eighth / 4).Times(3) }),
		one("2 chunked bodies end early", func() *ot.Fault { return ot.EndAfter(eighth / 4).Times(2) }),
		one("2 bodies stall", func() *ot.Fault { return ot.StallAfter(eighth / 4).Times(2) }),
		one("chunked, no length, no ranges", ot.NoLength),
		one("gzip, asked or not", ot.Gzip),
	}
	all[len(all)-1].gzip = true
	return all
}

// pageRows are web pages in place of the file, as from a login that has expired.
func pageRows(size int64) []row {
	midRun := func(f *ot.Fault) *ot.Fault { return f.Method("GET").After(1).Times(2) }
	return []row{
		one("login page at first", func() *ot.Fault { return ot.Page(200).Times(2) }),
		resumed("login page mid-run, 200", size, func() *ot.Fault { return midRun(ot.Page(200)) }),
		resumed("login page mid-run, 206", size, func() *ot.Fault { return midRun(ot.Page(206)) }),
		resumed("login page mid-run, of the file's size", size, func() *ot.Fault { return midRun(ot.PageOfFileSize(200)) }),
	}
}

// redirectRows are chains, loops and targets of redirects that expire.
func redirectRows(size int64) []row {
	return []row{
		faulty("5 redirects", func() []*ot.Fault {
			chain := []*ot.Fault{ot.Redirect(302, "/hop1").On(path)}
			for i := 1; i < 5; i++ {
				chain = append(chain, ot.Redirect(307, fmt.Sprintf("/hop%d", i+1)).On(fmt.Sprintf("/hop%d", i)))
			}
			return chain
		}).target("/hop5"),
		one("redirect loop", ot.RedirectLoop),
		faulty("redirect to a target signed for 2 s", func() []*ot.Fault {
			return []*ot.Fault{
				ot.RedirectSigned(302, "/signed/file", 2*time.Second).On(path),
				ot.RequireSigned().On("/signed/*"),
				ot.CutAfter(size / 8).Times(3),
				ot.Throttle(size / 16),
			}
		}).target("/signed/file"),
	}
}

// target makes the row's file be at another path, too.
func (r row) target(path string) row {
	set := r.set
	r.set = func(s *stage) {
		s.origin.Put(path, ot.File{Content: s.versions[0], IfRange: true})
		set(s)
	}
	return r
}

// loadRows are origins that are busy, slow or away for a while.
func loadRows(size int64) []row {
	return []row{
		one("3 × 503, Retry-After: 3", func() *ot.Fault { return ot.Status(503, "Retry-After", "3").Times(3) }),
		one("429 once, Retry-After a date in 4 s", func() *ot.Fault { return retryAfterDate(4 * time.Second).Times(1) }),
		one("2 × 429, Retry-After an hour ago", func() *ot.Fault { return retryAfterDate(-time.Hour).Times(2) }),
		{name: "429 above 1 open", set: func(s *stage) {
			s.origin.Inject(ot.Throttle(size / 4))
			s.inject(ot.LimitOpen(1, 429))
		}},
		one("half of the answers 503", func() *ot.Fault { return ot.Status(503).Chance(0.5, 2) }),
		one("first byte after 2 s", func() *ot.Fault { return ot.FirstByteAfter(2 * time.Second) }),
		one("slow start", func() *ot.Fault { return ot.SlowStart(4<<10, 500*time.Millisecond) }),
		outage("host dead for 5 s", (*ot.Origin).Down, 5*time.Second),
		outage("host silent for 12 s", (*ot.Origin).Blackhole, 12*time.Second),
	}
}

// retryAfterDate answers 429 with a Retry-After that is a date.
func retryAfterDate(in time.Duration) *ot.Fault {
	date := time.Now().Add(in).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	return ot.Status(429, "Retry-After", date)
}

// outage is a row in which a host is lost a second after the first request.
func outage(name string, lose func(*ot.Origin), d time.Duration) row {
	return row{name: name, set: func(s *stage) {
		first := ot.Throttle(s.size / 16)
		s.origin.Inject(first)
		s.plot = func(ctx context.Context, s *stage) bool {
			if first.Wait(ctx, 1) != nil || !wait(ctx, time.Second) {
				return false
			}
			lose(s.origin)
			wait(ctx, d)
			s.origin.Up()
			return true
		}
	}}
}

// wait reports whether all of d went by before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// changeRows are files whose bytes or entity tags change while they are fetched.
func changeRows(size int64) []row {
	// The file is another one from the second GET on.
	swap := func(name string, next ot.Content) row {
		r := resumed(name, size, func() *ot.Fault {
			return ot.Swap(ot.File{Content: next, IfRange: true}).Method("GET").After(1)
		})
		resume := r.set
		r.set = func(s *stage) {
			s.versions = append(s.versions, next)
			resume(s)
		}
		return r
	}
	wrong := func() *ot.Fault { return ot.WrongBytes(size/16, 100).Times(1) }
	all := []row{
		swap("another version mid-run", ot.Content{Seed: 2, Size: size}),
		swap("a shorter version mid-run", ot.Content{Seed: 2, Size: size / 4 * 3}),
		one("ETag new in every answer", func() *ot.Fault { return ot.RotateETag() }),
		one("replicas with two ETags", func() *ot.Fault { return ot.RotateETag("a", "b") }),
		one("wrong bytes once, the user knows the SHA-256", wrong),
		{name: "wrong bytes once, the origin tells digests", set: func(s *stage) {
			s.origin.Inject(ot.Digests())
			s.inject(wrong())
		}},
	}
	all[4].digest = true
	return all
}
