package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dlfs/cache/hosttest"
	"dlfs/fetch/origintest"
)

// busyMachine is what everything may take longer on a machine that has other work.
const busyMachine = 8 * time.Second

// wantWithin checks that what began at a time, and has just ended, took no longer
// than is promised.
func wantWithin(t *testing.T, what string, began time.Time, promised time.Duration) {
	t.Helper()
	if took := time.Since(began); took > promised+busyMachine {
		t.Errorf("%s took %v, more than the %v promised and %v for other work", what, took, promised, busyMachine)
	} else {
		t.Logf("%s took %v", what, took)
	}
}

// TestEndWhileReadersAreStuck has dlfs end by each of its ways while readers
// wait for an origin that says nothing more. None is waited for, and all get an
// error within two seconds.
func TestEndWhileReadersAreStuck(t *testing.T) {
	hosttest.NeedTime(t)
	need(t, canMount())
	stop := func(sigs ...syscall.Signal) func(t *testing.T, mnt string, pid int) {
		return func(t *testing.T, _ string, pid int) {
			for _, sig := range sigs {
				if err := syscall.Kill(pid, sig); err != nil {
					t.Fatal(err)
				}
			}
			if err := waitGone(t.Context(), pid); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, end := range map[string]func(t *testing.T, mnt string, pid int){
		"umount":  func(t *testing.T, mnt string, _ int) { umount(t, mnt) },
		"SIGTERM": stop(syscall.SIGTERM),
		"SIGINT":  stop(syscall.SIGINT),
		"SIGKILL": stop(syscall.SIGKILL),
		"timeout": stop(syscall.SIGTERM, syscall.SIGINT), // as timeout(1) signals the process and then its group
	} {
		t.Run(name, func(t *testing.T) {
			o := origintest.New()
			base := o.Serve(t)
			dir := t.TempDir()
			var list strings.Builder
			for i := range 4 {
				o.Put(fmt.Sprintf("/f%d", i), origintest.File{Content: origintest.Content{Seed: uint64(i), Size: 32 << 20}})
				fmt.Fprintf(&list, "f%d\t%s/f%d\n", i, base, i)
			}
			stall := origintest.StallAfter(100_000).Method("GET")
			o.Inject(stall)
			write(t, filepath.Join(dir, "list.txt"), []byte(list.String()))
			mnt := mounted(t, dir, "--prefetch=none")
			s, err := askStatus(t.Context(), mnt)
			if err != nil {
				t.Fatal(err)
			}
			var readers []*exec.Cmd
			for i := range 16 {
				cmd := exec.CommandContext(t.Context(), "dd", "bs=64K", fmt.Sprintf("skip=%d", 1+i*10), "count=20",
					"if="+filepath.Join(mnt, fmt.Sprint("f", i%4)), "of=/dev/null")
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				readers = append(readers, cmd)
			}
			if err := stall.Wait(t.Context(), 4); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			end(t, mnt, s.PID)
			wantWithin(t, "end of dlfs", begin, 2*time.Second)
			failed := 0
			for _, cmd := range readers {
				if cmd.Wait() != nil {
					failed++
				}
			}
			wantWithin(t, "end of the readers", begin, 2*time.Second)
			if failed != len(readers) {
				t.Errorf("%d of %d readers failed", failed, len(readers))
			}
			if name == "SIGKILL" {
				mounted(t, dir) // in its place
				umount(t, mnt)
			}
			if entries, err := os.ReadDir(mnt); err != nil || len(entries) == 0 || entries[0].Name() != ".dlfs" {
				t.Errorf("left: %v, %v", entries, err)
			}
		})
	}
}

// TestSuspended has every connection die while dlfs stands still, as on a machine
// that is suspended, and its origin says nothing more on them: dlfs goes on when it
// wakes, long before it would have given them up.
func TestSuspended(t *testing.T) {
	const size, files = 4 << 20, 3
	l := &load{Origin: origintest.New(), dir: t.TempDir()}
	url := l.Serve(t)
	content := func(i int) origintest.Content { return origintest.Content{Seed: uint64(i), Size: size} }
	for i := range files {
		l.add(t, url, fmt.Sprint("f", i), content(i))
	}
	stall := origintest.StallAfter(1 << 20).Method("GET").Times(files)
	l.Inject(stall)
	list, out := filepath.Join(l.dir, "list.txt"), filepath.Join(l.dir, "out")
	write(t, list, []byte(l.list.String()))
	p := startDlfs(t, nil, "fetch", list, out, "--split", "1", "--timeout", "10m")
	if err := stall.Wait(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	l.Down()
	l.Up()
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(); code != exitOK {
		t.Fatalf("fetch ended with %d: %s", code, p.said())
	}
	for i, name := range l.names {
		got, err := os.ReadFile(filepath.Join(out, name))
		if err == nil {
			err = content(i).Check(got, 0)
		}
		if err != nil || len(got) != size {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// TestStoppedProcessIsSaid: who asks a dlfs that stands still is told so, and
// goes on when it does.
func TestStoppedProcessIsSaid(t *testing.T) {
	hosttest.NeedTime(t)
	need(t, canMount())
	o := origintest.New()
	base := o.Serve(t)
	o.Put("/a", origintest.File{Content: origintest.Content{Size: 1000}})
	dir := t.TempDir()
	write(t, filepath.Join(dir, "list.txt"), []byte("a\t"+base+"/a\n"))
	mnt, out := filepath.Join(dir, "mnt"), filepath.Join(dir, "out")
	p := serveMount(t, mnt, nil, "mount", filepath.Join(dir, "list.txt"), mnt, "-d", out)
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var asked sync.WaitGroup
	for _, args := range [][]string{{"status", mnt}, {"status", out}, {"pause", mnt}, {"reload", out}, {"limit", mnt}} {
		asked.Go(func() {
			said, err := dlfs(t, args...).CombinedOutput()
			want := fmt.Sprintf("dlfs: %s: %v\n", args[1], errNoAnswer)
			if err == nil || string(said) != want {
				t.Errorf("%q: %v, %q, want %q", args, err, said, want)
			}
		})
	}
	asked.Wait()
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if said, err := dlfs(t, "status", mnt).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, said)
	}
	umount(t, mnt)
}
