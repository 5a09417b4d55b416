package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"
)

// fillerMain is the process of TestFullDisk. It says "stored" or "full" after
// every block, and ends when its input does.
func fillerMain() int {
	s, err := Open(os.Args[1], Options{SyncEvery: 5 * time.Millisecond})
	if errors.Is(err, ErrNoSpace) {
		fmt.Println("refused")
		return 3
	}
	if err == nil {
		fmt.Println("open")
		ctx, cancel := context.WithCancel(context.Background())
		go func() { // ends with the input
			io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
		err = errors.Join(fillForever(ctx, s), s.Close())
	}
	if err != nil && !errors.Is(err, ErrNoSpace) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func fillForever(ctx context.Context, s *Store) error {
	blobs, rng := map[string]*Blob{}, rand.New(rand.NewPCG(1, 1))
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprint(n % 50)
		if old := blobs[name]; old != nil {
			old.Abandon()
		}
		b, err := s.Create(name, version(20*BlockSize))
		if err != nil {
			return err
		}
		if err := b.Acquire(); err != nil {
			return err
		}
		for i := range int64(8) {
			off, size := b.geo.extent(i, i+1)
			if err := b.Put(off, pattern(name, off, size)); errors.Is(err, ErrNoSpace) {
				fmt.Println("full")
				s.HasRoom()
			} else if err != nil {
				return err
			} else {
				fmt.Println("stored")
			}
		}
		b.Release()
		blobs[name] = b
		if n%10 == 0 { // much for the index, so that its tables turn over
			list := make([]Listed, 5000)
			for i := range list {
				list[i] = Listed{Name: fmt.Sprintf("%x", rng.Uint64()), URL: rng.Uint64()}
			}
			if err := s.SetList(list); err != nil && !errors.Is(err, ErrNoSpace) {
				return err
			}
		}
	}
	return nil
}
