package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// cacheConfig is the configuration of nginx as a cache: the verbs are its directory,
// the address it listens at, the URL of the origin, and a line with the user of the
// workers.
const cacheConfig = `daemon off; worker_processes 1; pid %[1]s/pid; error_log stderr error; %[4]s
events { worker_connections 1024; }
http {
	access_log off; keepalive_requests 1000000;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	proxy_cache_path %[1]s/cache keys_zone=all:10m max_size=100g inactive=1d;
	server {
		listen %[2]s;
		location / {
			slice 1m; proxy_cache all; proxy_cache_key $uri$slice_range; proxy_cache_valid 200 206 1h; proxy_cache_lock on;
			proxy_set_header Range $slice_range; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass %[3]s;
		}
	}
}
`

// behindCache has all machines fetch from an nginx that caches slices, on a machine of its own
// with a link like theirs. Its cache is empty at first.
func (f *fleet) behindCache(ctx context.Context, round int) (got sample, err error) {
	stage := &stage{bench: f.s.bench} // it ends before the row does
	defer func() { err = errors.Join(err, stage.end()) }()
	if err := stage.add(ctx, f.star, starCache, mbit(f.link), mbit(f.link)); err != nil {
		return nil, err
	}
	dir, err := stage.dir(f.home)
	if err != nil {
		return nil, err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	addr := address(starCache) + ":8080"
	config, err := write(dir, "nginx.conf", func(out io.Writer) { fmt.Fprintf(out, cacheConfig, dir, addr, f.origin.url, user) })
	if err != nil {
		return nil, err
	}
	said := new(tail)
	cmd := command(ctx, stage.tools.nginx, "-c", config, "-e", "stderr", "-p", dir)
	into(f.star.of(starCache)).apply(cmd)
	cmd.Stderr = said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // the master stops its workers
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	got, err = f.run(ctx, round, fleetSize, "http://"+addr)
	if err != nil {
		err = fmt.Errorf("%w: %s", err, said)
	}
	err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM))
	cmd.Wait() // it was told to end
	return got, err
}
