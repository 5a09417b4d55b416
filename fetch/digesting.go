package fetch

import (
	"context"
	"errors"
	"fmt"
	"hash"

	"dlfs/cache"
	"dlfs/listfile"
	"dlfs/listfile/digest"
)

// ErrMismatch is wrapped by the error of a file whose bytes, fetched once more,
// still have another digest than they must.
var ErrMismatch = errors.New("bytes have another digest than they must")

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
	right   bool // all bytes have the digest they must have

	off   int64 // bytes before it are in the sums
	whole hash.Hash
	piece hash.Hash
	bad   []cache.Extent // pieces with a wrong digest
}

// digestStep is how far the front must have moved on to be worth waking for.
const digestStep = 1 << 20

// listed is the digest the list gives an entry.
func listed(e *listfile.Entry) digest.Digest {
	if e.Details == nil {
		return digest.Digest{}
	}
	return e.Details.Digest
}

// wantedLocked is the digest the file's bytes must have, the zero Digest if
// none is known: the list's, else what the origin said.
func (f *File) wantedLocked(blob *cache.Blob) digest.Digest {
	if d := listed(f.mu.entry); !d.IsZero() {
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
	if f.mu.blob == nil {
		return listed(f.mu.entry)
	}
	return f.wantedLocked(f.mu.blob)
}

// digestingLocked returns what is to be computed of a blob, nil if nothing is
// known of its digest or it has been found right before.
func (f *File) digestingLocked(blob *cache.Blob) *digesting {
	d := f.digestingAnewLocked(blob)
	if d == nil {
		return nil
	}
	note := blob.Note()
	if known := note.Verified && (d.want.IsZero() || note.Digest == d.want.String()); known && blob.Published() {
		return nil
	}
	return d
}

// digestingAnewLocked is digestingLocked for one who trusts nothing found before.
func (f *File) digestingAnewLocked(blob *cache.Blob) *digesting {
	d := &digesting{blob: blob, want: f.wantedLocked(blob)}
	if e := f.mu.entry.Details; e != nil && e.Pieces != nil {
		if e.Pieces.Fits(blob.Version().Size) {
			d.pieces = e.Pieces
		} else {
			f.set.log.Warn("piece digests of the list do not fit the file's size, and are not used", "name", f.name)
		}
	}
	if d.want.IsZero() && d.pieces == nil {
		return nil
	}
	if !d.want.IsZero() {
		d.whole = d.want.Algorithm.New()
	}
	return d
}

// saidLocked takes note of a digest an origin said the bytes of blob have. The
// list's own has precedence, and so has what was said first.
func (f *File) saidLocked(blob *cache.Blob, said digest.Digest) {
	note := blob.Note()
	if said.IsZero() || note.Digest != "" || f.mu.blob != blob || !listed(f.mu.entry).IsZero() {
		return
	}
	note.Digest = said.String()
	blob.SetNote(note)
	f.mu.digesting = f.digestingLocked(blob)
}

// digestLocked has the digest follow the front, if that is worth it by now.
func (f *File) digestLocked() {
	d := f.mu.digesting
	if d == nil || d.running || d.right {
		return
	}
	if front := d.front(); front-d.off < digestStep && front < d.blob.Version().Size || !f.set.begin() {
		return
	}
	d.running = true
	f.set.digesting.Add(1)
	go func() { // owned by the Set; Close waits
		defer f.set.flights.Done()
		f.digestFront(d)
		f.set.digesting.Add(-1)
		f.set.poke()
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
func (f *File) digestFront(d *digesting) {
	err := f.set.digests.Acquire(f.set.ctx, 1)
	if err == nil {
		err = d.follow(&f.set.buffers, f.set.ctx.Err)
		f.set.digests.Release(1)
	}
	f.mu.Lock()
	d.running = false
	size := d.blob.Version().Size
	switch {
	case f.mu.digesting != d || f.set.ctx.Err() != nil:
		f.mu.Unlock() // another version, or the end: nobody asks
		return
	case err != nil:
		f.failLocked(fmt.Errorf("cannot be read back for its digest: %w", err))
		f.mu.Unlock()
		f.set.log.Error("digest cannot be computed", "name", f.name, "err", err)
		return
	case d.off < size:
		f.digestLocked() // it may have moved on meanwhile
		f.mu.Unlock()
		return
	}
	if !d.judge() {
		f.mu.Unlock()
		f.mismatched(d)
		return
	}
	f.rightLocked(d)
	f.mu.Unlock()
	f.finishIfComplete(d.blob)
	f.set.poke()
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

// mismatched deals with bytes that have another digest than they must: what is
// known to be wrong is fetched once more, from another mirror if there is one.
func (f *File) mismatched(d *digesting) {
	f.mu.Lock()
	published := d.blob.Published()
	f.mu.mismatches++
	again := f.mu.mismatches <= max(1, len(f.mirrorsLocked()))
	f.mu.Unlock()
	if published {
		f.distrust(d)
		return
	}
	if !again {
		f.mu.Lock()
		f.failLocked(fmt.Errorf("%w: %s", ErrMismatch, d.verdict()))
		f.mu.Unlock()
		f.set.log.Error("file has the wrong digest, again; it is not published", "name", f.name, "want", d.verdict())
		f.set.poke()
		return
	}
	f.set.log.Warn("file has the wrong digest; fetching again what is wrong", "name", f.name, "want", d.verdict(), "bad_pieces", len(d.bad))
	if f.fromAnotherMirror(d) {
		f.set.opened(f) // back to prefetch, which was through with it
		return
	}
	blob, err := f.redo(f.set.ctx, d)
	f.mu.Lock()
	switch {
	case err == nil && f.mu.blob == d.blob: // another digest may be wanted by now, but d.blob is given up
		f.setBlobLocked(blob)
	case err == nil:
		blob.Abandon()
	case f.mu.digesting == d:
		f.failLocked(err)
	}
	f.mu.Unlock()
	f.set.opened(f) // back to prefetch, which was through with it
}

// fromAnotherMirror forgets the version whose bytes are wrong, if another mirror
// may have another: the right one need not have the size of the wrong one.
func (f *File) fromAnotherMirror(d *digesting) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.blob != d.blob || len(f.mirrorsLocked()) < 2 || len(d.bad) > 0 || d.blob.Replaces() {
		return false
	}
	f.forgetVersionLocked(d.blob)
	return true
}

// verdict says what the digest should have been, and of how much.
func (d *digesting) verdict() string {
	if len(d.bad) > 0 {
		return fmt.Sprintf("%d of %d pieces are wrong", len(d.bad), len(d.pieces.Sums))
	}
	return "not " + d.want.String()
}

// redo returns a blob without the bytes that are wrong, as far as that is known.
// A published file stays in the output directory until that blob is right.
func (f *File) redo(ctx context.Context, d *digesting) (*cache.Blob, error) {
	bad := d.bad
	if len(bad) == 0 {
		bad = []cache.Extent{{Off: 0, N: d.blob.Version().Size}}
	}
	blob, err := d.blob.Redo(ctx, bad)
	if err != nil {
		return nil, err
	}
	note := blob.Note()
	note.Digest = "" // if the origin said it, it may say better
	if blob.Replaces() {
		note.Refuted = d.want.String()
	}
	blob.SetNote(note)
	return blob, nil
}

// revert gives up the replacement of a finished file whose list says another digest
// now than the file was found not to have: the file may be right by that one. It
// returns blob if there is nothing to give up.
func (f *File) revert(blob *cache.Blob, e *listfile.Entry) (*cache.Blob, error) {
	if refuted := blob.Note().Refuted; !blob.Replaces() || refuted == "" || listed(e).IsZero() || listed(e).String() == refuted {
		return blob, nil
	}
	kept, err := blob.Revert()
	if err != nil || kept == nil {
		return blob, err
	}
	f.set.log.Info("list has another digest now; the file in the output directory is not replaced before it is compared", "name", f.name)
	return kept, nil
}

// distrust fails a file that stood in the output directory before its digest was
// known: it may be the user's own, and is not touched.
func (f *File) distrust(d *digesting) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.digesting != d {
		return
	}
	f.failLocked(fmt.Errorf("%w: the file in the output directory is %s; \"dlfs verify --repair\" replaces it, or move it away", ErrMismatch, d.verdict()))
	f.set.log.Error("finished file has the wrong digest", "name", f.name, "want", d.want)
}
