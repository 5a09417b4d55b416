package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dlfs/fetch/origintest"
)

// canary stands for every secret: in the query, user and password of URLs, a
// header, a cookie, a token, a netrc, a proxy, and the redirects and cookies of
// an origin. What is looked for is a part of it, and what Basic makes of it.
// Whoever may send the process SIGQUIT is shown its stacks, which is its user
// alone, and is left out.
const canary = "CANARY7f3a"

// canaryRun is dlfs at work among secrets.
type canaryRun struct {
	t       *testing.T
	dir     string // holds all of it
	origin  *origintest.Origin
	base    string // of the origin, with a user and a password
	env     []string
	outputs int
}

func newCanaryRun(t *testing.T) *canaryRun {
	o := origintest.New()
	for i, name := range []string{"/good.bin", "/away.bin", "/cut.bin", "/moved.bin"} {
		o.Put(name, origintest.File{Content: origintest.Content{Seed: uint64(i), Size: 300_000}})
	}
	base := o.Serve(t)
	cdn := strings.Replace(base, "127.0.0.1", "u"+canary+":"+canary+"@localhost", 1)
	o.Inject(
		origintest.Header("Set-Cookie", "session="+canary+"; Path=/").On("/*.bin"),
		origintest.Redirect(302, cdn+"/moved.bin?sig="+canary).On("/away.bin"),
		origintest.Redirect(302, "http://u:"+canary+"@host:"+canary+"/x").On("/badport.bin"),
		origintest.Redirect(302, "ftp://u:"+canary+"@host/"+"?"+canary).On("/ftp.bin"),
		origintest.Status(403).On("/dead.bin"),
		origintest.Status(500).On("/broken.bin"),
		origintest.CutAfter(1000).On("/cut.bin").Times(2),
		origintest.WrongContentRange("bytes 5-6/7").On("/odd.bin"),
	)
	c := &canaryRun{t: t, origin: o, dir: t.TempDir(), base: strings.Replace(base, "://", "://u"+canary+":"+canary+"@", 1)}
	c.env = append(os.Environ(),
		"HOME="+c.dir, "DLFS_HEADER=X-Secret: "+canary, "DLFS_LOAD_COOKIES="+c.path("cookies.txt"), "DLFS_TRIES=2", "DLFS_RETRY_WAIT=1ms",
		"TOKEN="+canary, "DLFS_BEARER_ENV=TOKEN", "DLFS_REFERER=http://referer/?"+canary)
	c.write(".netrc", "machine 127.0.0.1 login "+canary+" password "+canary+"\nmachine localhost login u password "+canary+"\n")
	c.write("cookies.txt", "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\t"+canary+"\n")
	c.list("list.txt", "good", "away", "badport", "ftp", "dead", "broken", "cut", "none")
	return c
}

func (c *canaryRun) path(name string) string { return filepath.Join(c.dir, name) }

func (c *canaryRun) write(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(c.path(name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// list writes a list of these files, with every secret a URL can have, and one
// header of its own.
func (c *canaryRun) list(file string, names ...string) {
	c.t.Helper()
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "{\"name\":%q,\"url\":\"%s/%s.bin?sig=%s#%s\",\"headers\":{\"X-Own\":%q}}\n", name+".bin", c.base, name, canary, canary, canary)
	}
	c.write(file, b.String())
}

// run runs dlfs and checks all that it prints. It returns that.
func (c *canaryRun) run(args ...string) string {
	c.t.Helper()
	return c.runIn(c.env, args...)
}

func (c *canaryRun) runIn(env []string, args ...string) string {
	c.t.Helper()
	cmd := dlfs(c.t, args...)
	cmd.Env, cmd.Dir = env, c.dir
	out, err := cmd.CombinedOutput()
	if code := exitCode(err); code < 0 {
		c.t.Fatalf("%q: %v\n%s", args, err, out)
	}
	if len(out) == 0 && args[0] != "pause" && args[0] != "resume" && args[0] != "umount" && args[0] != "limit" {
		c.t.Errorf("%q says nothing", args)
	}
	c.wantNone(fmt.Sprintf("output of %q", args), out)
	return string(out)
}

// wantNone checks that nothing of it is secret.
func (c *canaryRun) wantNone(what string, text []byte) {
	c.t.Helper()
	c.outputs++
	basic := base64.StdEncoding.EncodeToString([]byte("u" + canary + ":" + canary))
	for _, secret := range []string{canary[:8], basic[:12]} {
		if i := bytes.Index(text, []byte(secret)); i >= 0 {
			c.t.Errorf("%s tells a secret: …%q", what, text[max(0, i-100):min(len(text), i+40)])
		}
	}
}

// wantNoneUnder checks every file of a directory, raw, and its name.
func (c *canaryRun) wantNoneUnder(dir string) {
	c.t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d iofs.DirEntry, err error) error {
		c.wantNone("name of "+path, []byte(path))
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		c.wantNone(path, text)
		return err
	})
	if err != nil || files == 0 {
		c.t.Errorf("%d files of %s: %v", files, dir, err)
	}
}

func (c *canaryRun) wantMode(path string, want os.FileMode) {
	c.t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		c.t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		c.t.Errorf("%s is %v, want %v", path, got, want)
	}
}

// wantSent checks that the secrets were at work.
func (c *canaryRun) wantSent() {
	c.t.Helper()
	for _, r := range c.origin.Log() {
		h := r.Header
		if r.Path == "/good.bin" && h.Get("X-Secret") == canary && h.Get("X-Own") == canary && strings.Contains(h.Get("Cookie"), canary) &&
			strings.HasPrefix(h.Get("Authorization"), "Basic ") && strings.Contains(h.Get("Referer"), canary) {
			return
		}
	}
	c.t.Errorf("no request carried the secrets: %v", c.origin.Headers("/good.bin"))
}

// TestSecretsOfAFetch looks for secrets in all that commands without a mount
// print and leave, as talkative as they get.
func TestSecretsOfAFetch(t *testing.T) {
	c := newCanaryRun(t)
	for _, progress := range []string{"line", "json"} {
		said := c.run("fetch", "-vv", "--progress", progress, "--save-failed", "failed.txt", "list.txt", "out")
		if !strings.Contains(said, " debug request method=GET url=") {
			t.Errorf("no request is logged: %s", said)
		}
	}
	c.wantSent()
	c.wantMode(c.path("out/.dlfs"), 0o700)
	c.wantMode(c.path("failed.txt"), 0o600)
	if saved, err := os.ReadFile(c.path("failed.txt")); err != nil || !bytes.Contains(saved, []byte("sig="+canary)) {
		t.Errorf("what is saved cannot be run again: %v", err) // its URLs are what it is for
	}
	c.wantNoneUnder(c.path("out"))
	c.run("status", "out")
	c.run("status", "--json", "out")
	c.run("verify", "-n", "out")
	c.run("verify", "--repair", "-vv", "out")
	c.run("check", "-vv", "list.txt")
	c.run("fetch", "-n", "-vv", "list.txt", "other")
	c.run("fetch", "-vv", "--name-from=content-disposition", "list.txt", "named")
	c.run("fetch", "-vv", c.base+"/list.json?sig="+canary, "remote")
	c.run("fetch", "-vv", c.base+"/none?%zz"+canary, "remote")
	c.run("fetch", "-vv", "http://u:"+canary+"/word@host/?"+canary, "remote")

	for name, text := range map[string]string{
		"a line":    "a\thttp://u:" + canary + "@h/?sig=" + canary + " trailing\nb\thttp://h:" + canary + "/\nc\tftp://u:" + canary + "@h\n",
		"csv":       "name,url\n\"a,http://u:" + canary + "@h/?" + canary + "\n",
		"json":      `{"name":"a","url":"http://u:` + canary + `@h:x/?` + canary + `","headers":{"X":"` + canary + `\n"}}` + "\n" + `{"url":"` + canary,
		"aria2":     "http://u:" + canary + "@h/a?" + canary + "\n header=X: " + canary + "\x01\n out=../x\n",
		"metalink":  "<metalink><file name=\"a\"><url>http://u:" + canary + "@h:x/" + canary + "</url></file><file name=\"" + "b\"><url>ftp://" + canary + "</url>",
		"two URLs":  "a\thttp://h/1?" + canary + "\na\thttp://h/2?" + canary + "\n",
		"no scheme": "name\turl\na\tu:" + canary + "@h/x?" + canary + "\n",
	} {
		c.write("wrong.txt", text)
		if out := c.run("fetch", "-vv", "wrong.txt", "wrong"); !strings.Contains(out, "wrong.txt:") {
			t.Errorf("%s: %s", name, out)
		}
		c.run("check", "wrong.txt")
	}
	for _, env := range []string{
		"DLFS_PROXY=http://u:" + canary + "@127.0.0.1:1", "DLFS_PROXY=http://u:" + canary + "@:x y", "DLFS_PROXY=gopher://u:" + canary + "@h",
		"http_proxy=http://u:" + canary + "@127.0.0.1:1", "http_proxy=http://u:" + canary + "@[", "DLFS_HEADER=" + canary, "DLFS_HEADER=X: " + canary + "\x01",
		"TOKEN=" + canary + "\x01", "DLFS_BASE_URL=http://u:" + canary + "@h:x/",
	} {
		c.runIn(append(c.env, env), "fetch", "-vv", "list.txt", "proxied")
	}
	c.write(".netrc", "machine 127.0.0.1 login u password "+canary+" "+canary+"\nmachine\n")
	c.run("fetch", "-vv", "list.txt", "netrc")
	c.write("cookies.txt", canary+"\n127.0.0.1\t"+canary+"\n")
	c.run("fetch", "-vv", "list.txt", "cookies")
	t.Logf("looked in %d places", c.outputs)
}

// TestSecretsOfAMount looks for them while a daemon runs: in its answers, its
// attributes, its log, and what other users of the machine see of it.
func TestSecretsOfAMount(t *testing.T) {
	need(t, canMount())
	c := newCanaryRun(t)
	mnt := c.path("mnt")
	t.Cleanup(func() { exec.Command("umount", "-l", mnt).Run() }) // fails if it is gone already
	c.run("mount", "--daemon", "-vv", "--log-file", "log", "--dir", "out", "--read-timeout=5s", "list.txt", "mnt")
	entries, err := os.ReadDir(mnt)
	if err != nil || len(entries) != 8 {
		t.Fatal(len(entries), err)
	}
	attrs := 0
	for _, e := range entries {
		if f, err := os.Open(filepath.Join(mnt, e.Name())); err == nil {
			io.Copy(io.Discard, f) // some fail, which is to be told without secrets
			f.Close()
		}
		attrs += c.wantNoAttr(filepath.Join(mnt, e.Name()))
	}
	if attrs < 3*4 {
		t.Errorf("%d attributes", attrs)
	}
	for _, args := range [][]string{{"status", "mnt"}, {"status", "--json", "out"}, {"pause", "mnt"}, {"resume", "mnt"}, {"limit", "mnt", "5M"},
		{"fetch", "list.txt", "out"}, {"reload", "mnt"}, {"reload", "mnt", "none.txt"}, {"reload", "mnt", c.base + "/none?" + canary}} {
		c.run(args...)
	}
	c.list("fewer.txt", "good", "dead", "new")
	c.run("reload", "mnt", "fewer.txt")
	c.write("wrong.txt", "a\thttp://u:"+canary+"@h:x/?"+canary+"\n")
	c.run("reload", "mnt", "wrong.txt")

	c.wantSent()
	s, err := askStatus(t.Context(), mnt)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/status", "/limit", "/none"} {
		resp, err := ask(t.Context(), mnt, "GET", path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(resp)
		resp.close()
		if err != nil {
			t.Fatal(err)
		}
		c.wantNone("answer to "+path, answer)
	}
	// A secret in an argument is everybody's to see. Those that came by file or
	// environment must not have been made arguments for the daemon.
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.PID))
	if err != nil || len(line) == 0 {
		t.Fatal(err)
	}
	c.wantNone("command line", line)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	c.wantNone("mountinfo", mounts)
	c.wantMode(c.path("out/.dlfs"), 0o700)
	c.wantMode(c.path("out/.dlfs/control.sock"), 0o600)
	c.wantMode(c.path("log"), 0o600)
	c.wantNoneUnder(c.path("out"))
	c.run("umount", "mnt")
	log, err := os.ReadFile(c.path("log"))
	if err != nil || len(log) == 0 {
		t.Errorf("%d bytes of log: %v", len(log), err)
	}
	c.wantNone("log", log)
	c.wantNoneUnder(c.path("out"))
	t.Logf("looked in %d places", c.outputs)
}

// wantNoAttr checks the extended attributes of a file and returns how many there
// are: none of one that nothing is known of.
func (c *canaryRun) wantNoAttr(path string) (n int) {
	c.t.Helper()
	names := make([]byte, 4096)
	size, err := unix.Listxattr(path, names)
	if err != nil {
		return 0
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:size]), "\x00"), "\x00") {
		value := make([]byte, 4096)
		size, err := unix.Getxattr(path, name, value)
		if err != nil {
			c.t.Errorf("%s of %s: %v", name, path, err)
			continue
		}
		c.wantNone(name+" of "+path, value[:size])
		n++
	}
	return n
}
