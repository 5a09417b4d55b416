package fetch

import (
	"errors"
	"fmt"
	"hash"

	"dlfs/cache"
	"dlfs/listfile"
	"dlfs/listfile/digest"
)

// digesting is the digest of a blob being computed. It follows the contiguous
// front of what is present, while those bytes are in the page cache, so that a
// large file is not read a second time when it is complete.
type digesting struct {
	// Constant data
	blob   *cache.Blob
	want   digest.Digest
	pieces *digest.Pieces

	// Guarded by file.mu.
	running bool // the goroutine of digestFront owns what follows
	torn    bool // blocks were evicted that may be in the sums
	right   bool // all bytes have the digest they must have
	halted  bool // the bytes have another digest, or cannot be read; nothing is computed until the file is forgiven

	off   int64 // bytes before it are in the sums
	whole hash.Hash
	piece hash.Hash
	bad   []cache.Extent // pieces with a wrong digest
}

// digestStep is how far the front must have moved on to be worth waking for.
const digestStep = 1 << 20

// wanted is the digest the bytes of an entry's version must have, the zero Digest if
// none is known: the list's, else what the origin said.
func wanted(blob *cache.Blob, e *listfile.Entry) digest.Digest {
	if d := e.Said().Digest; !d.IsZero() {
		return d
	}
	d, err := digest.Parse(blob.Note().Digest)
	if err != nil {
		return digest.Digest{}
	}
	return d
}

// Digest is what the file's bytes must hash to, as far as that is known.
func (f *File) Digest() digest.Digest {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fi := f.fill(); fi != nil {
		return wanted(fi.blob, f.mu.entry)
	}
	return f.mu.entry.Said().Digest
}

// newDigesting returns a digest that begins at the first byte of the version, as when another
// digest is wanted or bytes may have changed. It returns nil if no digest of the version is
// known, or if the published file has been found right before. The caller holds file.mu.
func (fi *fill) newDigesting() *digesting {
	d := fi.file.set.digestingAnew(fi.blob, fi.file.mu.entry)
	if d == nil {
		return nil
	}
	note := fi.blob.Note()
	if known := note.Verified && (d.want.IsZero() || note.Digest == d.want.String()); known && fi.blob.Published() {
		return nil
	}
	return d
}

// digestingAnew is newDigesting for a caller who trusts nothing found before.
func (s *Set) digestingAnew(blob *cache.Blob, e *listfile.Entry) *digesting {
	want := wanted(blob, e)
	if want.IsZero() && e.Said().Pieces == nil { // most files have no digest
		return nil
	}
	d := &digesting{blob: blob, want: want}
	if pieces := e.Said().Pieces; pieces != nil && pieces.Fits(blob.Version().Size) {
		d.pieces = pieces
	} else if pieces != nil {
		s.log.Warn("piece digests of the list do not fit the file's size, and are not used", "name", e.Name)
	}
	if d.want.IsZero() && d.pieces == nil {
		return nil
	}
	if !d.want.IsZero() {
		d.whole = d.want.Algorithm.New()
	}
	return d
}

// saidLocked takes note of a digest an origin said the version's bytes have. The
// list's own has precedence, and so has what was said first.
func (fi *fill) saidLocked(said digest.Digest) {
	note := fi.blob.Note()
	if said.IsZero() || note.Digest != "" || !fi.current() || !fi.file.mu.entry.Said().Digest.IsZero() {
		return
	}
	note.Digest = said.String()
	fi.blob.SetNote(note)
	fi.digest = fi.newDigesting()
}

// tornLocked takes note that blocks were evicted. A digest that goes on counts what passed;
// the bytes that come back are looked at when the version is whole.
func (fi *fill) tornLocked() {
	switch d := fi.digest; {
	case d == nil || !fi.current():
	case d.right:
		fi.digest = fi.newDigesting()
	default:
		d.torn = d.torn || d.running || d.off > 0
	}
}

// digestLocked has the digest follow the front, if that is worth it by now.
func (fi *fill) digestLocked() {
	d, s := fi.digest, fi.file.set
	if d == nil || d.running || d.right || d.halted {
		return
	}
	if front := d.front(); front-d.off < digestStep && front < d.blob.Version().Size || !s.begin() {
		return
	}
	d.running = true
	s.digesting.Add(1)
	go func() { // owned by the Set; Close waits
		defer s.flights.Done()
		fi.digestFront(d)
		s.digesting.Add(-1)
		s.poke()
	}()
}

// front is where the first missing block begins, or the end.
func (d *digesting) front() int64 {
	size := d.blob.Version().Size
	if off, n := d.blob.Missing(d.off, size-d.off); n > 0 {
		return max(off, d.off)
	}
	return size
}

// digestFront takes what is there at the front into the sums, and judges when
// that is all. As many of them run at once as there are processors.
func (fi *fill) digestFront(d *digesting) {
	f, s := fi.file, fi.file.set
	err := s.digests.Acquire(s.ctx, 1)
	if err == nil {
		err = d.follow(&s.buffers, s.ctx.Err)
		s.digests.Release(1)
	}
	wrong := false
	f.change(func() {
		d.running = false
		switch {
		case !fi.current() || fi.digest != d || s.ctx.Err() != nil:
			// another version, another digest, or the end: the outcome is not needed
		case errors.Is(err, cache.ErrMissing):
			// it was evicted: the front moves on when it is back
		case err != nil:
			d.halted = true
			f.failLocked(fmt.Errorf("cannot be read back for its digest: %w", err))
			s.log.Error("digest cannot be computed", "name", f.name, "err", err)
		case d.off < d.blob.Version().Size:
			fi.digestLocked() // the front may have moved on meanwhile
		case d.judge() && d.torn: // what came back since has not been looked at
			fi.digest = fi.newDigesting()
			fi.digestLocked()
		case d.judge():
			d.pass()
		default:
			d.halted, wrong = true, true
		}
	})
	if wrong {
		fi.mismatched(d)
	}
}

// follow reads from off to the front, until ended says so.
func (d *digesting) follow(buffers *bufferPool, ended func() error) error {
	if err := d.blob.Acquire(); err != nil {
		return err
	}
	defer d.blob.Release()
	buf := buffers.get()
	defer buffers.put(buf)
	for front := d.front(); d.off < front && ended() == nil; front = d.front() {
		n, err := d.blob.ReadAt(buf[:min(int64(len(buf)), front-d.off)], d.off)
		if n == 0 && err != nil {
			return err
		}
		d.sum(buf[:n])
	}
	return nil
}

// sum takes the bytes at off into the sums.
func (d *digesting) sum(p []byte) {
	if d.whole != nil {
		d.whole.Write(p) // never fails (package hash)
	}
	for size := d.blob.Version().Size; len(p) > 0; {
		n := int64(len(p))
		if d.pieces != nil {
			n = min(n, d.sumPiece(p, size))
		}
		d.off += n
		p = p[n:]
	}
}

// sumPiece takes the bytes at off as far as their piece goes, and returns how
// many that are. At its end the piece is judged.
func (d *digesting) sumPiece(p []byte, size int64) int64 {
	i := d.off / d.pieces.Length
	start := i * d.pieces.Length
	end := min(start+d.pieces.Length, size)
	want := d.pieces.Sums[i]
	if d.off == start {
		d.piece = want.Algorithm.New()
	}
	n := min(int64(len(p)), end-d.off)
	d.piece.Write(p[:n])
	if d.off+n == end && !want.Is(d.piece) {
		d.bad = append(d.bad, cache.Extent{Off: start, N: end - start})
	}
	return n
}

// judge tells whether the sums, now of all bytes, are what they must be.
func (d *digesting) judge() bool {
	return len(d.bad) == 0 && (d.whole == nil || d.want.Is(d.whole))
}

// pass takes note, also for the next start, that the bytes have the digest they must have.
// The caller holds file.mu.
func (d *digesting) pass() {
	d.right = true
	note := d.blob.Note()
	d.blob.SetNote(cache.Note{URL: note.URL, Digest: d.want.String(), Verified: true})
}
