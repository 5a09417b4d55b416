package fetch

import (
	"context"
	"errors"
	"fmt"

	"dlfs/cache"
	"dlfs/listfile"
)

// ErrMismatch is wrapped by the error of a file whose bytes, fetched once more,
// still have another digest than they must.
var ErrMismatch = errors.New("bytes have another digest than they must")

// mismatched deals with bytes that have another digest than they must: what is
// known to be wrong is fetched once more, from another mirror if there is one.
func (fi *fill) mismatched(d *digesting) {
	f, log := fi.file, fi.file.set.log
	if fi.blob.Published() {
		fi.distrust(d)
		return
	}
	f.mu.Lock()
	ms := f.mirrorsLocked()
	ms.mismatches++
	// Each mirror may be wrong once. A file without mirrors is fetched twice in all.
	again := ms.mismatches <= max(1, len(ms.list))
	f.mu.Unlock()
	if again && !fi.blob.Complete() { // some was evicted, so what is wrong cannot be told from the rest
		log.Warn("file has the wrong digest; fetching it again", "name", f.name, "want", d.verdict())
		f.change(func() {
			if fi.current() {
				fi.giveUpLocked()
			}
		})
		f.set.requeue(f)
		return
	}
	if !again {
		f.change(func() { f.failLocked(fmt.Errorf("%w: %s", ErrMismatch, d.verdict())) })
		log.Error("file has the wrong digest, again; it is not published", "name", f.name, "want", d.verdict())
		return
	}
	log.Warn("file has the wrong digest; fetching again what is wrong", "name", f.name, "want", d.verdict(), "bad_pieces", len(d.bad))
	if !fi.leaveToMirror(d) {
		fi.fetchAgain(d)
	}
	f.set.requeue(f) // it was complete, so prefetch has taken it off its queue
}

// fetchAgain has what is wrong be missing, so that it is fetched once more.
func (fi *fill) fetchAgain(d *digesting) {
	f := fi.file
	blob, err := redo(f.set.ctx, d)
	f.change(func() {
		switch {
		case err == nil && fi.current(): // another digest may be wanted by now, but d.blob is given up
			f.pinLocked(blob)
		case err == nil:
			blob.Abandon()
		case fi.digest == d:
			f.failLocked(err)
		}
	})
}

// leaveToMirror gives up the version whose bytes are wrong, if another mirror may have
// another: the right one need not have the size of the wrong one.
func (fi *fill) leaveToMirror(d *digesting) (left bool) {
	f := fi.file
	f.change(func() {
		if left = fi.current() && len(f.mirrorsLocked().list) > 1 && len(d.bad) == 0 && !fi.blob.Replaces(); left {
			fi.giveUpLocked()
		}
	})
	return left
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
func redo(ctx context.Context, d *digesting) (*cache.Blob, error) {
	bad := d.bad
	if len(bad) == 0 {
		bad = []cache.Extent{{Off: 0, N: d.blob.Version().Size}}
	}
	blob, err := d.blob.Redo(ctx, bad)
	if err != nil {
		return nil, err
	}
	note := blob.Note()
	// Refuted keeps the digest that the bytes do not have: revert compares a later list with it.
	note.Digest = "" // if the origin told it, the origin may tell another one with the new bytes
	if blob.Replaces() || len(d.bad) == 0 {
		note.Refuted = d.want.String()
	}
	blob.SetNote(note)
	return blob, nil
}

// revert gives up the replacement of bytes whose list says another digest now than they
// were found not to have: they may be right by that one. It returns blob if there is
// nothing to give up, or if it has these bytes itself.
func (s *Set) revert(blob *cache.Blob, e *listfile.Entry) (*cache.Blob, error) {
	note := blob.Note()
	if note.Refuted == "" || e.Said().Digest.IsZero() || e.Said().Digest.String() == note.Refuted {
		return blob, nil
	}
	if !blob.Replaces() || blob.Extends() {
		restored, err := blob.Restore()
		if err == nil && restored {
			note.Refuted = ""
			blob.SetNote(note)
			s.log.Info("list has another digest now; the bytes that were fetched are compared with it", "name", e.Name)
		}
		return blob, err
	}
	kept, err := blob.Revert()
	if err != nil || kept == nil {
		return blob, err
	}
	s.log.Info("list has another digest now; the file in the output directory is not replaced before it is compared", "name", e.Name)
	return kept, nil
}

// distrust fails a file that stood in the output directory before its digest was
// known: it may be the user's own, and is not touched.
func (fi *fill) distrust(d *digesting) {
	f := fi.file
	f.change(func() {
		if !fi.current() || fi.digest != d {
			return
		}
		f.failLocked(fmt.Errorf("%w: the file in the output directory is %s; \"dlfs verify --repair\" replaces it, or move it away", ErrMismatch, d.verdict()))
		f.set.log.Error("finished file has the wrong digest", "name", f.name, "want", d.want)
	})
}
