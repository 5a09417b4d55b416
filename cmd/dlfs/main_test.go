package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"dlfs/cache/hosttest"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain makes this binary the dlfs command, too: it is dlfs when it is
// started under that name.
func TestMain(m *testing.M) {
	dlfs := func() {
		tellFigures()
		os.Exit(program(context.Background(), os.Args, stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
	}
	testscript.Main(leakless{m}, map[string]func(){
		"dlfs":             dlfs,
		"mount.dlfs":       dlfs,
		"umount.dlfs":      dlfs,
		"dlfs-test-origin": serveOrigin,
	})
}

// leakless are tests after which no goroutine may be left.
type leakless struct{ *testing.M }

// Run runs the tests. Under nohup SIGHUP is ignored, and every dlfs that a test starts would
// ignore it, too; a signal that this process catches is not ignored by its children.
func (m leakless) Run() int {
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// dlfs returns a command that runs this binary as dlfs.
func dlfs(t *testing.T, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Args = append([]string{"dlfs"}, args...)
	return cmd
}

// need skips the test when a thing of the system is missing; where everything
// must run, it fails instead.
func need(t testing.TB, why error) {
	t.Helper()
	hosttest.Need(t, why)
}

// canMount says why this user cannot mount here, nil if it can.
func canMount() error { return hosttest.FUSE() }

func exitCode(err error) int {
	var e *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.ExitCode()
	}
	return -1
}

// unmountUnder takes away whatever a failed test left mounted.
func unmountUnder(dir string) {
	points, _ := filepath.Glob(filepath.Join(dir, "*")) // the pattern is good
	for _, p := range points {
		exec.Command("umount", "-l", p).Run() // fails for all that is not mounted
	}
}
