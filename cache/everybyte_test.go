//go:build linux

package cache

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dlfs/cache/hosttest"
)

var everyByteFlag = flag.Int("everybyte", 80, "damaged states TestEveryByte looks at; 0 for all")

// damage is one thing done to a state directory.
type damage struct {
	what string
	do   func(state string) error
}

// TestEveryByte damages each byte of the state, cuts each file of it at each
// byte, and takes files away: the store opens, no block is present with wrong
// bytes, and what was published stays. The bytes inside blobs are left out:
// without a digest nothing tells that they changed.
func TestEveryByte(t *testing.T) {
	hosttest.NeedTime(t)
	rng := random(t)
	c := newChecker(t)
	for _, s := range storesToDamage(t) {
		state := filepath.Join(s.dir, "out", ".dlfs")
		all := slicesOf(t, state, rng)
		sampled := all
		if n := *everyByteFlag / 3; n > 0 && n < len(all) {
			rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			sampled = all[:n]
		}
		tally := newTally()
		for _, d := range append(structural(t, state), sampled...) {
			v := checkDamage(t, c, s.dir, d)
			kind, _, _ := strings.Cut(d.what, " ")
			tally.add(kind, v)
		}
		t.Logf("%s: %d flips and cuts, %d of them looked at", s.how, len(all), len(sampled))
		tally.log(t)
	}
}

// storedState is a store's directory, and how it came to be so.
type storedState struct{ how, dir string }

// storesToDamage returns three stores with a published file and unfinished ones: one
// as a kill leaves it, the same when it was closed, and that when it was opened
// again, written to and killed. The closed one has a table of several blocks.
func storesToDamage(t *testing.T) (all []storedState) {
	t.Helper()
	dir := scratch(t)
	w := &worker{rng: rand.New(rand.NewPCG(1, 1))}
	var err error
	w.said, err = os.Create(filepath.Join(dir, "said"))
	check(t, err)
	defer w.said.Close()
	begin := func() {
		w.store, err = Open(filepath.Join(dir, "out"), Options{SyncEvery: time.Hour, MinFree: 1})
		check(t, err)
	}
	put := func(name string, size int64, blocks ...int64) {
		b, err := w.createSized(name, size)
		check(t, err)
		for _, i := range blocks {
			check(t, w.putBlock(b, i))
		}
	}
	end := func() {
		for _, b := range w.blobs {
			b.Release()
		}
		w.blobs = nil
		check(t, w.store.Close())
	}
	keep := func(how string) {
		s := storedState{how, scratch(t)}
		check(t, copyDir(s.dir, dir))
		all = append(all, s)
	}

	begin()
	put("dir/whole", BlockSize+9, 0, 1)
	put("two", BlockSize+9, 0)
	put("many", 40*BlockSize+9, 0, 2, 3, 5, 8, 13, 21, 34, 40)
	put("small", BlockSize+9, 1)
	for i := range 14 {
		put(fmt.Sprint("unread", i, strings.Repeat("-", 200)), BlockSize+9)
	}
	check(t, w.evictAndPut("holes"))
	check(t, w.list())
	check(t, w.store.Remember("key", "value"))
	check(t, w.sync())
	keep("killed")
	end()
	info, err := os.Stat(tableFiles(t, filepath.Join(dir, "out"))[0])
	check(t, err)
	if info.Size() < 5<<10 {
		t.Fatalf("a table of %d bytes is of one block", info.Size())
	}
	keep("closed")
	begin()
	put("late", BlockSize+9, 0)
	check(t, w.sync())
	keep("reopened")
	end()
	return all
}

// slicesOf returns a flip of each byte of the state outside of blobs, and a cut
// at each. Of the zeros at the end of a file, a few must do.
func slicesOf(t *testing.T, state string, rng *rand.Rand) (all []damage) {
	t.Helper()
	check(t, filepath.WalkDir(state, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name := strings.TrimPrefix(path, state+"/")
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		isBlob := strings.HasPrefix(name, "blobs/")
		used := len(bytes.TrimRight(content, "\x00"))
		for at := range content {
			if isBlob && at%(BlockSize/4) != 0 || !isBlob && at > used+16 && rng.IntN(1<<14) > 0 {
				continue
			}
			all = append(all, damage{fmt.Sprintf("cut of %s at %d", name, at), func(state string) error {
				return os.Truncate(filepath.Join(state, name), int64(at))
			}})
			if isBlob {
				continue
			}
			mask := byte(1 + rng.IntN(255))
			all = append(all, damage{fmt.Sprintf("flip of %s at %d by %#x", name, at, mask), func(state string) error {
				f, err := os.OpenFile(filepath.Join(state, name), os.O_WRONLY, 0)
				if err != nil {
					return err
				}
				_, err = f.WriteAt([]byte{content[at] ^ mask}, int64(at))
				return errors.Join(err, f.Close())
			}})
		}
		return nil
	}))
	return all
}

// structural returns damage to what there is rather than to bytes.
func structural(t *testing.T, state string) (all []damage) {
	t.Helper()
	check(t, filepath.WalkDir(state, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == state {
			return err
		}
		name := strings.TrimPrefix(path, state+"/")
		all = append(all, damage{"removal of " + name, func(state string) error {
			return os.RemoveAll(filepath.Join(state, name))
		}})
		if e.IsDir() {
			return nil
		}
		all = append(all, damage{"longer by a byte: " + name, func(state string) error {
			info, err := os.Stat(filepath.Join(state, name))
			if err != nil {
				return err
			}
			return os.Truncate(filepath.Join(state, name), info.Size()+1)
		}}, damage{"zeros in " + name, func(state string) error {
			info, err := os.Stat(filepath.Join(state, name))
			if err != nil || strings.HasPrefix(name, "blobs/") {
				return err // is as any other byte in a blob
			}
			return os.WriteFile(filepath.Join(state, name), make([]byte, info.Size()), 0)
		}})
		if strings.HasPrefix(name, "db/") {
			all = append(all, damage{"directory in place of " + name, func(state string) error {
				return errors.Join(os.Remove(filepath.Join(state, name)), os.Mkdir(filepath.Join(state, name), 0o700))
			}})
		}
		return nil
	}))
	return append(all, damage{"file in place of db", func(state string) error {
		return errors.Join(os.RemoveAll(state+"/db"), os.WriteFile(state+"/db", nil, 0o600))
	}}, damage{"empty db", func(state string) error {
		return errors.Join(os.RemoveAll(state+"/db"), os.Mkdir(state+"/db", 0o700))
	}})
}

// TestNotADirectory: what is no directory where a directory of ours belongs is
// named, and left alone.
func TestNotADirectory(t *testing.T) {
	closed := closedStore(t)
	for _, name := range []string{".dlfs", ".dlfs/blobs"} {
		dir := t.TempDir()
		check(t, copyDir(dir, closed))
		path := filepath.Join(dir, name)
		check(t, errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte("mine"), 0o600)))
		_, err := Open(dir, Options{MinFree: 1})
		if err == nil || !strings.Contains(err.Error(), filepath.Base(name)+" is not a directory") {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(path); string(got) != "mine" {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
}

// checkDamage damages a copy of a store and has it checked twice, as two starts
// may find other things. If the store is bad, the damage is told.
func checkDamage(t *testing.T, c *checker, dir string, d damage) verdict {
	t.Helper()
	to := scratch(t)
	check(t, copyDir(to, dir))
	check(t, d.do(filepath.Join(to, "out", ".dlfs")))
	v := c.check(to, manner{finish: true, damaged: true})
	if v.Bad == "" {
		again := c.check(to, manner{damaged: true})
		again.Log, again.starts, again.Aside, again.Warns = v.Log, again.starts+v.starts-1, v.Aside, v.Warns
		v = again
	}
	if v.Bad == "" && v.starts > 1 && !strings.HasPrefix(d.what, "directory") { // which badger dies of
		v.Bad = fmt.Sprintf("it opens after %d starts", v.starts)
	}
	if v.Bad != "" {
		t.Errorf("%s: %s\n%s", d.what, v.Bad, v.Log)
	}
	check(t, os.RemoveAll(to))
	return v
}
