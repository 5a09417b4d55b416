package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"dlfs/cache"
	"dlfs/fetch/origintest"
)

// badWords are in no line of anybody who opens the directory: a kill damages nothing.
var badWords = regexp.MustCompile(`panic:|fatal error:|DATA RACE|state database|fetched again|is not readable|may go unnoticed`)

// goneFile is a line that tells of a blob that is gone.
var goneFile = regexp.MustCompile(`unfinished file is gone.* name=(\S+)`)

// wantSound checks what somebody said who opened the directory. A version that was
// given up is removed before the next one is recorded.
func (k *killing) wantSound(who, said string) {
	k.t.Helper()
	for line := range strings.Lines(said) {
		if gone := goneFile.FindStringSubmatch(line); gone != nil && len(k.versions[gone[1]]) > 1 {
			continue
		}
		if badWords.MatchString(line) {
			k.t.Fatalf("%s said:\n%s", who, said)
		}
	}
}

// look compares what the directory has with the origin's content, and with what
// it had before.
func (k *killing) look() {
	k.t.Helper()
	if k.dir == k.mnt {
		exec.Command("umount", "-l", k.mnt).Run() // fails if it is gone already
	}
	k.checkFiles()
	k.checkAsked()
	var said bytes.Buffer
	store, err := cache.Open(k.dir, cache.Options{Owner: "TestKill", Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		k.t.Fatal(err)
	}
	found, present := map[string]durable{}, int64(0)
	err = store.Each(func(name string, b *cache.Blob) error {
		d, err := k.checkBlob(name, b)
		found[name] = d
		present += b.Present()
		return err
	})
	if err := errors.Join(err, store.Close()); err != nil {
		k.t.Fatalf("%v\n%s", err, said.String())
	}
	k.wantSound("a look", said.String())
	k.checkKept(found)
	sent := k.origin.Counts().BodyBytes
	k.origin.ResetCounts()
	lost := max(0, sent-max(0, present-k.present))
	if most := int64(k.starts) * maxLost; lost > most && !k.bounded {
		k.t.Errorf("%d bytes are to be fetched again, at most %d of %d starts", lost, most, k.starts)
	}
	k.starts, k.bounded, k.removes = 0, false, false
	k.sent, k.lost, k.worst = k.sent+sent, k.lost+lost, max(k.worst, lost)
	k.durable, k.present = found, present
	if k.rng.IntN(8) == 0 {
		k.lookThroughMount()
	}
}

// lookThroughMount reads what is there through a mount, while the origin is
// dead.
func (k *killing) lookThroughMount() {
	k.t.Helper()
	k.origin.Down()
	defer k.origin.Up()
	p := startDlfs(k.t, nil, "mount", k.list, k.mnt, "--dir", k.dir, "--prefetch", "none", "--read-timeout", "5s")
	defer func() {
		p.cmd.Process.Kill()
		<-p.exited
		if k.dir == k.mnt {
			exec.Command("umount", "-l", k.mnt).Run() // fails if it is gone already
		}
	}()
	select {
	case <-p.live:
	case <-p.exited:
		k.t.Fatalf("%v: %s", p.cmd.ProcessState, p.said())
	}
	buf := make([]byte, cache.BlockSize)
	for name, d := range k.durable {
		f, err := os.Open(filepath.Join(k.mnt, name))
		if err != nil {
			k.t.Fatal(err)
		}
		// Or else the kernel's read-ahead asks for missing blocks as well.
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM); err != nil {
			k.t.Fatal(err)
		}
		for i, has := range d.has {
			if !has {
				continue
			}
			off := int64(i) * cache.BlockSize
			n, err := f.ReadAt(buf, off)
			if err == nil || err == io.EOF {
				err = k.versions[name][d.version].Content.Check(buf[:n], off)
			}
			if err != nil {
				k.t.Fatalf("%s, block %d, which is present, in the mount: %v", name, i, err)
			}
			k.compared.Add(int64(n))
		}
		f.Close()
	}
	k.looks++
	k.wantSound("a mount without an origin", p.said())
}

// checkFiles checks the files outside the state directory, as the kill left
// them: each is the whole of one version.
func (k *killing) checkFiles() {
	k.t.Helper()
	err := filepath.WalkDir(k.dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.Name() == ".dlfs":
			return fs.SkipDir
		case e.IsDir():
			return nil
		}
		name := strings.TrimPrefix(path, k.dir+"/")
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		k.checked += int64(len(b))
		for _, v := range k.versions[name] {
			if int64(len(b)) == v.Content.Size && v.Content.Check(b, 0) == nil {
				return nil
			}
		}
		return fmt.Errorf("%s is published and not the whole of any version", name)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // it may have been killed before it made one
		k.t.Fatal(err)
	}
}

// checkBlob compares every block that is present.
func (k *killing) checkBlob(name string, b *cache.Blob) (d durable, err error) {
	i := slices.IndexFunc(k.versions[name], func(v origintest.File) bool {
		return v.Content.Size == b.Version().Size && strconv.Quote(v.ETag) == b.Version().ETag
	})
	if i < 0 {
		return d, fmt.Errorf("%s: no version is %+v", name, b.Version())
	}
	if err := b.Acquire(); err != nil {
		return d, err
	}
	defer b.Release()
	d = durable{gen: b.Generation(), version: i, whole: b.Published()}
	content, buf := k.versions[name][i].Content, make([]byte, cache.BlockSize)
	for off := int64(0); off < content.Size; off += cache.BlockSize {
		has := b.Has(off, 1)
		d.has = append(d.has, has)
		if !has {
			continue
		}
		n, err := b.ReadAt(buf, off)
		if err == nil || err == io.EOF {
			err = content.Check(buf[:n], off)
		}
		if err != nil {
			return d, fmt.Errorf("%s, a block that is present: %w", name, err)
		}
		k.checked += int64(n)
	}
	return d, nil
}

// checkKept checks that nothing that was durable is gone.
func (k *killing) checkKept(found map[string]durable) {
	k.t.Helper()
	for name, was := range k.durable {
		is, ok := found[name]
		switch {
		case !ok:
			k.t.Errorf("%s: nothing is known of it any more", name)
		case is.gen != was.gen:
			removed := k.removes && (was.whole || k.starts > 1) // one start may have published it, and the next one removed it
			if (was.whole || was.version == len(k.versions[name])-1) && !removed {
				k.t.Errorf("%s: it was begun again, without a new version; it was published: %v", name, was.whole)
			}
		case was.whole && !is.whole && !k.removes:
			k.t.Errorf("%s: it is published no longer", name)
		default:
			for i, has := range was.has {
				if has && !is.has[i] && !k.bounded {
					k.t.Errorf("%s: block %d was durable and is missing", name, i)
				}
			}
		}
	}
}

// checkAsked checks that the origin was asked for nothing that was durable.
func (k *killing) checkAsked() {
	k.t.Helper()
	if k.bounded {
		return // it may have been evicted
	}
	for _, r := range k.origin.Log() {
		was, ok := k.durable[strings.TrimPrefix(r.Path, "/")]
		if !ok || r.Method != "GET" || was.version < len(k.versions[strings.TrimPrefix(r.Path, "/")])-1 {
			continue
		}
		first, last := int64(0), int64(len(was.has))*cache.BlockSize-1
		if _, err := fmt.Sscanf(r.Range, "bytes=%d-%d", &first, &last); err != nil && r.Range != "" {
			k.t.Fatalf("%v: %v", r, err)
		}
		for i := first / cache.BlockSize; i <= last/cache.BlockSize && i < int64(len(was.has)); i++ {
			if was.has[i] {
				k.t.Errorf("asked for block %d, which was durable: %v", i, r)
				break
			}
		}
	}
}

// complete has the list fetched to the end, and compares everything.
func (k *killing) complete() {
	k.t.Helper()
	k.origin.Clear()
	k.starts++
	out, err := dlfs(k.t, "fetch", "--retry-wait", "20ms", k.list, k.dir).CombinedOutput()
	if err != nil {
		k.t.Fatalf("fetch: %v\n%s", err, out)
	}
	k.wantSound("the last fetch", string(out))
	k.look()
	for _, name := range k.names {
		if d := k.durable[name]; !d.whole {
			k.t.Errorf("%s is not complete", name)
		} else {
			k.content += k.versions[name][d.version].Content.Size
		}
	}
	if left, err := os.ReadDir(filepath.Join(k.dir, ".dlfs", "blobs")); err != nil || len(left) > 0 {
		k.t.Errorf("%d blobs are left, %v", len(left), err)
	}
}

// durable is what a look at the directory found of a name.
type durable struct {
	gen     uint64
	version int    // index of killing.versions
	has     []bool // by block
	whole   bool   // published
}
