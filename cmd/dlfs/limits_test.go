package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dlfs/cache/hosttest"
	"dlfs/fetch/origintest"
)

// TestLimits: a limit of the process that is too low is one line, and costs nothing
// of the state. A file that is longer than a file may be fails alone.
func TestLimits(t *testing.T) {
	o := origintest.New()
	base := o.Serve(t)
	o.Put("/small", origintest.File{Content: origintest.Content{Seed: 1, Size: 1 << 20}})
	o.Put("/large", origintest.File{Content: origintest.Content{Seed: 2, Size: 40 << 20}})
	dir := t.TempDir()
	write(t, filepath.Join(dir, "list"), []byte("small\t"+base+"/small\nlarge\t"+base+"/large\n"))
	for _, tt := range []struct {
		name, limit, want string
		code              int
	}{
		{"files", "ulimit -f 1000", "open out: a file may have 1024000 bytes here (ulimit -f), and the state needs", exitFailed},
		{"a file", "ulimit -f 30000", `"large" has 41943040 bytes, and a file may have 30720000 here (ulimit -f); raise the limit`, exitFailed},
		{"address space", "ulimit -v 1800000", "the address space is limited to 1.7 GiB (ulimit -v), and dlfs needs 1.9 GiB; raise the limit", exitFailed},
		{"open files", "ulimit -n 41", "a process may have 41 files open here (ulimit -n), and dlfs needs 42; raise the limit", exitFailed},
		{"few open files", "ulimit -n 42", "", exitOK},
		{"none", ":", "", exitOK},
	} {
		if tt.name == "address space" && raceDetector {
			continue // which reserves more than any limit
		}
		t.Run(tt.name, func(t *testing.T) {
			said, code := shell(t, dir, tt.limit+`; exec -a dlfs "$DLFS" fetch --progress=none list out`)
			if code != tt.code || !strings.Contains(said, tt.want) || strings.Contains(said, "goroutine") {
				t.Errorf("exit code %d, want %d; said:\n%s\nwant %q", code, tt.code, said, tt.want)
			}
			if aside, err := filepath.Glob(filepath.Join(dir, "out", ".dlfs", "db.broken-*")); len(aside) > 0 || err != nil {
				t.Errorf("set aside: %q, %v", aside, err)
			}
		})
	}
	for _, name := range []string{"small", "large"} {
		if _, err := os.Stat(filepath.Join(dir, "out", name)); err != nil {
			t.Error(err)
		}
	}
}

// TestLimitOfProcesses: as an ordinary user, for whom the limit holds.
func TestLimitOfProcesses(t *testing.T) {
	need(t, hosttest.Root())
	_, err := exec.LookPath("setpriv")
	need(t, err)
	dir := forAnyone(t)
	said, code := shell(t, dir, `cp "$DLFS" dlfs; chmod 755 dlfs; HOME=/ GOMAXPROCS=1 exec setpriv --reuid=54321 --regid=54321 --clear-groups bash -c 'ulimit -u 9; exec ./dlfs check list'`)
	if want := "this user may have 9 processes and threads (ulimit -u)"; code != exitFailed || !strings.Contains(said, want) {
		t.Errorf("exit code %d, said:\n%s\nwant %q", code, said, want)
	}
}

// shell runs a script in dir, with the path of dlfs in $DLFS.
func shell(t *testing.T, dir, script string) (said string, code int) {
	t.Helper()
	self, err := os.Executable()
	need(t, err)
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DLFS="+self)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	return string(out), exitCode(err)
}
