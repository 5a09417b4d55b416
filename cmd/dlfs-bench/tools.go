package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// rcloneVersion is the rclone that dlfs is compared with. It is built outside
// of this module, once for each user.
const rcloneVersion = "v1.76.0"

// tools are the paths of the programs of a run, empty for what is not there.
type tools struct {
	dlfs, nginx, aria2c, curl, fio, rclone string

	noRclone string // why there is none
}

// findTools finds the Debian tools, and builds dlfs into tmp if path is empty.
func findTools(ctx context.Context, path, tmp string) (t *tools, err error) {
	t = new(tools)
	for name, at := range map[string]*string{"nginx": &t.nginx, "aria2c": &t.aria2c, "curl": &t.curl, "fio": &t.fio} {
		var err error
		if *at, err = exec.LookPath(name); err != nil { // a user's PATH may be short
			*at, _ = exec.LookPath("/usr/sbin/" + name) // empty if not there
		}
	}
	if path != "" {
		t.dlfs, err = filepath.Abs(path)
		return t, err
	}
	t.dlfs = filepath.Join(tmp, "dlfs")
	// -buildvcs=false: git refuses to look at a tree that belongs to another user.
	return t, goTool(ctx, "", "build", "-buildvcs=false", "-o", t.dlfs, "dlfs/cmd/dlfs")
}

// getRclone finds rclone, or builds it into the user's cache, which takes
// minutes.
func (t *tools) getRclone(ctx context.Context, log io.Writer) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	dir := filepath.Join(cache, "dlfs-bench", rcloneVersion)
	path := filepath.Join(dir, "rclone")
	if _, err := os.Stat(path); err != nil {
		fmt.Fprintf(log, "building rclone %s into %s\n", rcloneVersion, dir)
		if err := goTool(ctx, dir, "install", "github.com/rclone/rclone@"+rcloneVersion); err != nil {
			return err
		}
	}
	t.rclone = path
	return nil
}

// goTool runs the go command with args. "go install" installs into the directory bin.
// The error has the last words of the command.
func goTool(ctx context.Context, bin string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "GOBIN="+bin)
	said := new(tail)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, said)
	}
	return nil
}

// versions returns the versions of the tools that there are, for the line above the
// table.
func (t *tools) versions(ctx context.Context) string {
	var all []string
	for _, x := range []struct{ path, flag string }{
		{t.nginx, "-v"}, {t.aria2c, "--version"}, {t.curl, "--version"}, {t.fio, "--version"}, {t.rclone, "version"},
	} {
		if x.path == "" {
			continue
		}
		out, err := command(ctx, x.path, x.flag).CombinedOutput()
		if err != nil {
			continue // it will be heard of in its rows
		}
		line, _, _ := strings.Cut(string(out), "\n")
		line = strings.TrimPrefix(line, "nginx version: ")
		all = append(all, strings.TrimSpace(strings.SplitN(line, " (", 2)[0]))
	}
	return strings.Join(all, ", ")
}
