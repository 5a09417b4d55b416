package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"dlfs/fetch/origintest"
)

// TestMain makes this binary the dlfs command, too: it is dlfs when it is
// started under that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"dlfs": func() { os.Exit(run(context.Background(), os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr})) },
	})
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
	if why == nil {
		return
	}
	if os.Getenv("DLFS_TEST_ALL") != "" {
		t.Fatal("DLFS_TEST_ALL is set, and yet:", why)
	}
	t.Skip(why)
}

// canMount says why this user cannot mount here, nil if it can.
func canMount() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	f.Close()
	if os.Geteuid() == 0 {
		return nil
	}
	_, err = exec.LookPath("fusermount3")
	return err
}

// The scripts under testdata/script are scenarios of the command line. Beyond
// testscript's own commands they have:
//
//	serve NAME=SIZE...       start an origin at $ORIGIN; SHA256SUMS tells its files
//	list FILE NAME...        write a list of files of the origin
//	fault STATUS NAME        have the origin answer with a status
//	exits CODE dlfs ARGS...  run, and compare the exit code
//	origin-bytes MAX         fail if the origin sent more body bytes
func TestScripts(t *testing.T) {
	type originKey struct{}
	origin := func(ts *testscript.TestScript) *origintest.Origin { return ts.Value(originKey{}).(*origintest.Origin) }
	testscript.Run(t, testscript.Params{
		Dir: "../../testdata/script",
		Setup: func(env *testscript.Env) error {
			t := env.T().(testing.TB)
			o := origintest.New()
			env.Setenv("ORIGIN", o.Serve(t))
			env.Values[originKey{}] = o
			env.Defer(func() { unmountUnder(env.WorkDir) })
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"serve": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(serveFiles(origin(ts), ts.MkAbs("SHA256SUMS"), args))
			},
			"list": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(writeList(ts.MkAbs(args[0]), ts.Getenv("ORIGIN"), args[1:]))
			},
			"fault": func(ts *testscript.TestScript, _ bool, args []string) {
				code, err := strconv.Atoi(args[0])
				ts.Check(err)
				origin(ts).Inject(origintest.Status(code).On("/" + args[1]))
			},
			"exits": func(ts *testscript.TestScript, _ bool, args []string) {
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				if got := exitCode(ts.Exec(args[1], args[2:]...)); got != want {
					ts.Fatalf("exit code %d, want %d", got, want)
				}
			},
			"origin-bytes": func(ts *testscript.TestScript, _ bool, args []string) {
				most, err := strconv.ParseInt(args[0], 10, 64)
				ts.Check(err)
				if got := origin(ts).Counts().BodyBytes; got > most {
					ts.Fatalf("origin sent %d bytes, want at most %d", got, most)
				}
			},
		},
		Condition: func(cond string) (bool, error) {
			if cond != "fuse" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			err := canMount()
			if err != nil && os.Getenv("DLFS_TEST_ALL") != "" {
				return false, err
			}
			return err == nil, nil
		},
	})
}

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

// serveFiles puts NAME=SIZE files on the origin and writes their checksums.
func serveFiles(o *origintest.Origin, sums string, args []string) error {
	var b strings.Builder
	for i, arg := range args {
		name, size, _ := strings.Cut(arg, "=")
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return err
		}
		c := origintest.Content{Seed: uint64(i + 1), Size: n}
		o.Put("/"+name, origintest.File{Content: c})
		fmt.Fprintf(&b, "%s  %s\n", c.SHA256(), name)
	}
	return os.WriteFile(sums, []byte(b.String()), 0o666)
}

// writeList writes a list in the seed's shape.
func writeList(path, base string, names []string) error {
	var b strings.Builder
	b.WriteString("file_name\tcdn_link\r\n")
	for _, name := range names {
		fmt.Fprintf(&b, "%s\t%s/%s?sig=CANARY\r\n", name, base, name)
	}
	return os.WriteFile(path, []byte(strings.TrimSuffix(b.String(), "\r\n")), 0o666)
}

// unmountUnder takes away whatever a failed test left mounted.
func unmountUnder(dir string) {
	points, _ := filepath.Glob(filepath.Join(dir, "*")) // the pattern is good
	for _, p := range points {
		exec.Command("umount", "-l", p).Run() // fails for all that is not mounted
	}
}
