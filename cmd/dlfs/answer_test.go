package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/cache/hosttest"
	"dlfs/fetch"
)

// impostor answers on the control socket of a directory: "alive" properly, all
// else with what say writes after the headers. It ends with the test.
func impostor(t *testing.T, say func(w *bufio.Writer)) (dir string) {
	t.Helper()
	return answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/alive" {
			return
		}
		out := bufio.NewWriter(w)
		say(out)
		out.Flush() // fails when the client has left
	})
}

// answering returns a directory whose control socket answers with handler, until the test
// ends.
func answering(t *testing.T, handler http.HandlerFunc) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "dlfs") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Mkdir(filepath.Join(dir, ".dlfs"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, ".dlfs", socketName))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	served := make(chan struct{})
	go func() { // joined below
		defer close(served)
		server.Serve(l)
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return dir
}

// withoutEnd returns a say that writes a text again and again until the client leaves.
func withoutEnd(head, text string) func(w *bufio.Writer) {
	return func(w *bufio.Writer) {
		for _, err := w.WriteString(head); err == nil; _, err = w.WriteString(text) {
		}
	}
}

// Whatever answers on the socket, a command ends, with one line, in bounded memory,
// and prints nothing that a terminal would obey.
func TestImpostorsOnTheControlSocket(t *testing.T) {
	const counts = `"total_bytes":1,"present_bytes":0,"files_total":`
	entry := `{"name":"` + strings.Repeat("A", 1000) + `","state":"complete"},`
	for name, say := range map[string]func(w *bufio.Writer){
		"says nothing":           func(*bufio.Writer) {},
		"no JSON":                func(w *bufio.Writer) { w.WriteString("<html>\x1b[2J\u009b5m</html>") },
		"another kind":           func(w *bufio.Writer) { w.WriteString(`[1, 2, 3]`) },
		"an empty object":        func(w *bufio.Writer) { w.WriteString(`{}`) },
		"a number":               func(w *bufio.Writer) { w.WriteString(`17`) },
		"breaks off":             func(w *bufio.Writer) { w.WriteString(`{"pid":1,"entries":[{"na`) },
		"endless entries":        withoutEnd(`{"pid":1,"entries":[`, entry),
		"more entries than said": withoutEnd(`{"pid":1,`+counts+`1000,"entries":[`, entry),
		"too many entries":       withoutEnd(`{"pid":1,`+counts+`1000000000000,"entries":[`, entry),
		"negative":               withoutEnd(`{"pid":1,`+counts+`-5,"entries":[`, entry),
		"an endless name":        withoutEnd(`{"pid":1,`+counts+`5,"entries":[{"name":"`, strings.Repeat("B", 4096)),
		"an endless number":      withoutEnd(`{"pid":1`, "1"),
		"endless keys":           withoutEnd(`{"pid":1`, `,"k":1`),
		"an endless key":         withoutEnd(`{"`, "key"),
		"deep":                   withoutEnd(``, `{"a":[`),
		"white space":            withoutEnd(``, strings.Repeat(" ", 4096)),
		"huge numbers": func(w *bufio.Writer) {
			w.WriteString(`{"pid":1e999,"files_total":1e30,"entries":[]}`)
		},
		"entries twice": func(w *bufio.Writer) { w.WriteString(`{"files_total":1,"entries":[],"entries":[]}`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := impostor(t, say)
			for _, args := range [][]string{{"status", dir}, {"status", "--json", dir}, {"reload", dir}, {"limit", dir}, {"pause", dir}} {
				var out, errs strings.Builder
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				code := run(ctx, args, stdio{out: &out, err: &errs})
				late := ctx.Err()
				cancel()
				if late != nil {
					t.Errorf("%v did not end: %s", args, errs.String())
				}
				if code == 0 && name != "says nothing" && !(args[0] == "limit" && name == "a number") {
					t.Errorf("%v took it: %.200q", args, out.String())
				}
				if n := strings.Count(errs.String(), "\n"); n > 1 || len(errs.String()) > 5000 || out.Len() > 4<<20 {
					t.Errorf("%v printed %d lines, %d bytes and %d bytes", args, n, len(errs.String()), out.Len())
				}
				if strings.ContainsAny(out.String()+errs.String(), "\x1b\u009b") {
					t.Errorf("%v printed %q", args, errs.String())
				}
			}
		})
	}
}

// A process that stands still in the middle of an answer is not waited for.
func TestAnswerThatStandsStill(t *testing.T) {
	hosttest.NeedTime(t)
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	dir := impostor(t, func(w *bufio.Writer) {
		w.WriteString(`{"pid":1,"files_total":1,"entries":[`)
		w.Flush()
		<-release
	})
	began := time.Now()
	if _, err := askStatus(t.Context(), dir); !errors.Is(err, errNoAnswer) {
		t.Errorf("%v", err)
	}
	wantWithin(t, "the answer", began, answerStall)
}

// What is escaped in an entry is printed escaped, and status --json is JSON of the
// same content, as encoding/json would have it.
func TestStatusOfAnyContent(t *testing.T) {
	evil := fetch.EntryStatus{Name: "\x1b[31mEVIL\u009b5m\u202e", State: "\x1b]0;title\x07", Error: "\x1b[2J", Size: 1<<63 - 1, Present: 1<<63 - 1}
	whole := Status{PID: 7, Totals: fetch.Totals{FilesTotal: 2}, Entries: []fetch.EntryStatus{evil, {Name: "b", Size: -1}}}
	text, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, entries := range []int{0, 1, 2} {
		whole.Entries = whole.Entries[:entries]
		if text, err = json.Marshal(whole); err != nil {
			t.Fatal(err)
		}
		dir := impostor(t, func(w *bufio.Writer) { w.Write(text) })
		var out, errs strings.Builder
		if code := run(t.Context(), []string{"status", "--json", dir}, stdio{out: &out, err: &errs}); code != 0 {
			t.Fatalf("exit code %d: %s", code, errs.String())
		}
		want, err := json.MarshalIndent(whole, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(plain(want))+"\n" {
			t.Errorf("JSON\n%s\nwant\n%s", out.String(), want)
		}
		out.Reset()
		if code := run(t.Context(), []string{"status", dir}, stdio{out: &out, err: &errs}); code != 0 || strings.ContainsAny(out.String(), "\x1b\u009b\u202e\x07") {
			t.Errorf("exit code %d, printed %q", code, out.String())
		}
		whole.Entries = whole.Entries[:cap(whole.Entries)]
	}
}

// A socket that another user serves is asked nothing.
func TestForeignSocketIsNotAsked(t *testing.T) {
	need(t, hosttest.Root())
	dir := impostor(t, func(*bufio.Writer) {})
	path := filepath.Join(dir, ".dlfs", socketName)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{dir, filepath.Join(dir, ".dlfs")} {
		if err := os.Chmod(p, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	l := listenAs(t, 65534, path)
	got := make(chan []byte, 1)
	go func() { // ends with the listener at the latest
		c, err := l.Accept()
		if err != nil {
			got <- nil
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c) // what there is, however it ended
		got <- b
	}()
	var stdout, errs strings.Builder
	code := run(t.Context(), []string{"status", dir}, stdio{out: &stdout, err: &errs})
	if code != exitFailed || !strings.Contains(errs.String(), "another user answers on the control socket there") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if b := <-got; len(b) > 0 {
		t.Errorf("the other user got %q", b)
	}
}

// listenAs listens as another user.
func listenAs(t *testing.T, uid int, path string) (l net.Listener) {
	t.Helper()
	if err := asUser(uid, func() (err error) {
		l, err = net.Listen("unix", path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// asUser calls f in a thread that is another user's, and ends afterwards.
func asUser(uid int, f func() error) error {
	done := make(chan error)
	go func() { // joined below
		runtime.LockOSThread() // and never unlocked
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0))
		if errno != 0 {
			done <- errno
			return
		}
		done <- f()
	}()
	return <-done
}

// Where the mode of the socket keeps nobody out, the process does.
func TestControlSocketRefusesOthers(t *testing.T) {
	need(t, hosttest.Root())
	dir := impostor(t, func(*bufio.Writer) {})
	path := filepath.Join(dir, "open")
	plain, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for _, p := range []string{dir, path} {
		if err := os.Chmod(p, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	var log strings.Builder
	l := ownListener{plain, newLogger(&log, slog.LevelWarn)}
	var theirs net.Conn
	if err := asUser(65534, func() (err error) {
		theirs, err = net.Dial("unix", path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	ours, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if uid, err := peerOf(c); uid != 0 || err != nil {
		t.Errorf("user %d was let in, %v", uid, err)
	}
	if b, err := io.ReadAll(theirs); len(b) > 0 || err != nil {
		t.Errorf("the other user got %q, %v", b, err)
	}
	if !strings.Contains(log.String(), "another user was refused") {
		t.Errorf("log: %s", log.String())
	}
}

// TestOlderProcessIsTold: a process that knows no such request is told of in one line by every
// command that asks it.
func TestOlderProcessIsTold(t *testing.T) {
	dir := olderSocket(t)
	for _, args := range [][]string{{"stop", dir}, {"pause", dir}, {"limit", dir}, {"reload", dir}, {"first", dir, "x"}, {"wait", dir, "--timeout=30s"}, {"log", dir}} {
		var out, errs strings.Builder
		code := run(t.Context(), args, stdio{in: strings.NewReader(""), out: &out, err: &errs})
		if code != exitFailed || out.Len() > 0 || strings.Count(errs.String(), "\n") != 1 || !strings.Contains(errs.String(), "is of an older version, which cannot do this; stop it and start it again") {
			t.Errorf("%q: exit code %d, %s%s", args, code, out.String(), errs.String())
		}
	}
}

// TestOtherProgramIsTold: of a program on the socket that is no dlfs, every command that asks it
// says so in one line of its own words, and what to do.
func TestOtherProgramIsTold(t *testing.T) {
	for _, says := range []string{`{}`, `null`, `[]`, `-5`, `"ok"`, `{"error":"no such thing"}`, `<html></html>`, "not\nthis"} {
		dir := impostor(t, func(w *bufio.Writer) { w.WriteString(says) })
		for _, args := range [][]string{
			{"status", dir}, {"status", "--json", dir}, {"wait", dir, "--timeout=30s"}, {"log", dir}, {"web", dir},
			{"reload", dir}, {"stop", dir}, {"pause", dir}, {"resume", dir}, {"limit", dir}, {"limit", dir, "5M"},
			{"limit", dir, "--disk=5G"}, {"first", dir, "x"}, {"retry", dir}, {"pin", dir, "x"}, {"unpin", dir, "x"}, {"evict", dir, "x"},
		} {
			var out, errs strings.Builder
			code := run(t.Context(), args, stdio{in: strings.NewReader(""), out: &out, err: &errs})
			want := "dlfs: " + dir + ": what the process there answers is no answer of dlfs; end that process, and start dlfs again\n"
			if code != exitFailed || out.Len() > 0 || errs.String() != want {
				t.Errorf("%q of %q: exit code %d, %s%s", args, says, code, out.String(), errs.String())
			}
		}
	}
}
