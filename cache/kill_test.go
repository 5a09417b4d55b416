package cache

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dlfs/cache/hosttest"
)

const killRounds = 20

// TestKill kills a process that puts blocks, redoes blobs and finishes streams,
// at a random moment, again and again in one directory. What the process was
// told is durable must be there, and whatever is there must be right.
func TestKill(t *testing.T) {
	hosttest.NeedTime(t)
	rng := random(t)
	dir := t.TempDir()
	redone, finished := 0, 0
	for round := range killRounds {
		acked := runPutter(t, dir, round, rng.Uint64(), 1+rng.IntN(60))
		s := open(t, dir, Options{})
		check(t, s.Each(func(name string, b *Blob) error {
			if strings.HasPrefix(name, killName(round, "")) {
				wantAtLeast(t, acquire(t, b), acked[name])
				delete(acked, name)
				redone += strings.Count(name, "redo")
				finished += strings.Count(name, "stream")
			}
			return nil
		}))
		for name, blocks := range acked {
			if len(blocks) > 0 {
				t.Fatalf("%q: nothing is known of it, %v were durable", name, slices.Collect(maps.Keys(blocks)))
			}
		}
		check(t, s.Close())
	}
	if redone == 0 || finished == 0 {
		t.Errorf("%d blobs to redo and %d finished streams were met", redone, finished)
	}
}

func killName(round int, rest string) string { return fmt.Sprintf("round%d/%s", round, rest) }

// badBytes are what the blob to be redone has in bad blocks. Those of one
// generation are never seen under another.
func badBytes(name string, gen uint64, off, n int64) []byte {
	return pattern(fmt.Sprintf("%s of %x", name, gen), off, n)
}

// wantAtLeast checks that these blocks are present and right, and that every
// other present block is right, or bad in a blob that was not yet redone. An
// unpublished blob leaves no file in the output directory.
func wantAtLeast(t *testing.T, b *Blob, acked map[int64]bool) {
	t.Helper()
	for i := range b.geo.blocks() {
		off, n := b.geo.extent(i, i+1)
		if !b.Has(off, n) {
			if acked[i] {
				t.Fatalf("%q: block %d was durable and is missing", b.name, i)
			}
			continue
		}
		p := make([]byte, n)
		_, err := b.ReadAt(p, off)
		check(t, err)
		if !bytes.Equal(p, pattern(b.name, off, n)) && (acked[i] || !bytes.Equal(p, badBytes(b.name, b.gen, off, n))) {
			t.Fatalf("%q: block %d has other bytes", b.name, i)
		}
	}
	if (b.Published() || b.Replaces()) != b.store.Occupied(b.name) {
		t.Fatalf("%q: published %v, in the output directory %v", b.name, b.Published(), b.store.Occupied(b.name))
	}
}

// runPutter starts the process, kills it after some lines, and returns the
// blocks it reported and did not take back, by name. Lines that were under way
// count, too.
func runPutter(t *testing.T, dir string, round int, seed uint64, lines int) map[string]map[int64]bool {
	t.Helper()
	putter := exec.CommandContext(t.Context(), os.Args[0], dir, strconv.Itoa(round), strconv.FormatUint(seed, 10))
	putter.Env = append(os.Environ(), role+"=putter")
	var complaint strings.Builder
	putter.Stderr = &complaint
	out, err := putter.StdoutPipe()
	check(t, err)
	check(t, putter.Start())
	acked := map[string]map[int64]bool{}
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
		if acked[name] == nil {
			acked[name] = map[int64]bool{}
		}
		if block >= 0 {
			acked[name][block] = true
		} else {
			delete(acked[name], -1-block)
		}
		if n == lines {
			check(t, putter.Process.Kill())
		}
	}
	if err := putter.Wait(); err == nil || complaint.Len() > 0 {
		t.Fatalf("the process ended by itself: %v, %s", err, &complaint)
	}
	return acked
}
