package fetch

import (
	"testing"
	"time"

	"dlfs/fetch/hosts"
	"dlfs/fetch/origin"
)

// A file that failed goes on when bytes come from another machine. Then its own URL may be asked
// again, too: else an extent that is this machine's own would wait for ever, and with it the other
// machines.
func TestBytesOfAPeerLetTheURLBeAskedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		c := newCircle(t, 2)
		x.add("f", 4*bs)
		y := c.join(x, 0, Options{Serve: true, Prefetch: PrefetchNone})
		check(t, y.readOnce("f", 0, 1))
		f := y.File("f")
		f.mu.Lock()
		defer f.mu.Unlock()
		refused := &origin.Error{Kind: origin.NeedsURL, Status: 403}
		if others, _ := f.dropLocked(f.mirrorsLocked().list[0], refused); others {
			t.Fatal("the file has another URL")
		}
		f.failLocked(refused)
		if f.mirrorsLocked().free(hosts.Bulk) != nil {
			t.Fatal("the URL that was refused is asked")
		}
		fi := f.fill()
		fl := &flight{fill: fi, mirror: fi.extents.mirror, born: time.Now().Add(1)}
		fl.disproveLocked()
		if f.mu.failure != nil || f.mirrorsLocked().free(hosts.Bulk) == nil {
			t.Errorf("the file has failed with %v, and its URL is asked: %v", f.mu.failure, f.mirrorsLocked().free(hosts.Bulk) != nil)
		}
	})
}
