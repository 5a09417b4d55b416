package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"dlfs/fetch"
	"dlfs/fs"
)

// demoCmd shows dlfs at work on an origin of its own. The help of each field is what a user
// reads.
type demoCmd struct {
	Rate int `default:"2" placeholder:"MIB" help:"MiB a second the demo's origin sends on each connection."`
	progressFlags
	logFlags
}

// demoFile is one file of the demo's origin.
type demoFile struct {
	name string
	body []byte
}

// Run starts an origin on loopback, mounts a list of its files, reads from the middle
// of one that is not there yet, waits for the rest, and verifies it. Everything lies in
// a temporary directory, which is removed at the end. The error says which of these
// steps failed.
func (c *demoCmd) Run(ctx context.Context, std stdio) (err error) {
	if c.Rate < 1 {
		return &exitError{exitUsage, errors.New("--rate must be at least 1")}
	}
	tmp, err := os.MkdirTemp("", "dlfs-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	files := demoFiles()
	base, stop, err := serveDemo(files, int64(c.Rate)<<20)
	if err != nil {
		return err
	}
	defer stop()
	list := demoList(files, base)
	path, dir := filepath.Join(tmp, "list.txt"), filepath.Join(tmp, "data")
	if err := os.WriteFile(path, list, 0o600); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "An origin on %s has %d files, %s in all. A list of them begins:\n\n", base, len(files), bytesText(demoSize(files)))
	for _, line := range strings.SplitN(string(list), "\n", 4)[:3] {
		fmt.Fprintln(std.out, "    "+strings.ReplaceAll(line, "\t", "  "))
	}
	// From here on the list is mounted by this process, in the same way as a user's list.
	if err := c.materialize(ctx, std, path, dir, files); err != nil {
		return err
	}
	return verifyDemo(std.out, dir, files)
}

// materialize mounts the list, has peek read from the mount, and waits until every file is
// complete. On a machine without FUSE it fetches the list instead, and says so.
func (c *demoCmd) materialize(ctx context.Context, std stdio, path, dir string, files []demoFile) error {
	m := mountCmd{List: path, Mountpoint: dir, Prefetch: string(fetch.PrefetchAll), UntilComplete: true, ReadTimeout: time.Minute}
	var err error
	if m.workFlags, err = c.flags(); err != nil {
		return err
	}
	w, err := m.begin(ctx, std, path, dir)
	if err != nil {
		return err
	}
	defer w.end()
	list, err := w.lister.readSome(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "\n$ dlfs mount list.txt %s\n", dir)
	// peek runs once the mount is live. If both peek and the mount fail, both errors are told.
	if err = m.prepare(); err == nil {
		var peeked error
		err = m.serve(ctx, w, list.Entries, std, func(string) {
			peeked = peek(ctx, std, dir, files[len(files)-1])
		})
		if err = errors.Join(err, peeked); err == nil {
			fmt.Fprintf(std.out, "\nEverything was there, so dlfs unmounted itself. What is left is an ordinary directory.\n")
		}
	}
	// Only what keeps this machine from mounting at all leads to a fetch; other errors are told.
	if why := new(fs.UnavailableError); errors.As(err, &why) {
		fmt.Fprintf(std.out, "\nThere is no FUSE to be had here: %v.\nSo the same list is fetched without a mount:\n\n$ dlfs fetch list.txt %s\n", why, dir)
		return c.fetch(ctx, std, path, dir, m.workFlags)
	}
	return err
}

// fetch fetches the list with the flags of the mount. The flags that a mount does not have
// get the defaults of the command line, without which fetch refuses some of them.
func (c *demoCmd) fetch(ctx context.Context, std stdio, path, dir string, flags workFlags) error {
	f := fetchCmd{List: path, Dir: dir, AdoptPartial: true, workFlags: flags}
	for _, of := range []any{&f.runFlags, &f.peerFlags} {
		if err := kong.ApplyDefaults(of); err != nil {
			return err
		}
	}
	return f.Run(ctx, std)
}

// flags returns the flags of a mount with the defaults of the command line, except
// netrc: the demo needs no login, and no secret of the user is to be sent to it.
func (c *demoCmd) flags() (workFlags, error) {
	var f workFlags
	if err := kong.ApplyDefaults(&f, requestDefaults()); err != nil {
		return f, err
	}
	f.NoNetrc, f.progressFlags, f.logFlags = true, c.progressFlags, c.logFlags
	return f, nil
}

// peek lists the mount with ls and reads a piece from the middle of the last file with
// dd, and compares the piece. It does so through other processes, because a process
// that waits for its own mount may wait for ever.
func peek(ctx context.Context, std stdio, dir string, f demoFile) error {
	ls, err := exec.CommandContext(ctx, "ls", dir).Output()
	if err != nil {
		return fmt.Errorf("ls %s: %w", dir, err)
	}
	fmt.Fprintf(std.out, "\n$ ls %s\n%s", dir, ls)
	const piece = 4096
	skip := len(f.body) / 2 / piece
	args := []string{"if=" + filepath.Join(dir, f.name), "bs=4096", fmt.Sprintf("skip=%d", skip), "count=1", "status=none"}
	start := time.Now()
	got, err := exec.CommandContext(ctx, "dd", args...).Output()
	if err != nil {
		return fmt.Errorf("dd %s: %w", strings.Join(args, " "), err)
	}
	took := time.Since(start)
	if !bytes.Equal(got, f.body[skip*piece:(skip+1)*piece]) {
		return fmt.Errorf("the middle of %s is wrong", f.name)
	}
	fmt.Fprintf(std.out, "\n$ dd %s\n\nThe middle of a file, no byte of it fetched before, took %v: one request for\njust that block. Meanwhile everything is fetched in the background:\n\n",
		strings.Join(args, " "), took.Round(time.Millisecond))
	return nil
}

// verifyDemo compares the SHA-256 of each file in the directory with that of the
// origin's file.
func verifyDemo(w io.Writer, dir string, files []demoFile) error {
	for _, f := range files {
		got, err := os.ReadFile(filepath.Join(dir, f.name))
		if err != nil {
			return err
		}
		if sha256.Sum256(got) != sha256.Sum256(f.body) {
			return fmt.Errorf("checksum of %s is wrong", f.name)
		}
	}
	_, err := fmt.Fprintf(w, "The SHA-256 of all %d files is right. The temporary directory is removed.\n", len(files))
	return err
}

// demoFiles makes three dozen files, the same at every run.
func demoFiles() []demoFile {
	r := rand.New(rand.NewPCG(1, 2))
	random := rand.NewChaCha8([32]byte{1})
	files := make([]demoFile, 36)
	for i := range files {
		body := make([]byte, 200<<10+r.IntN(3<<20))
		random.Read(body) // never fails
		files[i] = demoFile{fmt.Sprintf("%s/%03d.bin", []string{"train", "test", "extra"}[i%3], i), body}
	}
	return files
}

// demoSize returns the sum of the sizes of the files, in bytes.
func demoSize(files []demoFile) (n int64) {
	for _, f := range files {
		n += int64(len(f.body))
	}
	return n
}

// demoList returns a list of the files: a table with a heading, parted by TABs.
func demoList(files []demoFile, base string) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, "file_name\tcdn_link")
	for _, f := range files {
		fmt.Fprintf(&b, "%s\t%s/%s\n", f.name, base, f.name)
	}
	return b.Bytes()
}

// serveDemo serves the files on a free port of the loopback, each connection at rate
// bytes a second, with an ETag for each file and support for ranges. stop ends the
// server and waits for it.
func serveDemo(files []demoFile, rate int64) (base string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	byPath := map[string]demoFile{}
	for _, f := range files {
		byPath["/"+f.name] = f
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := byPath[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		// The name is a good ETag here: a file of the demo never changes under its name.
		w.Header().Set("ETag", fmt.Sprintf("%q", f.name))
		http.ServeContent(slowWriter{w, r.Context(), rate}, r, "", time.Unix(1e9, 0), bytes.NewReader(f.body))
	})}
	done := make(chan struct{})
	go func() { // owned by serveDemo's caller, who calls stop
		defer close(done)
		server.Serve(l) // returns http.ErrServerClosed
	}()
	return "http://" + l.Addr().String(), func() { server.Close(); <-done }, nil
}

// slowWriter writes at rate bytes a second.
type slowWriter struct {
	http.ResponseWriter
	ctx  context.Context
	rate int64
}

// Write sends p at the rate, in small pieces, and ends early when the client has gone.
func (w slowWriter) Write(p []byte) (n int, err error) {
	const piece = 32 << 10
	for len(p) > 0 && err == nil {
		k, err2 := w.ResponseWriter.Write(p[:min(piece, len(p))])
		n, p, err = n+k, p[k:], err2
		t := time.NewTimer(time.Duration(int64(k) * int64(time.Second) / w.rate))
		select {
		case <-t.C:
		case <-w.ctx.Done():
			t.Stop()
			return n, w.ctx.Err()
		}
	}
	return n, err
}
