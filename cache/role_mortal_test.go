package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// mortalMain is the process of TestFailpoints: it works in a directory until it
// comes to a step for the nth time, and dies there. It says which blocks are
// durable, as "name block", and which of them will not be, as "name -1-block".
// Without a step it says each it comes to, and ends by itself.
func mortalMain() int {
	w := &mortal{blobs: map[string]*Blob{}, said: map[string]map[int64]bool{}}
	var at string
	var nth, seed uint64
	at = strings.ReplaceAll(os.Args[4], "_", " ")
	_, err := fmt.Sscan(strings.Join([]string{os.Args[2], os.Args[3], os.Args[5]}, " "), &w.round, &nth, &seed)
	if err == nil {
		w.dir, w.rng = os.Args[1], rand.New(rand.NewPCG(seed, seed))
		dieAt(at, int64(nth))
		err = w.work(at == "")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// dieAt has the process kill itself when it comes to a step for the nth time.
func dieAt(at string, nth int64) {
	var times atomic.Int64
	atStep = func(name string) {
		if at == "" {
			fmt.Printf("step: %s\n", name)
		}
		if name == at && times.Add(1) == nth {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it has come
		}
	}
}

// mortal does all that can be done with a store, at random.
type mortal struct {
	rng   *rand.Rand
	dir   string
	round int
	store *Store

	blobs   map[string]*Blob // by name, acquired
	stream  *Stream
	streams int
	parts   int
	adopted int // files of withdraw that stay

	said map[string]map[int64]bool // true after the next sync
}

const mortalRounds = 200

func (w *mortal) work(once bool) error {
	if err := w.open(); err != nil {
		return err
	}
	for k := range mortalRounds {
		for _, do := range []func() error{w.putSome, w.redo, w.newVersion, w.grow, w.evict, w.withdraw} {
			if err := do(); err != nil {
				return err
			}
		}
		if w.rng.IntN(3) > 0 {
			if err := w.sync(); err != nil {
				return err
			}
		}
		if k%8 == 7 {
			if err := w.reopen(); err != nil {
				return err
			}
		}
	}
	if !once {
		return errors.New("the step never came")
	}
	return w.store.Close()
}

// open opens the store and looks at all that is there.
func (w *mortal) open() (err error) {
	every := []time.Duration{5 * time.Millisecond, time.Hour}[w.rng.IntN(2)]
	if w.store, err = Open(w.dir, Options{SyncEvery: every, MinFree: 1}); err != nil {
		return err
	}
	return w.store.Each(func(name string, b *Blob) error {
		if strings.HasPrefix(name, "stream") || b.Published() && name != "redo" && !strings.HasPrefix(name, "withdrawn") {
			return nil
		}
		if err := b.Acquire(); err != nil {
			return err
		}
		w.blobs[name] = b
		if strings.HasPrefix(name, "part") {
			b.Publish(func(error) {})
		}
		return nil
	})
}

func (w *mortal) reopen() error {
	for _, b := range w.blobs {
		b.Release()
	}
	w.stream = nil // as a crash would: the next open sweeps it
	if err := w.store.Close(); err != nil {
		return err
	}
	w.blobs = map[string]*Blob{}
	w.tell()
	return w.open()
}

func (w *mortal) sync() error {
	if err := w.store.Sync(context.Background()); err != nil {
		return err
	}
	w.tell()
	return nil
}

// tell says what a sync has made durable.
func (w *mortal) tell() {
	for name, blocks := range w.said {
		for i := range blocks {
			fmt.Println(name, i)
		}
	}
	clear(w.said)
}

func (w *mortal) put(b *Blob, i int64, content []byte) error {
	off, _ := b.geo.extent(i, i+1)
	if err := b.Put(off, content); err != nil {
		return err
	}
	if w.said[b.name] == nil {
		w.said[b.name] = map[int64]bool{}
	}
	w.said[b.name][i] = true
	return nil
}

// unsay takes back what was said of a block.
func (w *mortal) unsay(b *Blob, i int64) {
	delete(w.said[b.name], i)
	fmt.Println(b.name, -1-i)
}

func (w *mortal) create(name, tag string, size int64) (*Blob, error) {
	v := version(size)
	v.ETag = tag
	b, err := w.store.Create(name, v)
	if err != nil {
		return nil, err
	}
	w.blobs[name] = b
	return b, b.Acquire()
}

// rightBlock is what the origin has in a block of b.
func rightBlock(b *Blob, i int64) []byte {
	off, n := b.geo.extent(i, i+1)
	return pattern(b.name+b.version.ETag, off, n)
}

// putSome puts blocks of a part, which is published when it is complete.
func (w *mortal) putSome() (err error) {
	name := fmt.Sprintf("sub%d/part%d-%d", w.parts%2, w.round, w.parts)
	b := w.blobs[name]
	if b == nil {
		if b, err = w.create(name, `"1"`, 1+w.rng.Int64N(6*BlockSize)); err != nil {
			return err
		}
		b.Publish(func(error) {})
	}
	for range 4 {
		i := w.rng.Int64N(b.geo.blocks())
		if err := w.put(b, i, rightBlock(b, i)); err != nil {
			return err
		}
	}
	if b.Complete() {
		w.parts++
		if err := w.sync(); err != nil {
			return err
		}
		b.Release()
		delete(w.blobs, name)
	}
	return nil
}

// redo redoes the bad blocks of a blob and a few good ones, and puts what is
// missing, some of it bad again. Half the time it is published before.
func (w *mortal) redo() (err error) {
	b := w.blobs["redo"]
	if b == nil {
		b, err = w.create("redo", `"1"`, 5*BlockSize+9)
	} else if b.Complete() {
		b, err = w.redoBad(b)
	}
	if err != nil {
		return err
	}
	for i := range b.geo.blocks() {
		off, n := b.geo.extent(i, i+1)
		if b.Has(off, n) {
			continue
		}
		if w.rng.IntN(3) == 0 {
			err = b.Put(off, badBytes(b.name, b.gen, off, n))
		} else {
			err = w.put(b, i, rightBlock(b, i))
		}
		if err != nil {
			return err
		}
	}
	if w.rng.IntN(2) == 0 {
		b.Publish(func(error) {})
	}
	return nil
}

func (w *mortal) redoBad(b *Blob) (*Blob, error) {
	bad, err := badBlocks(b)
	if err != nil {
		return nil, err
	}
	all := w.rng.IntN(8) == 0
	var extents []Extent
	for i := range b.geo.blocks() {
		if bad[i] || all || w.rng.IntN(4) == 0 {
			w.unsay(b, i)
			extents = append(extents, Extent{i * BlockSize, 1})
		}
	}
	again, err := b.Redo(context.Background(), extents)
	if err != nil {
		return nil, err
	}
	b.Release()
	w.blobs[b.name] = again
	return again, again.Acquire()
}

// badBlocks returns the present blocks that are not right. Any that is neither
// right nor what was put as bad under this generation is an error.
func badBlocks(b *Blob) (map[int64]bool, error) {
	bad := map[int64]bool{}
	for i := range b.geo.blocks() {
		off, n := b.geo.extent(i, i+1)
		if !b.Has(off, n) {
			continue
		}
		p := make([]byte, n)
		if _, err := b.ReadAt(p, off); err != nil {
			return nil, err
		}
		if string(p) == string(rightBlock(b, i)) {
			continue
		}
		if bad[i] = true; b.name != "redo" || string(p) != string(badBytes(b.name, b.gen, off, n)) {
			return bad, fmt.Errorf("%q: block %d is present with other bytes", b.name, i)
		}
	}
	return bad, nil
}

// newVersion puts blocks of a file whose version changes all the time.
func (w *mortal) newVersion() (err error) {
	b := w.blobs["version"]
	if b != nil && (b.Complete() || w.rng.IntN(3) == 0) {
		for i := range b.geo.blocks() {
			w.unsay(b, i)
		}
		b.Abandon()
		b.Release()
		b = nil
	}
	if b == nil {
		if b, err = w.create("version", fmt.Sprintf(`"%d"`, w.rng.Int()), 1+w.rng.Int64N(9*BlockSize)); err != nil {
			return err
		}
	}
	i := w.rng.Int64N(b.geo.blocks())
	return w.put(b, i, rightBlock(b, i))
}

// evict puts blocks into a blob that is not to be published, and takes some out.
func (w *mortal) evict() (err error) {
	b := w.blobs["evicted"]
	if b == nil {
		if b, err = w.create("evicted", `"1"`, 7*BlockSize+9); err != nil {
			return err
		}
	}
	i := w.rng.Int64N(b.geo.blocks())
	if err := w.put(b, i, rightBlock(b, i)); err != nil || w.rng.IntN(3) > 0 {
		return err
	}
	first := w.rng.Int64N(b.geo.blocks())
	for i := first; i < b.geo.blocks(); i++ {
		w.unsay(b, i)
	}
	off, n := b.geo.extent(first, b.geo.blocks())
	_, err = w.store.Evict([]Eviction{{b, []Extent{{off, n}}}})
	return err
}

// withdraw completes a file and publishes it, or takes it out of the output directory again. A
// file whose process died between its name and its record is adopted as one that another program
// may have put there, and stays: then the next name is used.
func (w *mortal) withdraw() (err error) {
	name := func() string { return fmt.Sprintf("withdrawn%d", w.adopted) }
	b := w.blobs[name()]
	for ; b != nil && b.Published() && !b.Own(); b = w.blobs[name()] {
		b.Release()
		delete(w.blobs, name())
		w.adopted++
	}
	if b == nil {
		b, err = w.create(name(), `"1"`, 2*BlockSize+9)
	}
	for i := range int64(3) {
		if err == nil && !b.Complete() {
			err = w.put(b, i, rightBlock(b, i))
		}
	}
	if err != nil || !b.Published() {
		b.Publish(func(error) {})
		return err
	}
	for i := range b.geo.blocks() {
		w.unsay(b, i)
	}
	b.Release()
	going, err := w.store.Withdraw([]*Blob{b})
	for _, wd := range going {
		err = errors.Join(err, wd.Remove(), wd.Finish())
		b = wd.Again()
	}
	w.blobs[b.name] = b
	return errors.Join(err, b.Acquire())
}

// grow appends to a stream, and finishes or abandons it now and then.
func (w *mortal) grow() (err error) {
	if w.stream == nil {
		w.streams++
		v := Version{Size: UnknownSize, ETag: `"1"`, LastModified: lastModified}
		name := fmt.Sprintf("stream%d-%d", w.round, w.streams)
		if w.stream, err = w.store.Stream(name, v); err != nil {
			return err
		}
	}
	st := w.stream
	if err := st.Append(pattern(st.name+`"1"`, st.Present(), 1+w.rng.Int64N(2*BlockSize))); err != nil || w.rng.IntN(3) > 0 {
		return err
	}
	w.stream = nil
	if w.rng.IntN(4) == 0 {
		st.Abandon()
		return nil
	}
	b, err := st.Finish()
	if err != nil {
		return err
	}
	w.said[b.name] = map[int64]bool{}
	for i := range b.geo.blocks() {
		w.said[b.name][i] = true
	}
	b.Publish(func(error) {})
	return nil
}
