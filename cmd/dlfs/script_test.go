package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"dlfs/cache/hosttest"
	"dlfs/fetch/origintest"
)

// The scripts under testdata/script are scenarios of the command line. Beyond
// testscript's own commands they have those of scriptCommands.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "../../testdata/script",
		Setup: func(env *testscript.Env) error {
			t := env.T().(testing.TB)
			s := &scene{origin: origintest.New()}
			env.Setenv("ORIGIN", s.origin.Serve(t))
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Values[sceneKey{}] = s
			env.Defer(func() { unmountUnder(env.WorkDir) })
			env.Defer(s.release)
			return nil
		},
		Cmds: scriptCommands,
		Condition: func(cond string) (bool, error) {
			if cond != "fuse" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			err := canMount()
			if err != nil && os.Getenv(hosttest.All) != "" {
				return false, err
			}
			return err == nil, nil
		},
	})
}

type sceneKey struct{}

// scene is the origin of one script.
type scene struct {
	origin *origintest.Origin
	held   *origintest.Fault
	let    chan struct{} // closed to let what is held go; nil if nothing is
}

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value(sceneKey{}).(*scene) }

func (s *scene) release() {
	if s.let != nil {
		close(s.let)
		s.let = nil
	}
}

var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	// serve NAME=SIZE...: have $ORIGIN serve files; SHA256SUMS tells their digests.
	"serve": func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Check(serveFiles(sceneOf(ts).origin, ts.MkAbs("SHA256SUMS"), args))
	},
	// serve-text NAME FILE: have $ORIGIN serve a file of the script.
	"serve-text": func(ts *testscript.TestScript, _ bool, args []string) {
		sceneOf(ts).origin.Put("/"+args[0], origintest.Text(ts.ReadFile(args[1])))
	},
	// list FILE NAME...: write a list of files of the origin. Their URLs are
	// signed with $SIG, or CANARY.
	"list": func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Check(writeList(ts.MkAbs(args[0]), ts.Getenv("ORIGIN"), sigOf(ts), args[1:]))
	},
	// plain FILE NAME...: write a list of the files' URLs alone.
	"plain": func(ts *testscript.TestScript, _ bool, args []string) {
		var list strings.Builder
		for _, name := range args[1:] {
			fmt.Fprintf(&list, "%s/%s\n", ts.Getenv("ORIGIN"), name)
		}
		ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(list.String()), 0o600))
	},
	// fault STATUS NAME: have the origin answer with a status.
	"fault": func(ts *testscript.TestScript, _ bool, args []string) {
		sceneOf(ts).origin.Inject(origintest.Status(number(ts, args[0])).On("/" + args[1]))
	},
	// cut N NAME: have the origin break off after N bytes of each answer.
	"cut": func(ts *testscript.TestScript, _ bool, args []string) {
		sceneOf(ts).origin.Inject(origintest.CutAfter(int64(number(ts, args[0]))).On("/" + args[1]))
	},
	// header NAME KEY VALUE: have the origin send a header.
	"header": func(ts *testscript.TestScript, _ bool, args []string) {
		sceneOf(ts).origin.Inject(origintest.Header(args[1], args[2]).On("/" + args[0]))
	},
	// expire N NAME: have the origin answer 403 to all but the first N GETs of a
	// URL that is signed with $SIG.
	"expire": func(ts *testscript.TestScript, _ bool, args []string) {
		sig := sigOf(ts)
		sceneOf(ts).origin.Inject(origintest.Status(403).On("/" + args[1]).Method("GET").
			When(func(r *http.Request) bool { return r.URL.Query().Get("sig") == sig }).After(number(ts, args[0])))
	},
	// heal: have the origin behave.
	"heal": func(ts *testscript.TestScript, _ bool, _ []string) { sceneOf(ts).origin.Clear() },
	// hold N NAME: have the origin stop after N bytes of each answer, until
	// release.
	"hold": func(ts *testscript.TestScript, _ bool, args []string) {
		s := sceneOf(ts)
		s.let = make(chan struct{})
		s.held = origintest.HoldAfter(int64(number(ts, args[0])), s.let).On("/" + args[1])
		s.origin.Inject(s.held)
	},
	// held: wait until an answer is held.
	"held": func(ts *testscript.TestScript, _ bool, _ []string) {
		ts.Check(sceneOf(ts).held.Wait(context.Background(), 1))
	},
	"release": func(ts *testscript.TestScript, _ bool, _ []string) { sceneOf(ts).release() },
	// exits CODE dlfs ARGS...: run, and compare the exit code.
	"exits": func(ts *testscript.TestScript, _ bool, args []string) {
		if got, want := exitCode(ts.Exec(args[1], args[2:]...)), number(ts, args[0]); got != want {
			ts.Fatalf("exit code %d, want %d", got, want)
		}
	},
	// until PATTERN COMMAND ARGS...: run again and again until the standard output
	// matches.
	"until": func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(until(ts, args)) },
	// signal NAME DIR: send the process that has DIR a signal.
	"signal": func(ts *testscript.TestScript, _ bool, args []string) {
		s, err := askStatus(context.Background(), ts.MkAbs(args[1]))
		ts.Check(err)
		ts.Check(syscall.Kill(s.PID, map[string]syscall.Signal{"HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}[args[0]]))
	},
	// damage FILE: change a byte in the middle.
	"damage": func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(damage(ts.MkAbs(args[0]))) },
	// rot FILE: the same, and the file keeps its time.
	"rot": func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(rot(ts.MkAbs(args[0]))) },
	// origin-bytes MAX: fail if the origin sent more body bytes.
	"origin-bytes": func(ts *testscript.TestScript, _ bool, args []string) {
		if got := sceneOf(ts).origin.Counts().BodyBytes; got > int64(number(ts, args[0])) {
			ts.Fatalf("origin sent %d bytes, want at most %s", got, args[0])
		}
	},
	// origin-saw HEADER PATTERN: fail unless every request so far had such a
	// header; negated, if one had.
	"origin-saw": func(ts *testscript.TestScript, neg bool, args []string) {
		pattern := regexp.MustCompile(args[1])
		for _, r := range sceneOf(ts).origin.Log() {
			if pattern.MatchString(r.Header.Get(args[0])) == neg {
				ts.Fatalf("%v has %s %q", r, args[0], r.Header.Get(args[0]))
			}
		}
	},
}

func number(ts *testscript.TestScript, s string) int {
	n, err := strconv.Atoi(s)
	ts.Check(err)
	return n
}

func sigOf(ts *testscript.TestScript) string {
	if sig := ts.Getenv("SIG"); sig != "" {
		return sig
	}
	return "CANARY"
}

// until polls a command for at most two minutes, a guard against hanging.
func until(ts *testscript.TestScript, args []string) error {
	pattern := regexp.MustCompile(args[0])
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-tick.C {
		ts.Exec(args[1], args[2:]...) // whose failure shows in what it prints
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return nil
		}
	}
	return errors.New("standard output never matched " + args[0])
}

func damage(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, info.Size()/2); err != nil {
		return err
	}
	b[0]++
	_, err = f.WriteAt(b, info.Size()/2)
	return err
}

// rot is damage by the disk: the file has the time it had.
func rot(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return errors.Join(damage(path), os.Chtimes(path, time.Time{}, info.ModTime()))
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
func writeList(path, base, sig string, names []string) error {
	var b strings.Builder
	b.WriteString("file_name\tcdn_link\r\n")
	for _, name := range names {
		fmt.Fprintf(&b, "%s\t%s/%s?sig=%s\r\n", name, base, name, sig)
	}
	return os.WriteFile(path, []byte(strings.TrimSuffix(b.String(), "\r\n")), 0o666)
}
