package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// workerMain is the process whose disk loses power. Its arguments are the
// directory of the store, the file for what it promises, which life this is, a
// seed, a number of steps, and how often it tries to have the store work again
// at its end, after errors that it bears; 0 if it bears none.
func workerMain() int {
	var life, steps, tries int
	var seed uint64
	_, err := fmt.Sscan(strings.Join(os.Args[3:], " "), &life, &seed, &steps, &tries)
	if err == nil {
		err = work(os.Args[1], os.Args[2], life, seed, steps, tries)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// work does things at random, or, when there are no steps, a fixed few. With
// tries it goes on after an error, and fails if at the end the store does not
// work again.
func work(dir, said string, life int, seed uint64, steps, tries int) error {
	rng := rand.New(rand.NewPCG(seed, 0))
	f, err := os.Create(said)
	if err != nil {
		return err
	}
	every := time.Hour
	if steps > 0 && rng.IntN(3) == 0 {
		every = 5 * time.Millisecond
	}
	var s *Store
	err = trying(tries, func() (err error) {
		s, err = Open(dir, Options{SyncEvery: every, MinFree: 1})
		return err
	})
	if err != nil {
		return err
	}
	w := &worker{store: s, rng: rng, life: life, said: f, bad: map[string][]int64{}}
	if steps == 0 {
		return w.fewThings()
	}
	if err := w.takeOver(); err != nil {
		return err
	}
	for range steps {
		if err := w.step(); err != nil && tries == 0 {
			return err
		}
	}
	if tries > 0 {
		err := trying(tries, w.sync)
		s.Close() // which the disk may refuse, too
		return err
	}
	if rng.IntN(3) == 0 {
		return s.Close()
	}
	return nil // as if killed
}

// trying does what may fail, as often as it has to.
func trying(tries int, do func() error) error {
	err := do()
	for n := 1; err != nil && n < tries; n++ {
		<-time.After(100 * time.Millisecond) // badger leaves a failing disk alone for a while
		err = do()
	}
	return err
}

// worker says what it may promise, a line each:
//
//	block NAME SIZE I     is durable
//	evicted NAME SIZE I   is so no longer
//	published NAME SIZE   stands in the output directory
//	gone NAME             nothing of all that holds any more
//	remember KEY N        is being remembered; then "remembered"
//	list N                is being recorded as the list; then "listed"
type worker struct {
	store *Store
	rng   *rand.Rand
	life  int
	said  *os.File

	blobs  []*Blob
	bad    map[string][]int64 // blocks with bad bytes
	next   int
	stream *Stream

	mu struct {
		sync.Mutex
		sayings []saying // true after the next sync
	}
}

type saying struct {
	name, line string
	holds      func() bool // nil if it does
}

// workBytes are the bytes of the version of a name that has this size.
func workBytes(name string, size, off, n int64) []byte {
	return pattern(fmt.Sprint(name, " ", size), off, n)
}

// workValue is what is remembered as the nth value.
func workValue(n int) string { return fmt.Sprint(n, ":", strings.Repeat(fmt.Sprint(n, " "), 20_000)) }

func workList(n int) (list []Listed) {
	for k := range 4 {
		list = append(list, Listed{fmt.Sprint(n, "/", k), uint64(n*10 + k)})
	}
	return list
}

func (w *worker) say(format string, args ...any) error {
	_, err := fmt.Fprintf(w.said, format+"\n", args...)
	return err
}

func (w *worker) later(name, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.sayings = append(w.mu.sayings, saying{name, fmt.Sprintf(format, args...), nil})
}

// laterBlock says that a block is durable, unless a failed sync takes it back.
func (w *worker) laterBlock(b *Blob, i int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.sayings = append(w.mu.sayings, saying{b.name, fmt.Sprintf("block %s %d %d", b.name, b.version.Size, i),
		func() bool { return b.Has(b.geo.extent(i, i+1)) }})
}

func (w *worker) step() error {
	steps := []func() error{w.create, w.put, w.put, w.put, w.put, w.sync, w.sync, w.evict, w.evict, w.withdraw, w.redo, w.abandon, w.adopt, w.grow, w.remember, w.list}
	return steps[w.rng.IntN(len(steps))]()
}

// fewThings is a short life with something of everything that must keep order.
func (w *worker) fewThings() error {
	a, err := w.createSized("a", 2*BlockSize+5)
	if err != nil {
		return err
	}
	b, err := w.createSized("dir/b", BlockSize+5)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return w.putBlock(a, 0) },
		w.sync,
		func() error { return w.putBlock(b, 0) },
		w.sync,
		func() error { return w.putBlock(b, 1) },
		w.sync, // which publishes b
		func() error { return w.replace(a, BlockSize+1) },
		func() error { return w.putBlock(w.blobs[len(w.blobs)-1], 1) },
		w.sync,
		w.redo, // b, the only one that is complete
		w.put,
		w.sync,
		func() error { return w.evictAndPut("e") },
		func() error { return w.withdrawAndPut("w") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) create() error {
	if len(w.blobs) > 5*w.life {
		return nil
	}
	w.next++
	name, size := fmt.Sprintf("%d/f%d", w.life, w.next), w.rng.Int64N(5*BlockSize)
	if w.rng.IntN(3) == 0 {
		name, size = name+"-bad", size+1
	}
	_, err := w.createSized(name, size)
	return err
}

// adopt has a finished file taken for a copy that another program left in the
// page cache.
func (w *worker) adopt() error {
	w.next++
	name, size := fmt.Sprintf("%d/own%d", w.life, w.next), w.rng.Int64N(3*BlockSize)
	path := filepath.Join(w.store.Path(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, rightBytes(name, size, 0, size), 0o644); err != nil {
		return err
	}
	b, err := w.createSized(name, size)
	if err != nil {
		return err
	}
	if !b.Published() {
		return fmt.Errorf("%q was not adopted", name)
	}
	w.later(name, "published %s %d", name, size)
	return nil
}

func (w *worker) createSized(name string, size int64) (*Blob, error) {
	b, err := w.store.Create(name, version(size))
	if err != nil {
		return nil, err
	}
	return b, w.take(b)
}

// take has a new blob published once it is complete, more often than not.
func (w *worker) take(b *Blob) error {
	w.blobs = append(w.blobs, b)
	if w.life == 0 || w.rng.IntN(4) > 0 {
		b.Publish(func(err error) {
			if err == nil && !isBad(b.name) {
				w.later(b.name, "published %s %d", b.name, b.version.Size)
			}
		})
	}
	return b.Acquire()
}

// takeOver goes on with what earlier lives left.
func (w *worker) takeOver() error {
	return w.store.Each(func(name string, b *Blob) error {
		if err := w.take(b); err != nil {
			return err
		}
		for i := range b.geo.blocks() {
			off, n := b.geo.extent(i, i+1)
			if !isBad(name) || !b.Has(off, n) {
				continue
			}
			got := make([]byte, n)
			if _, err := b.ReadAt(got, off); err != nil {
				return err
			}
			if !bytes.Equal(got, rightBytes(name, b.version.Size, off, n)) {
				w.bad[name] = append(w.bad[name], i)
			}
		}
		return nil
	})
}

func isBad(name string) bool { return strings.HasSuffix(name, "-bad") }

// pick returns a blob at random, nil if there is none.
func (w *worker) pick(suits func(*Blob) bool) *Blob {
	var all []*Blob
	for _, b := range w.blobs {
		if suits(b) {
			all = append(all, b)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[w.rng.IntN(len(all))]
}

func (w *worker) put() error {
	for range 1 + w.rng.IntN(4) {
		b := w.pick(func(b *Blob) bool { return !b.Complete() })
		if b == nil {
			return nil
		}
		off, n := b.Missing(w.rng.Int64N(b.version.Size), b.version.Size)
		if n == 0 {
			off, _ = b.Missing(0, b.version.Size)
		}
		if err := w.putBlock(b, off/BlockSize); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) putBlock(b *Blob, i int64) error {
	off, n := b.geo.extent(i, i+1)
	if isBad(b.name) && w.rng.IntN(3) == 0 {
		w.bad[b.name] = append(w.bad[b.name], i)
		return b.Put(off, badBytes(b.name, b.gen, off, n))
	}
	if err := b.Put(off, rightBytes(b.name, b.version.Size, off, n)); err != nil {
		return err
	}
	w.laterBlock(b, i)
	return nil
}

func (w *worker) sync() error {
	if err := w.store.Sync(context.Background()); err != nil {
		w.mu.Lock()
		w.mu.sayings = nil // blocks may have been taken back
		w.mu.Unlock()
		return err
	}
	return w.flush("")
}

// flush says what may be said now, but nothing of a name.
func (w *worker) flush(but string) error {
	w.mu.Lock()
	var lines strings.Builder
	for _, s := range w.mu.sayings {
		if s.name != but && (s.holds == nil || s.holds()) {
			lines.WriteString(s.line + "\n")
		}
	}
	w.mu.sayings = nil
	w.mu.Unlock()
	_, err := w.said.WriteString(lines.String())
	return err
}

// redo gives up what is bad of a blob, or anything if nothing is.
func (w *worker) redo() error {
	b := w.pick(func(b *Blob) bool { return b.Complete() && b.version.Size > 0 })
	if b == nil {
		return nil
	}
	if err := w.sync(); err != nil {
		return err
	}
	bad := append(w.bad[b.name], w.rng.Int64N(b.geo.blocks()))
	var extents []Extent
	if err := w.say("gone %s", b.name); err != nil {
		return err
	}
	for _, i := range bad {
		extents = append(extents, Extent{i * BlockSize, 1})
	}
	again, err := b.Redo(context.Background(), extents)
	if err != nil {
		return err
	}
	if err := w.flush(b.name); err != nil { // all else was synced
		return err
	}
	w.drop(b)
	for i := range b.geo.blocks() {
		if !slices.Contains(bad, i) {
			if err := w.say("block %s %d %d", b.name, b.version.Size, i); err != nil {
				return err
			}
		}
	}
	return w.take(again)
}

func (w *worker) drop(b *Blob) {
	w.blobs = slices.DeleteFunc(w.blobs, func(a *Blob) bool { return a == b })
	delete(w.bad, b.name)
	b.Release()
}

func (w *worker) replace(b *Blob, size int64) error {
	if size == b.version.Size {
		size++
	}
	if err := w.sync(); err != nil {
		return err
	}
	if b.Published() {
		return nil
	}
	if err := w.say("gone %s", b.name); err != nil {
		return err
	}
	b.Abandon()
	w.drop(b)
	w.mu.Lock()
	w.mu.sayings = slices.DeleteFunc(w.mu.sayings, func(s saying) bool { return s.name == b.name })
	w.mu.Unlock()
	_, err := w.createSized(b.name, size)
	if way := new(InTheWayError); errors.As(err, &way) {
		return nil // a round was faster
	}
	return err
}

// grow appends to a stream, and finishes or abandons it now and then. What a
// stream holds is known only when its size is, so no version of it is told from
// another.
func (w *worker) grow() (err error) {
	if w.stream == nil {
		w.next++
		v := Version{Size: UnknownSize, LastModified: lastModified}
		w.stream, err = w.store.Stream(fmt.Sprintf("%d/stream%d", w.life, w.next), v)
		return err
	}
	st := w.stream
	if err := st.Append(pattern(st.name, st.Present(), w.rng.Int64N(2*BlockSize))); err != nil {
		st.Abandon()
		w.stream = nil
		return err
	}
	switch w.rng.IntN(6) {
	case 0:
		st.Abandon()
		w.stream = nil
	case 1, 2:
		w.stream = nil
		b, err := st.Finish()
		if err != nil {
			st.Abandon()
			return err
		}
		for i := range b.geo.blocks() {
			w.laterBlock(b, i)
		}
		b.Publish(func(err error) {
			if err == nil {
				w.later(b.name, "published %s %d", b.name, b.version.Size)
			}
		})
	}
	return nil
}

// remember writes a large value: a few of them fill a memtable.
func (w *worker) remember() error {
	w.next++
	key := fmt.Sprintf("key%d-%d", w.life, w.rng.IntN(2))
	if err := w.say("remember %s %d", key, w.next); err != nil {
		return err
	}
	if err := w.store.Remember(key, workValue(w.next)); err != nil {
		return err
	}
	return w.say("remembered %s %d", key, w.next)
}

func (w *worker) list() error {
	w.next++
	n := w.life*1_000_000 + w.next
	if err := w.say("list %d", n); err != nil {
		return err
	}
	if err := w.store.SetList(workList(n)); err != nil {
		return err
	}
	return w.say("listed %d", n)
}
