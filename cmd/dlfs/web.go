package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"dlfs/cmd/dlfs/web"
	"dlfs/fs"
)

// webCmd serves the page for browsers. The help of each field is what a user reads.
type webCmd struct {
	Dirs []string `arg:"" optional:"" name:"dir" help:"Output directories or mountpoints to show. If none is given, all mounts of dlfs are shown."`

	Listen      string `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Where to listen; with port 0 a free one is taken (${default}). Other addresses than those of the loopback need TLS or a proxy."`
	TLSCert     string `name:"tls-cert" placeholder:"FILE" help:"Certificate in PEM, for TLS."`
	TLSKey      string `name:"tls-key" placeholder:"FILE" help:"Its key in PEM."`
	BehindProxy string `placeholder:"URL" help:"A proxy speaks TLS and hands requests on to --listen; URL is where browsers find the page."`
}

// Run serves the page until it is interrupted. It checks the flags and the directories
// before it listens, prints the address with its token on standard output, for programs
// and people, and a remark on standard error.
func (c *webCmd) Run(ctx context.Context, std stdio) error {
	log := newLogger(std.err, slog.LevelWarn)
	opts, err := c.options()
	if err != nil {
		return err
	}
	opts.Log = log
	sources, err := c.sources(log)
	if err != nil {
		return err
	}
	// Every source is closed, also those that are sorted out below.
	for _, s := range sources {
		defer s.close()
	}
	if sources, err = c.shown(ctx, sources, log); err != nil {
		return err
	}
	for _, s := range sources {
		opts.Sources = append(opts.Sources, web.Source{Name: s.dir, Ask: s.ask})
	}
	// With port 0 the address is known only after Listen, and so is the URL of the page (place).
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("the page cannot be served on %s: %w; give another address with --listen", c.Listen, reasonOf(err))
	}
	c.place(&opts, l.Addr())
	s := web.New(opts)
	if _, err := fmt.Fprintln(std.out, s.OpenURL()); err != nil && !errors.Is(err, syscall.EPIPE) {
		return errors.Join(err, l.Close()) // nobody could open the page without its address
	}
	fmt.Fprintln(std.err, "dlfs: open this address in a browser; its token lets anybody in who has it. Stop with Ctrl-C.")
	return s.Serve(ctx, l)
}

// reasonOf returns why a listener could not be had, without its address and the name of
// the system call, which the caller's message has or does not need.
func reasonOf(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err
}

// options checks the flags and returns what they say. Without TLS or a proxy the page is served
// on the loopback only, since its token would be readable on the network.
func (c *webCmd) options() (opts web.Options, err error) {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return opts, usageError("--listen=%s is no address; write one such as 127.0.0.1:8080", c.Listen)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return opts, usageError("--tls-cert and --tls-key belong together; give both")
	}
	if c.TLSCert != "" {
		cert, err := loadPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return opts, usageError("certificate %s: %w", c.TLSCert, err)
		}
		opts.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}
	}
	if c.BehindProxy != "" {
		if opts.URL, err = url.Parse(c.BehindProxy); err != nil || opts.URL.Host == "" || opts.URL.Scheme != "https" && opts.URL.Scheme != "http" {
			return opts, usageError("--behind-proxy=%s is no URL; write the one that browsers use, such as https://files.example/dlfs/", c.BehindProxy)
		}
		// What the page loads has addresses relative to the page, which need the slash.
		if !strings.HasSuffix(opts.URL.Path, "/") {
			opts.URL.Path += "/"
		}
	}
	if opts.TLS == nil && opts.URL == nil && !onLoopback(host) {
		return opts, usageError("--listen=%s is open to the network, where others could read along; give --tls-cert and --tls-key, or --behind-proxy", c.Listen)
	}
	return opts, nil
}

// onLoopback reports whether a host of --listen is an address of the loopback or
// "localhost". An empty host means every address of this machine and is not.
func onLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// place fills in where browsers find the page, now that its address is known, and which names a
// request may call this host by (opts.Hosts): a page of another site that resolves its own name to
// this address (DNS rebinding) is refused.
func (c *webCmd) place(opts *web.Options, at net.Addr) {
	_, port, _ := net.SplitHostPort(at.String()) // a listener's address has a port
	host, _, _ := net.SplitHostPort(c.Listen)    // checked before
	switch {
	case opts.URL != nil: // a proxy may say its own name or ours
		proxy := opts.URL.Host
		opts.Hosts = func(name string) bool { return strings.EqualFold(name, proxy) || name == at.String() }
	case opts.TLS != nil:
		// A browser compares the name in the address with the certificate, so the first name of the
		// certificate goes into the address. A name with * is no address.
		leaf := opts.TLS.Certificates[0].Leaf
		if len(leaf.DNSNames) > 0 && !strings.HasPrefix(leaf.DNSNames[0], "*") {
			host = leaf.DNSNames[0]
		}
		opts.URL = &url.URL{Scheme: "https", Host: net.JoinHostPort(host, port), Path: "/"}
		opts.Hosts = func(name string) bool {
			// A Host header may have a port (RFC 9110 section 7.2), a certificate has none.
			if bare, _, err := net.SplitHostPort(name); err == nil {
				name = bare
			}
			return leaf.VerifyHostname(name) == nil
		}
	default:
		opts.URL = &url.URL{Scheme: "http", Host: net.JoinHostPort(host, port), Path: "/"}
	}
}

// sources returns the directories to show: those of the command line, or all mounts of
// dlfs on this machine if none is given. The caller closes each of them.
func (c *webCmd) sources(log *slog.Logger) (list []*webSource, err error) {
	dirs := c.Dirs
	if len(dirs) == 0 {
		if dirs, err = fs.Mounts(); err != nil {
			return nil, err
		}
		if len(dirs) == 0 {
			return nil, usageError("no list is mounted here; give the directory of a fetch")
		}
	}
	for _, dir := range dirs {
		if dir == "" {
			return nil, usageError("a directory is given as an empty argument; the variable that it comes from may not be set")
		}
		if dir, err = filepath.Abs(dir); err != nil {
			return nil, err
		}
		list = append(list, newWebSource(dir, log))
	}
	return list, nil
}

// shown returns the sources that can be shown. All that were named must be; of the mounts
// that were found, dead ones and those of other users are left out if others are there.
func (c *webCmd) shown(ctx context.Context, sources []*webSource, log *slog.Logger) (good []*webSource, err error) {
	var bad []error
	for _, s := range sources {
		err := s.check(ctx)
		switch {
		case err == nil:
			good = append(good, s)
		case len(c.Dirs) > 0 || ctx.Err() != nil:
			return nil, err
		// Without TLS and proxy the page is on the loopback, whose names web.New allows by itself.
		default:
			bad = append(bad, err)
		}
	}
	if len(good) == 0 {
		return nil, bad[0]
	}
	for _, err := range bad {
		log.Warn("a mount is not shown", "err", err)
	}
	return good, nil
}
