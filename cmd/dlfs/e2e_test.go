package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dlfs/cache/hosttest"
)

// A server is a real HTTP server over a directory.
type server struct {
	name  string
	tools []string
	start func(t *testing.T, root string) (base string)
}

var servers = []server{
	{"nginx", []string{"nginx"}, startNginx},
	{"python", []string{"python3"}, startPython}, // HTTP/1.0, no ranges
}

// startNginx serves root with keep-alive and ranges.
func startNginx(t *testing.T, root string) string {
	addr := freeAddr(t)
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // the test's directories are its user's alone
	}
	write(t, conf, fmt.Appendf(nil, `%[4]s daemon off; pid %[1]s/pid; error_log %[1]s/error.log; worker_processes 1;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p;
  fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server { listen %[2]s; root %[3]s; }
}
`, dir, addr, root, user))
	start(t, exec.CommandContext(t.Context(), "nginx", "-e", filepath.Join(dir, "error.log"), "-c", conf), addr)
	return "http://" + addr
}

// startPython serves root with a server that knows no ranges.
func startPython(t *testing.T, root string) string {
	addr := freeAddr(t)
	host, port, _ := strings.Cut(addr, ":")
	start(t, exec.CommandContext(t.Context(), "python3", "-m", "http.server", "--bind", host, "--directory", root, port), addr)
	return "http://" + addr
}

// freeAddr returns a loopback address nobody listens on.
func freeAddr(t *testing.T) string {
	hosttest.Need(t, hosttest.Loopback())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs a server until the test ends, and returns once it answers.
func start(t *testing.T, cmd *exec.Cmd, addr string) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { // ends with the server
		cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-exited
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if resp, err := http.Get("http://" + addr + "/"); err == nil {
			resp.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-exited:
			t.Fatalf("%v ended: %s", cmd.Args, out.Bytes())
		}
	}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

// sh runs a shell script in dir and fails the test if it fails.
func sh(t *testing.T, dir, script string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// mounted runs "dlfs mount ARGS LIST MNT --daemon" and stops it at the end.
func mounted(t *testing.T, dir string, args ...string) (mnt string) {
	t.Helper()
	mnt = filepath.Join(dir, "mnt")
	cmd := dlfs(t, append([]string{"mount", "--daemon", filepath.Join(dir, "list.txt"), mnt}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mount: %v\n%s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", mnt).Run() }) // fails if it is gone already
	return mnt
}

func umount(t *testing.T, mnt string) {
	t.Helper()
	if out, err := dlfs(t, "umount", mnt).CombinedOutput(); err != nil {
		t.Fatalf("umount: %v\n%s", err, out)
	}
}

// tree makes files that ordinary tools understand, and a list of them in the
// seed's shape. It returns the names.
func tree(t *testing.T, dir, root string) []string {
	random := rand.NewChaCha8([32]byte{2})
	for name, size := range map[string]int{
		"data/random.bin": 9_000_001, "data/Ünïcode name: 1.bin": 70_001, "empty": 0, "one": 1, "block": 65536,
		"in/a.bin": 1_234_567, "in/b.bin": 65537,
	} {
		b := make([]byte, size)
		random.Read(b) // never fails
		write(t, filepath.Join(root, name), b)
	}
	sh(t, root, `
		tar cf archive.tar in
		(cd in && zip -q -r ../archive.zip .)
		sqlite3 base.db "create table t(i integer primary key, s text);
			with recursive n(i) as (select 1 union all select i+1 from n where i < 50000)
			insert into t select i, hex(randomblob(40)) from n;"
		find . -type f ! -name SHA256SUMS -printf '%P\0' | sort -z | xargs -0 sha256sum > `+filepath.Join(dir, "SHA256SUMS"))
	var names []string
	for line := range strings.Lines(sh(t, root, `find . -type f -printf '%P\n' | sort`)) {
		names = append(names, strings.TrimSpace(line))
	}
	return names
}

// listOf writes dir/list.txt.
func listOf(t *testing.T, dir, base string, names []string) {
	var b strings.Builder
	b.WriteString("file_name\tcdn_link\r\n")
	for i, name := range names {
		escaped := strings.NewReplacer(" ", "%20", "Ü", "%C3%9C", "ï", "%C3%AF").Replace(name)
		fmt.Fprintf(&b, "%s\t%s/%s?oe=645478A8&n=%d\r\n", name, base, escaped, i)
	}
	write(t, filepath.Join(dir, "list.txt"), []byte(strings.TrimSuffix(b.String(), "\r\n")))
}

// TestTools reads a mount with ordinary tools while prefetch runs, against real
// servers, and then the directory that is left.
func TestTools(t *testing.T) {
	need(t, canMount())
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			for _, tool := range append(s.tools, "sqlite3", "zip", "unzip", "tar", "python3") {
				_, err := exec.LookPath(tool)
				need(t, err)
			}
			dir, root := t.TempDir(), t.TempDir()
			names := tree(t, dir, root)
			listOf(t, dir, s.start(t, root), names)
			mnt := mounted(t, dir)
			useTools(t, mnt, root)
			sh(t, mnt, `sha256sum -c --quiet `+filepath.Join(dir, "SHA256SUMS"))
			umount(t, mnt)
			if out, err := dlfs(t, "fetch", filepath.Join(dir, "list.txt"), mnt).CombinedOutput(); err != nil {
				t.Fatalf("fetch: %v\n%s", err, out)
			}
			sh(t, mnt, `sha256sum -c --quiet `+filepath.Join(dir, "SHA256SUMS"))
			if got := strings.Fields(sh(t, mnt, `find . -name .dlfs -prune -o -type f -print`)); len(got) < len(names) {
				t.Errorf("directory has %d files, want %d", len(got), len(names))
			}
		})
	}
}

func useTools(t *testing.T, mnt, root string) {
	t.Helper()
	if got, want := sh(t, mnt, `find . -type f -printf '%P %s\n' | sort`), sh(t, root, `find . -type f -printf '%P %s\n' | sort`); got != want {
		t.Errorf("find on the mount: %s, want %s", got, want)
	}
	both := func(script string) {
		t.Helper()
		if got, want := sh(t, mnt, script), sh(t, root, script); got != want {
			t.Errorf("%s: got %.200q, want %.200q", script, got, want)
		}
	}
	both(`tail -c 1000 data/random.bin | sha256sum`)
	both(`dd if=data/random.bin bs=4096 skip=1000 count=3 status=none | sha256sum`)
	both(`tar tf archive.tar`)
	both(`tar xOf archive.tar in/b.bin | sha256sum`)
	both(`unzip -p archive.zip a.bin | sha256sum`)
	both(`unzip -tq archive.zip | tail -1`)
	both(`sqlite3 'file:base.db?mode=ro&immutable=1' 'select count(*), max(length(s)) from t; select s from t where i = 31337'`)
	both(`cat data/*.bin | sha256sum`)
	both(`head -c 5 one empty block | sha256sum`)
	both(`python3 -c 'import mmap,hashlib
with open("in/a.bin","rb") as f:
    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
    print(hashlib.sha256(m[700000:]).hexdigest(), hashlib.sha256(m).hexdigest())'`)
	sh(t, mnt, `d=$(mktemp -d); cp -r --preserve=timestamps . $d/copy; diff -r $d/copy `+root+`; rm -r $d`)
	sh(t, mnt, `cmp data/random.bin `+filepath.Join(root, "data/random.bin"))
	sh(t, mnt, `! touch x 2>/dev/null && ! rm one 2>/dev/null && ! sh -c 'echo > one' 2>/dev/null`)
}

// kill ends the process that serves a mount, with SIGKILL.
func kill(t *testing.T, mnt string) {
	t.Helper()
	s, err := askStatus(t.Context(), mnt)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := waitGone(t.Context(), s.PID); err != nil {
		t.Fatal(err)
	}
}

// TestKilledMount kills the process at work, with SIGKILL, and goes on.
func TestKilledMount(t *testing.T) {
	need(t, canMount())
	_, err := exec.LookPath("nginx")
	need(t, err)
	dir, root := t.TempDir(), t.TempDir()
	random := rand.NewChaCha8([32]byte{3})
	var names, sums []string
	for i := range 12 {
		name := fmt.Sprintf("d%d/f%02d", i%3, i)
		b := make([]byte, 3_000_000+i*500_001)
		random.Read(b) // never fails
		write(t, filepath.Join(root, name), b)
		names, sums = append(names, name), append(sums, fmt.Sprintf("%x  %s\n", sha256.Sum256(b), name))
	}
	write(t, filepath.Join(dir, "SHA256SUMS"), []byte(strings.Join(sums, "")))
	listOf(t, dir, startNginx(t, root), names)
	for range 5 {
		mnt := mounted(t, dir)
		sh(t, mnt, `tail -c 100000 d1/f04 | cmp - <(tail -c 100000 `+filepath.Join(root, "d1/f04")+`)`)
		kill(t, mnt)
	}
	mnt := mounted(t, dir)
	sh(t, mnt, `sha256sum -c --quiet `+filepath.Join(dir, "SHA256SUMS"))
	umount(t, mnt)
	sh(t, mnt, `sha256sum -c --quiet `+filepath.Join(dir, "SHA256SUMS"))
}
