package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"
)

// TestFlagsOfFilesAreKnown: each flag that names a file is looked at before files are opened:
// it has the placeholder by which such flags are known. Those that are written are flags.
func TestFlagsOfFilesAreKnown(t *testing.T) {
	parser, err := newParser(new(cli), stdio{out: io.Discard, err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	if err := kong.Visit(parser.Model, func(n kong.Visitable, next kong.Next) error {
		flag, ok := n.(*kong.Flag)
		switch {
		case !ok:
		case flag.PlaceHolder == filePlaceholder:
			files = append(files, flag.Name)
			if _, is := flag.Target.Interface().(string); !is {
				t.Errorf("--%s names a file and is no string", flag.Name)
			}
		case strings.Contains(flag.Help, " file "+flag.PlaceHolder) && flag.PlaceHolder != "":
			t.Errorf("--%s may name a file, and has the placeholder %s", flag.Name, flag.PlaceHolder)
		}
		return next(nil)
	}); err != nil {
		t.Fatal(err)
	}
	for _, written := range writtenFlags {
		if !slices.Contains(files, written) {
			t.Errorf("there is no flag --%s FILE", written)
		}
	}
	for _, read := range []string{"config", "netrc-path", "load-cookies", "checksums", "cacert", "cert", "key", "peer-key", "tls-cert", "tls-key"} {
		if !slices.Contains(files, read) {
			t.Errorf("there is no flag --%s FILE", read)
		}
	}
}

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFIFOWithoutWriterIsGivenUp: a file that a flag names is not waited for for ever.
func TestFIFOWithoutWriterIsGivenUp(t *testing.T) {
	path := fifo(t)
	f, err := openWithin(path, time.Millisecond)
	if f != nil || err == nil || !strings.Contains(err.Error(), "is a FIFO, and no program has opened it for writing within 1ms") {
		t.Errorf("%v, %v", f, err)
	}
	// Nothing of this process still reads from it.
	if fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK, 0); !errors.Is(err, unix.ENXIO) {
		t.Errorf("descriptor %d, %v; want ENXIO", fd, err)
	}
}

// TestFIFOWithWriterIsRead: however slow the writer is, once it is there.
func TestFIFOWithWriterIsRead(t *testing.T) {
	path := fifo(t)
	opened, write, wrote := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		w, err := os.OpenFile(path, os.O_WRONLY, 0)
		close(opened)
		<-write
		if err == nil {
			_, err = w.WriteString("text")
			err = errors.Join(err, w.Close())
		}
		wrote <- err
	}()
	f, err := openWithin(path, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	<-opened
	close(write)
	text, err := io.ReadAll(f)
	if string(text) != "text" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// TestFIFOThatIsLateIsTold: a list is waited for, and what is waited for is told once.
func TestFIFOThatIsLateIsTold(t *testing.T) {
	path := fifo(t)
	told := 0
	f, err := openLate(path, time.Millisecond, func() {
		told++
		w, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		w.WriteString("text")
		w.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if string(text) != "text" || err != nil || told != 1 {
		t.Errorf("%q, %v, told %d times", text, err, told)
	}
}

// TestNamedFileWithoutEndIsRefused: what is held in memory has a bound.
func TestNamedFileWithoutEndIsRefused(t *testing.T) {
	if _, err := readNamed("/dev/zero"); err == nil || !strings.Contains(err.Error(), "/dev/zero is longer than 16 MiB") {
		t.Errorf("%v", err)
	}
}

// TestNamedFileInNoDirectoryIsRefused: what is written at the end has its directory at the start,
// unless the command makes the directory.
func TestNamedFileInNoDirectoryIsRefused(t *testing.T) {
	work := t.TempDir()
	list, out := filepath.Join(work, "list.txt"), filepath.Join(work, "out")
	if err := os.WriteFile(list, []byte("a\thttp://127.0.0.1:1/a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"--save-failed", "--metrics-file"} {
		file := filepath.Join(work, "gone", "file")
		said, err := dlfs(t, "fetch", "--tries=1", list, out, flag, file).CombinedOutput()
		if want := flag + " " + file + ": there is no directory " + filepath.Dir(file); exitCode(err) != exitUsage || !strings.Contains(string(said), want) {
			t.Errorf("%s: exit code %d, %s", flag, exitCode(err), said)
		}
	}
	if !isMissing(out) {
		t.Error("the output directory was made")
	}
	failed := filepath.Join(out, "failed.txt")
	said, err := dlfs(t, "fetch", "--tries=1", list, out, "--save-failed", failed).CombinedOutput()
	if exitCode(err) == exitUsage || isMissing(failed) {
		t.Errorf("exit code %d, %s", exitCode(err), said)
	}
}
