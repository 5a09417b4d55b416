package cache

import (
	"errors"
	"fmt"
	"slices"
)

// evict takes some blocks out of a blob. Blocks of a blob that is not to be published come first.
func (w *worker) evict() error {
	b := w.pick(func(b *Blob) bool { return b.Present() > 0 && !b.Published() })
	if b == nil {
		return nil
	}
	first := w.rng.Int64N(b.geo.blocks())
	return w.evictFrom(b, first, 1+w.rng.Int64N(b.geo.blocks()-first))
}

func (w *worker) evictFrom(b *Blob, first, n int64) error {
	for i := first; i < first+n; i++ {
		if err := w.say("evicted %s %d %d", b.name, b.version.Size, i); err != nil {
			return err
		}
	}
	w.mu.Lock()
	w.mu.sayings = slices.DeleteFunc(w.mu.sayings, func(s saying) bool { // bad bytes may be put next
		for i := first; i < first+n; i++ {
			if s.line == fmt.Sprintf("block %s %d %d", b.name, b.version.Size, i) {
				return true
			}
		}
		return false
	})
	w.mu.Unlock()
	off, bytes := b.geo.extent(first, first+n)
	before := b.Present()
	freed, err := w.store.Evict([]Eviction{{b, []Extent{{off, bytes}}}})
	if err == nil && before-b.Present() != freed {
		return fmt.Errorf("%q: %d bytes were evicted, and %d fewer are present", b.name, freed, before-b.Present())
	}
	for i := first; i < first+n && freed == 0; i++ { // it may not be, or the index could not be written
		if b.Has(b.geo.extent(i, i+1)) && !slices.Contains(w.bad[b.name], i) {
			w.laterBlock(b, i)
		}
	}
	return err
}

// evictAndPut has a blob of a new name that is not to be published lose blocks, durable and
// not, and puts one again.
func (w *worker) evictAndPut(name string) error {
	b, err := w.store.Create(name, version(3*BlockSize+7))
	if err != nil {
		return err
	}
	w.blobs = append(w.blobs, b)
	if err := b.Acquire(); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return w.putBlock(b, 0) },
		func() error { return w.putBlock(b, 1) },
		w.sync,
		func() error { return w.putBlock(b, 3) },
		func() error { return w.evictFrom(b, 1, 3) },
		func() error { return w.putBlock(b, 1) },
		w.sync,
		func() error { return w.evictFrom(b, 0, 1) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// abandon replaces a blob by one of another version, which has another size.
func (w *worker) abandon() error {
	b := w.pick(func(b *Blob) bool { return !b.Published() })
	if b == nil {
		return nil
	}
	return w.replace(b, w.rng.Int64N(5*BlockSize))
}

// withdraw takes a finished file out of the output directory.
func (w *worker) withdraw() error {
	b := w.pick(func(b *Blob) bool { return b.Own() && !isBad(b.name) })
	if b == nil {
		return nil
	}
	if err := w.sync(); err != nil {
		return err
	}
	if err := w.say("gone %s", b.name); err != nil {
		return err
	}
	w.drop(b)
	going, err := w.store.Withdraw([]*Blob{b})
	for _, wd := range going {
		if removed := wd.Remove(); removed != nil {
			err = errors.Join(err, removed, wd.Stay())
			continue
		}
		err = errors.Join(err, wd.Finish())
		b = wd.Again()
	}
	return errors.Join(err, w.take(b))
}

// withdrawAndPut has a new file be published, withdrawn, and begun again.
func (w *worker) withdrawAndPut(name string) error {
	b, err := w.createSized(name, 5)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return w.putBlock(b, 0) },
		w.sync,
		w.withdraw,
		func() error { return w.putBlock(w.blobs[len(w.blobs)-1], 0) },
		w.sync,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
