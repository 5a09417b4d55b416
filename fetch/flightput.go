package fetch

import (
	"errors"
	"io"
	"time"

	"dlfs/cache"
	"dlfs/fetch/origin"
)

// put stores the whole blocks at the front of p, which starts at pos, and
// returns how many bytes that was. It is done when the flight is at its end;
// eof says that p is all there is.
func (fl *flight) put(p []byte, eof bool) (used int, done bool, err error) {
	blob := fl.fill.blob
	if left, _ := fl.left(); int64(len(p)) > left {
		p = p[:left] // cut meanwhile: the rest is another flight's
	}
	used = len(p) / cache.BlockSize * cache.BlockSize
	if fl.pos+int64(len(p)) == blob.Version().Size {
		used = len(p)
	}
	if fl.whole && fl.contradicted(p[:used]) {
		e := origin.Contradicted(origin.Version(blob.Version()))
		e.URL = fl.mirror.res.URL()
		return 0, false, e
	}
	if used > 0 {
		err := blob.PutFrom(&fl.grant, fl.pos, p[:used])
		if r := fl.fill.file.set.room; r != nil && err == nil {
			r.put(fl.fill, fl.pos, int64(used))
		}
		if errors.Is(err, cache.ErrNoSpace) && fl.shelve(p[:used]) {
			err = nil
		}
		if err != nil {
			return 0, false, err
		}
	}
	done = fl.advance(int64(used), used < len(p))
	if eof && !done {
		err = io.ErrUnexpectedEOF // the client promises exactly what was asked
	}
	return used, done, err
}

// shelve keeps blocks in memory that the disk has no room for, if a reader waits
// for some of what the flight brings.
func (fl *flight) shelve(p []byte) bool {
	if _, wanted := fl.left(); !wanted {
		return false
	}
	fl.fill.blob.Shelve(fl.pos, p)
	return true
}

// advance moves pos on by n bytes that were put, and wakes the readers who waited for them. part
// says that bytes of the next block have come, too. It reports whether the flight is at its end.
func (fl *flight) advance(n int64, part bool) (done bool) {
	fi := fl.fill
	fi.file.mu.Lock()
	defer fi.file.mu.Unlock()
	fl.checkListed()
	fl.pos += n
	fl.part = part
	for s := range fl.seats {
		if s.want <= fl.pos {
			fl.seats.wake(s, nil)
		}
	}
	if n > 0 {
		fl.mirror.host.Heard()
		fl.disproveLocked()
		fl.metered(n)
		fl.timed()
		fl.cameFromPeer()
		fl.tell()
		fi.proven = true
		fi.digestLocked()
	}
	return fl.pos >= fl.end || fl.whole && fi.blob.Complete()
}

// tell wakes the peers that are served from the flight. The caller holds file.mu.
func (fl *flight) tell() {
	if fl.moved != nil {
		close(fl.moved)
		fl.moved = nil
	}
}

// linger is how old a reader's flight gets before it is cancelled because its
// readers were interrupted. A signal makes a page fault leave and ask again, many
// times a second in a profiled program: were the flight to end with each, none
// would arrive.
const linger = 3 * time.Second
