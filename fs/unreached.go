//go:build linux

package fs

import (
	"context"
	"syscall"
	"time"

	"dlfs/cache"
	"dlfs/fetch"
)

// unreached stands for the version of a file whose first contact failed, or did not end
// within the read timeout: the size is not known. The name has attributes nevertheless, so
// that ls -l shows it and user.dlfs.error tells the reason; open(2) fails. The number is the
// size that is shown. The kernel keeps none of it, so that the next question finds what there
// is by then, and the version that is known at last is another inode.
type unreached int64

// unreachedOf shows a file by the size that the list tells, or by one byte. It is never 0:
// tar archives an empty file without opening it, and would archive this one as empty.
func unreachedOf(f *fetch.File) unreached {
	return unreached(max(1, f.Entry().Said().Size))
}

// Generation is 0, which no version has.
func (unreached) Generation() uint64 { return 0 }

// Version has the size that is shown.
func (u unreached) Version() cache.Version { return cache.Version{Size: int64(u)} }

// ModTime is not known.
func (unreached) ModTime() time.Time { return time.Time{} }

// Present is 0.
func (unreached) Present() int64 { return 0 }

// Published is false.
func (unreached) Published() bool { return false }

// againPatience is for how long a lookup of a file that failed before waits for another
// attempt: a program asks for the attributes of many files of a dead host, one after the
// other. The attempt goes on, and an open waits for it as long as for any.
const againPatience = 250 * time.Millisecond

// probe returns what there is of a file of the directory. It waits for the file's own probe
// if its size is not known. A failure of that probe is no failure of the lookup, see
// unreached; the caller's interruption is one, and a lack of descriptors.
func (d *dir) probe(ctx context.Context, f *fetch.File) (fetch.Copy, syscall.Errno) {
	if local := f.Known(); local != nil {
		return local, 0
	}
	gaveUp, justNow := d.fs.failures.timedOut(f)
	if justNow {
		return unreachedOf(f), 0
	}
	_, name := split(f.Name())
	d.asked(name)
	d.wait(1)
	defer d.wait(-1)
	ctx, cancel := d.fs.patient(ctx)
	defer cancel()
	again := gaveUp || f.Status().Error != ""
	if again {
		ctx, cancel = context.WithTimeout(ctx, againPatience)
		defer cancel()
	}
	local, err := f.Probe(ctx)
	if again && timedOut(err) { // the reason is the one that is known
		return unreachedOf(f), 0
	}
	d.fs.failures.lookedUp(f, timedOut(err))
	if err == nil {
		d.fs.failures.note(f, "")
		return local, 0
	}
	code, why := d.fs.fail("stat", f, err)
	if code == syscall.EINTR || code == syscall.EMFILE {
		return nil, code
	}
	if timedOut(err) { // the file has no failure of its own: the attempt goes on
		d.fs.failures.note(f, why)
	}
	return unreachedOf(f), 0
}
