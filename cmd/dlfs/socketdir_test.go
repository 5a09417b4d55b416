package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSocketElsewhere: a control socket that the state directory cannot have is in
// the runtime directory, and a process that has the output directory finds it there, unless
// others may write to the runtime directory.
func TestSocketElsewhere(t *testing.T) {
	runtimeDir, err := os.MkdirTemp("", "dlfs") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(runtimeDir) })
	t.Setenv("XDG_RUNTIME_DIR", runtimeDir)
	out := t.TempDir()
	if err := os.Mkdir(filepath.Join(out, ".dlfs"), 0o700); err != nil {
		t.Fatal(err)
	}
	state, err := os.Open(filepath.Join(out, ".dlfs"))
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	l, path, err := listenElsewhere(state)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(filepath.Dir(path)) != runtimeDir {
		t.Errorf("the socket is %s", path)
	}
	asked := make(chan string, 10)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked <- r.URL.Path })}
	served := make(chan struct{})
	go func() { // joined below
		defer close(served)
		server.Serve(l)
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
		if _, err := os.Lstat(path); err == nil {
			t.Error("the socket stays")
		}
	})
	pause := func() (code int, said string) {
		var stdout, stderr strings.Builder
		code = run(t.Context(), []string{"pause", out}, stdio{out: &stdout, err: &stderr})
		return code, stderr.String()
	}
	if code, said := pause(); code != exitOK || len(asked) != 2 {
		t.Errorf("exit code %d, %d requests, said %s", code, len(asked), said)
	}
	if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if code, said := pause(); code != exitFailed || !strings.Contains(said, "no dlfs is running") || len(asked) != 2 {
		t.Errorf("in a directory of everybody: exit code %d, %d requests, said %s", code, len(asked), said)
	}
}

// TestControlMovesElsewhere: the path that a mount tells others is that of the
// socket, wherever it is.
func TestControlMovesElsewhere(t *testing.T) {
	runtimeDir, err := os.MkdirTemp("", "dlfs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(runtimeDir) })
	t.Setenv("XDG_RUNTIME_DIR", runtimeDir)
	c := &control{}
	l, err := c.listenElsewhere(filepath.Join(t.TempDir(), socketName))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("unix", c.path())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
