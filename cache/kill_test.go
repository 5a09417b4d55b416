package cache

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	killRounds = 20
	killSize   = 60*BlockSize + 1000 // of each blob
	killBlobs  = 3                   // a round
)

// TestKill kills a process that puts blocks, at a random moment, again and
// again in one directory. What the process was told is durable must be there,
// and whatever is there must be right.
func TestKill(t *testing.T) {
	rng := random(t)
	dir := t.TempDir()
	for round := range killRounds {
		acked := runPutter(t, dir, round, 1+rng.IntN(12))
		s := open(t, dir, Options{})
		for k := range killBlobs {
			name := killName(round, k)
			b, err := s.Lookup(name)
			check(t, err)
			if b == nil {
				if len(acked[name]) > 0 {
					t.Fatalf("%q: nothing is known of it, %v were durable", name, acked[name])
				}
				continue
			}
			wantAtLeast(t, acquire(t, b), acked[name])
		}
		check(t, s.Close())
	}
}

func killName(round, k int) string { return fmt.Sprintf("round%d/%d", round, k) }

// wantAtLeast checks that these blocks are present, and that every present
// block is right.
func wantAtLeast(t *testing.T, b *Blob, acked []int64) {
	t.Helper()
	var present []int64
	for i := range b.geo.blocks() {
		if b.Has(b.geo.extent(i, i+1)) {
			present = append(present, i)
		} else if slices.Contains(acked, i) {
			t.Fatalf("%q: block %d was durable and is missing", b.name, i)
		}
	}
	wantBlocks(t, b, present...)
	if b.Published() {
		wantFile(t, b.store, b.name, b.version.Size)
	}
}

// runPutter starts the process, kills it after some lines, and returns the
// blocks it reported, by name. Lines that were under way count, too.
func runPutter(t *testing.T, dir string, round, lines int) map[string][]int64 {
	t.Helper()
	putter := exec.CommandContext(t.Context(), os.Args[0], dir, strconv.Itoa(round))
	putter.Env = append(os.Environ(), role+"=putter")
	var complaint strings.Builder
	putter.Stderr = &complaint
	out, err := putter.StdoutPipe()
	check(t, err)
	check(t, putter.Start())
	acked := map[string][]int64{}
	in := bufio.NewReader(out)
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if err != nil {
			if n <= lines || !errors.Is(err, io.EOF) {
				t.Errorf("after %d lines: %v", n-1, err)
			}
			break
		}
		var name string
		var block int64
		if _, err := fmt.Sscan(line, &name, &block); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		acked[name] = append(acked[name], block)
		if n == lines {
			check(t, putter.Process.Kill())
		}
	}
	if err := putter.Wait(); err == nil || complaint.Len() > 0 {
		t.Fatalf("the process ended by itself: %v, %s", err, &complaint)
	}
	return acked
}

// putterMain is the process that is killed. It puts blocks at random and says
// which, once they are durable.
func putterMain() int {
	dir, round := os.Args[1], 0
	_, err := fmt.Sscan(os.Args[2], &round)
	if err == nil {
		err = putForever(dir, round)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func putForever(dir string, round int) error {
	s, err := Open(dir, Options{SyncEvery: 20 * time.Millisecond, MinFree: 1})
	if err != nil {
		return err
	}
	var all []*Blob
	for k := range killBlobs {
		b, err := s.Create(killName(round, k), version(killSize))
		if err != nil {
			return err
		}
		if err := b.Acquire(); err != nil {
			return err
		}
		b.Publish(func(error) {})
		all = append(all, b)
	}
	for {
		var said strings.Builder
		for range 1 + rand.IntN(8) {
			b := all[rand.IntN(len(all))]
			i := rand.Int64N(b.geo.blocks())
			off, n := b.geo.extent(i, i+1)
			if err := b.Put(off, pattern(b.name, off, n)); err != nil {
				return err
			}
			fmt.Fprintln(&said, b.name, i)
		}
		if err := s.Sync(context.Background()); err != nil {
			return err
		}
		fmt.Print(said.String()) // a full pipe makes it wait
	}
}
