package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"dlfs/cache/hosttest"
	"dlfs/fetch/origintest"
)

// smallGroup makes a control group of limit bytes that ends with the test, and
// returns the file that takes its processes.
func smallGroup(t *testing.T, limit int64) (procs string) {
	t.Helper()
	for _, in := range []struct{ top, file string }{{"/sys/fs/cgroup/memory", limitV1}, {"/sys/fs/cgroup", "memory.max"}} {
		dir := filepath.Join(in.top, fmt.Sprintf("dlfs-test-%d", os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		err := os.WriteFile(filepath.Join(dir, in.file), fmt.Append(nil, limit), 0)
		if err != nil {
			err = errors.Join(err, os.Remove(dir))
			t.Log(err)
			continue
		}
		t.Cleanup(func() { // after its processes have ended
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
		return filepath.Join(dir, "cgroup.procs")
	}
	need(t, errors.New("no control group with a limit of memory can be made here; root can where the controller is"))
	return ""
}

// TestReadersInLittleMemory has 64 readers, half of them past the page cache,
// read a mount whose control group has 100 MB. The process lives, and no read
// fails.
func TestReadersInLittleMemory(t *testing.T) {
	hosttest.NeedTime(t)
	need(t, canMount())
	limit := int64(100 << 20)
	if raceDetector {
		limit *= 8
	}
	procs := smallGroup(t, limit)
	const files, size, readers = 8, 48 << 20, 64
	dir := t.TempDir()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Type == unix.TMPFS_MAGIC {
		need(t, fmt.Errorf("%s is in memory, which the limit would count; set TMPDIR to a directory on a disk (%v)", dir, err))
	}
	o := origintest.New()
	base := o.Serve(t)
	var list strings.Builder
	for i := range files {
		o.Put(fmt.Sprintf("/f%d", i), origintest.File{Content: origintest.Content{Seed: uint64(i), Size: size}})
		fmt.Fprintf(&list, "f%d\t%s/f%d\n", i, base, i)
	}
	write(t, filepath.Join(dir, "list.txt"), []byte(list.String()))
	mnt := filepath.Join(dir, "mnt")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The shell joins the group before it becomes dlfs: all that dlfs uses counts.
	p := startCommand(t, exec.CommandContext(t.Context(), "bash", "-c", `echo $$ >"$0" && exec -a dlfs "$@"`, procs,
		self, "mount", "--dir", filepath.Join(dir, "out"), filepath.Join(dir, "list.txt"), mnt), nil)
	p.awaitMount(t, mnt)
	var read atomic.Int64
	var all sync.WaitGroup
	for i := range readers {
		all.Go(func() {
			if err := readSome(mnt, files, size, i, &read); err != nil {
				t.Errorf("reader %d: %v", i, err)
			}
		})
	}
	all.Wait()
	x, err := usageOf(p.cmd.Process.Pid, "")
	if err != nil {
		t.Fatalf("dlfs ended: %v: %s", err, p.said())
	}
	t.Logf("%s read; %v", bytesText(read.Load()), x)
}

// readSome reads 24 MiB of random files, in runs of 4 MiB.
func readSome(mnt string, files, size, reader int, read *atomic.Int64) error {
	random := rand.New(rand.NewPCG(uint64(reader), 1))
	flags := os.O_RDONLY
	if reader%2 == 1 {
		flags |= unix.O_DIRECT
	}
	buf, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // aligned
	if err != nil {
		return err
	}
	defer unix.Munmap(buf)
	for range 6 {
		f, err := os.OpenFile(filepath.Join(mnt, fmt.Sprint("f", random.IntN(files))), flags, 0)
		if err != nil {
			return err
		}
		at := int64(random.IntN(size-4<<20)) &^ 4095
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{io.NewSectionReader(f, at, 4<<20)}, buf)
		read.Add(n)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}
