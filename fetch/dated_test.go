package fetch

import (
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// A date that is that of the answer, in whatever time zone, or that of a replica,
// is no validator while the content is the same.
func TestUnstableLastModified(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2025, 1, n, 0, 0, 0, 0, time.UTC) }
	for name, noise := range map[string]func() *origintest.Fault{
		"now":           func() *origintest.Fault { return origintest.LastModifiedNow(0) },
		"in local time": func() *origintest.Fault { return origintest.LastModifiedNow(2 * time.Hour) },
		"two replicas":  func() *origintest.Fault { return origintest.RotateLastModified(day(1), day(2)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.add("a", 32<<20)
				x.Put("/a", origintest.File{Content: x.contents["a"], ETag: "-"})
				fault := noise()
				x.Inject(fault, origintest.Throttle(2<<20).Method("GET"))
				x.start()
				check(t, x.Run(t.Context()))
				x.wantState("a", "complete", "")
				x.publishedIsOneOf("a", x.contents["a"])
				x.wantBodyBytes(32<<20, 40<<20)
				wantHit(t, fault)
			})
		})
	}
}

// A file that was edited has another date, once, and most of its content.
func TestEditedFileIsAnotherVersion(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 32<<20)
		c := x.contents["a"]
		old := origintest.File{Content: c, ETag: "-", ModTime: time.Unix(1e9, 0)}
		x.Put("/a", old)
		stall := origintest.StallAfter(4 << 20).Method("GET")
		x.Inject(stall)
		x.start()
		stop := x.background()
		advance(5 * time.Second)
		stop()
		x.stop()
		x.Clear()
		edited := old // the same bytes as far as anybody can compare them
		edited.ModTime = time.Unix(2e9, 0).Add(-time.Hour)
		x.Put("/a", edited)
		x.opts.OnChange = Fail
		x.start()
		check(t, x.Run(t.Context()))
		x.wantState("a", "failed", "changed on the origin: last modified")
		wantHit(t, stall)
	})
}
