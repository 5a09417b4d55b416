package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// web is nginx on loopback, for the whole run, with its files in memory.
type web struct {
	url    string
	told   string // the same files, at a port where what is sent is counted
	secure string // the same, over TLS 1.3 and counted, too
	root   string
	dir    string
	cmd    *exec.Cmd
}

// webConfig is the configuration of nginx: the verbs are its directory, the three
// addresses (plain, counted, and TLS), and a line with the user of the workers.
const webConfig = `daemon off; worker_processes 1; pid %[1]s/pid; error_log stderr error; %[4]s
events { worker_connections 1024; }
http {
	log_format sent $bytes_sent; access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	server { listen %[2]s; root %[1]s/root; autoindex on; default_type application/octet-stream; }
	server { listen %[3]s; root %[1]s/root; access_log %[1]s/sent sent; default_type application/octet-stream; }
	server {
		listen %[5]s ssl http2; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_protocols TLSv1.3;
		root %[1]s/root; access_log %[1]s/sent sent; default_type application/octet-stream;
	}
}
`

// serve has nginx serve the load, and returns its URL. It starts nginx if need
// be.
func (b *bench) serve(ctx context.Context, l load) (string, error) {
	if b.web == nil {
		w, err := startWeb(ctx, b.tools.nginx, b.mem)
		if err != nil {
			return "", err
		}
		b.web = w
	}
	return b.web.url, l.store(b.web.root)
}

// startWeb starts nginx in a new directory below base and waits until it listens. The
// caller calls close. After an error nothing is left of it.
func startWeb(ctx context.Context, nginx, base string) (_ *web, err error) {
	w := &web{}
	if w.dir, err = os.MkdirTemp(base, "dlfs-bench-web-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(w.dir))
		}
	}()
	if err := os.Chmod(w.dir, 0o755); err != nil {
		return nil, err
	}
	w.root = filepath.Join(w.dir, "root")
	if err := os.Mkdir(w.root, 0o755); err != nil {
		return nil, err
	}
	var at [3]string
	for i := range at {
		if at[i], err = freeAddr(); err != nil {
			return nil, err
		}
	}
	w.url, w.told, w.secure = "http://"+at[0], "http://"+at[1], "https://"+at[2]
	if err := certify(w.dir, "127.0.0.1"); err != nil {
		return nil, err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	config, err := write(w.dir, "nginx.conf", func(out io.Writer) { fmt.Fprintf(out, webConfig, w.dir, at[0], at[1], user, at[2]) })
	if err != nil {
		return nil, err
	}
	said := new(tail)
	w.cmd = command(ctx, nginx, "-c", config, "-e", "stderr", "-p", w.dir)
	w.cmd.Stderr = said
	w.cmd.Cancel = func() error { return w.cmd.Process.Signal(syscall.SIGTERM) } // the master stops its workers
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	if err := answers(ctx, at[0]); err != nil {
		return nil, errors.Join(fmt.Errorf("nginx: %w: %s", err, said), w.kill())
	}
	return w, nil
}

// answers waits until a server listens at addr.
func answers(ctx context.Context, addr string) error {
	return poll(ctx, 5*time.Millisecond, 10*time.Second, "no server listens at "+addr, func() (bool, error) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return false, nil // not yet
		}
		return true, conn.Close()
	})
}

// sent is how many bytes nginx has written to connections of its counted port, headers
// included. It blocks until nginx has had time to notice the end of the last one.
func (w *web) sent(ctx context.Context) (all int64, err error) {
	if err := wait(ctx, 300*time.Millisecond); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(filepath.Join(w.dir, "sent"))
	for _, line := range strings.Fields(string(text)) {
		n, err := strconv.ParseInt(line, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("log of nginx: %w", err)
		}
		all += n
	}
	return all, err
}

// freeAddr returns a local address that was free a moment ago. Another program may take
// it before nginx does; nginx then fails to start, and the row fails.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// kill ends nginx and waits for it.
func (w *web) kill() error {
	err := w.cmd.Process.Signal(syscall.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	w.cmd.Wait() // it may have been killed, which is no matter now
	return err
}

// close ends nginx and removes its files.
func (w *web) close() error { return errors.Join(w.kill(), os.RemoveAll(w.dir)) }
