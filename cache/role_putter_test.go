package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"
)

// putterMain is the process of TestKill. It says which blocks are durable, as
// "name block", and before it redoes a blob, which will not be, as "name
// -1-block".
func putterMain() int {
	dir, round, seed := os.Args[1], 0, uint64(0)
	_, err := fmt.Sscan(os.Args[2]+" "+os.Args[3], &round, &seed)
	if err == nil {
		err = putForever(dir, round, rand.New(rand.NewPCG(seed, 0)))
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func putForever(dir string, round int, rng *rand.Rand) error {
	s, err := Open(dir, Options{SyncEvery: 20 * time.Millisecond, MinFree: 1})
	if err != nil {
		return err
	}
	p := &putter{store: s, round: round, rng: rng}
	if err := p.createSome(); err != nil {
		return err
	}
	for {
		for _, step := range []func() error{p.putSome, p.redo, p.growStream, p.evict} {
			if err := step(); err != nil {
				return err
			}
		}
		if err := s.Sync(context.Background()); err != nil {
			return err
		}
		fmt.Print(p.said.String()) // a full pipe makes it wait
		p.said.Reset()
	}
}

// putter does what a process does with a store, at random.
type putter struct {
	store *Store
	round int
	rng   *rand.Rand
	said  strings.Builder // true after the next sync

	parts []*Blob

	redone *Blob   // complete, if there is one
	bad    []int64 // its bad blocks

	evicted *Blob

	stream  *Stream
	streams int
}

func (p *putter) create(name string, size int64) (*Blob, error) {
	b, err := p.store.Create(killName(p.round, name), version(size))
	if err != nil {
		return nil, err
	}
	return b, b.Acquire()
}

func (p *putter) createSome() error {
	for k := range 3 {
		b, err := p.create(fmt.Sprint(k), 60*BlockSize+1000)
		if err != nil {
			return err
		}
		b.Publish(func(error) {})
		p.parts = append(p.parts, b)
	}
	return nil
}

// putSome puts some blocks.
func (p *putter) putSome() error {
	for range 1 + p.rng.IntN(8) {
		b := p.parts[p.rng.IntN(len(p.parts))]
		i := p.rng.Int64N(b.geo.blocks())
		off, n := b.geo.extent(i, i+1)
		if err := b.Put(off, pattern(b.name, off, n)); err != nil {
			return err
		}
		fmt.Fprintln(&p.said, b.name, i)
	}
	return nil
}

// redo redoes the bad blocks of a blob and a few good ones, and puts what it
// misses then, some of it bad again.
func (p *putter) redo() (err error) {
	b := p.redone
	if b == nil {
		b, err = p.create("redo", 5*BlockSize+9)
	} else {
		b, err = p.redoBad(b)
	}
	if err != nil {
		return err
	}
	p.redone, p.bad = b, nil
	for i := range b.geo.blocks() {
		off, n := b.geo.extent(i, i+1)
		if b.Has(off, n) {
			continue
		}
		content := pattern(b.name, off, n)
		if p.rng.IntN(3) == 0 {
			content = badBytes(b.name, b.gen, off, n)
			p.bad = append(p.bad, i)
		} else {
			fmt.Fprintln(&p.said, b.name, i)
		}
		if err := b.Put(off, content); err != nil {
			return err
		}
	}
	if p.rng.IntN(3) > 0 {
		b.Publish(func(error) {})
	}
	return nil
}

func (p *putter) redoBad(b *Blob) (*Blob, error) {
	for i := range b.geo.blocks() {
		if p.rng.IntN(4) == 0 {
			p.bad = append(p.bad, i)
		}
	}
	var extents []Extent
	for _, i := range p.bad {
		fmt.Println(b.name, -1-i)
		extents = append(extents, Extent{i * BlockSize, 1})
	}
	again, err := b.Redo(context.Background(), extents)
	if err != nil {
		return nil, err
	}
	b.Release()
	return again, again.Acquire()
}

// evict puts blocks into a blob that is not to be published, and takes some out.
func (p *putter) evict() (err error) {
	if p.evicted == nil {
		if p.evicted, err = p.create("evicted", 20*BlockSize+9); err != nil {
			return err
		}
	}
	b := p.evicted
	for range 4 {
		i := p.rng.Int64N(b.geo.blocks())
		off, n := b.geo.extent(i, i+1)
		if err := b.Put(off, pattern(b.name, off, n)); err != nil {
			return err
		}
		fmt.Fprintln(&p.said, b.name, i)
	}
	if p.rng.IntN(2) == 0 {
		return nil
	}
	first := p.rng.Int64N(b.geo.blocks())
	end := min(first+5, b.geo.blocks())
	var said strings.Builder
	for line := range strings.Lines(p.said.String()) {
		var name string
		var i int64
		if _, err := fmt.Sscan(line, &name, &i); err != nil {
			return err
		}
		if name != b.name || i < first || i >= end {
			said.WriteString(line)
		}
	}
	p.said = said
	for i := first; i < end; i++ {
		fmt.Println(b.name, -1-i)
	}
	off, n := b.geo.extent(first, end)
	_, err = p.store.Evict([]Eviction{{b, []Extent{{off, n}}}})
	return err
}

// growStream appends to a stream, and finishes it now and then.
func (p *putter) growStream() (err error) {
	if p.stream == nil {
		p.streams++
		v := Version{Size: UnknownSize, LastModified: lastModified}
		if p.stream, err = p.store.Stream(killName(p.round, fmt.Sprint("stream", p.streams)), v); err != nil {
			return err
		}
	}
	st := p.stream
	if err := st.Append(pattern(st.name, st.Present(), 1+p.rng.Int64N(2*BlockSize))); err != nil || p.rng.IntN(3) > 0 {
		return err
	}
	b, err := st.Finish()
	if err != nil {
		return err
	}
	p.stream = nil
	for i := range b.geo.blocks() {
		fmt.Fprintln(&p.said, b.name, i)
	}
	b.Publish(func(error) {})
	return nil
}
