package fetch

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Verdict is what Verify found of a file.
type Verdict string

// The verdicts.
const (
	Right      Verdict = "right"      // every byte is there and has the digest it must have
	Wrong      Verdict = "wrong"      // it has not
	NoDigest   Verdict = "no digest"  // every byte is there, and nothing is known to tell it by
	Incomplete Verdict = "incomplete" // bytes are missing
)

// VerifyOptions for Verify. The zero value is useful.
type VerifyOptions struct {
	// Repair has what is wrong be missing afterwards, for Run to fetch again: the
	// pieces that are, where the list has digests of pieces, else the whole file.
	// The wrong file stays in the output directory until Run has published the
	// right one in its place.
	Repair bool

	// Deep reads files, too, that were verified by the same digest before and
	// have had their size and time since. A bit that the disk has flipped is found
	// by reading alone.
	Deep bool
}

// Verify reads every complete file and compares its digest with the list's, or
// else with the one its origin said or it was published with. tell is called for
// each file, one at a time, in no order. It must not be called while Run is in progress. It blocks for the
// disk until ctx ends. An error is of one file; the others are looked at all the
// same.
func (s *Set) Verify(ctx context.Context, opts VerifyOptions, tell func(f *File, v Verdict)) error {
	var mu sync.Mutex
	var errs []error // guarded by mu
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, f := range s.Files() {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			v, err := f.verify(ctx, opts)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("%q: %w", f.name, err))
			} else {
				tell(f, v)
			}
			return nil
		})
	}
	g.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// verify compares the file with its digest. Without Deep, a published file that was verified
// before is right without being read. With Repair, a wrong file is given a new blob that has the
// good pieces, and prefetch fetches the others.
func (f *File) verify(ctx context.Context, opts VerifyOptions) (Verdict, error) {
	f.load(nil)
	f.mu.Lock()
	fi := f.fill()
	var d *digesting
	if fi != nil {
		d = f.set.digestingAnew(fi.blob, f.mu.entry)
	}
	f.mu.Unlock()
	switch {
	case fi == nil || !fi.blob.Complete():
		return Incomplete, nil
	case d == nil:
		return NoDigest, nil
	}
	if note := fi.blob.Note(); !opts.Deep && fi.blob.Published() && note.Verified && !d.want.IsZero() && note.Digest == d.want.String() {
		return Right, nil
	}
	if err := d.follow(&f.set.buffers, ctx.Err); err != nil {
		return "", err
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if d.judge() {
		f.mu.Lock()
		defer f.mu.Unlock()
		fi.digest = d
		d.pass()
		f.countLocked()
		return Right, nil
	}
	if !opts.Repair {
		return Wrong, nil
	}
	again, err := redo(ctx, d)
	if err != nil {
		return "", err
	}
	f.change(func() { f.pinLocked(again) })
	return Wrong, nil
}
