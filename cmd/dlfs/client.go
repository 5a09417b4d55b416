package main

import (
	"cmp"
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"time"

	"dlfs/fetch/origin"
)

// clientOptions returns the options of a client that makes requests as the flags say. maxPerHost
// is how many flights of one class a host may have; there are three classes, so the client lets
// three times as many connections through. Files that flags name are read here.
func (f *requestFlags) clientOptions(log *slog.Logger, maxPerHost int) (opts origin.Options, err error) {
	opts = origin.Options{
		Log: log, MaxPerHost: 3 * maxPerHost, MaxOpen: shareFiles().requests, HTTP2: f.HTTP2, Limit: &origin.Limit{},
		ConnectTimeout: f.ConnectFor, Timeout: f.IdleFor, Tries: f.Tries, RetryWait: f.RetryWait, MaxWait: f.MaxWait,
		Encoded: origin.Encoded(f.Encoded), AllowDowngrade: f.Downgrade,
	}
	if f.Tries == 0 {
		opts.Tries = math.MaxInt // for ever
	}
	// --limit-rate may be a timetable, which is followed later; this is what it says now.
	r, _ := f.LimitRate.now(time.Now())
	opts.Limit.Set(int64(r))
	if opts.Credentials, err = f.credentials(log); err != nil {
		return opts, err
	}
	if opts.Proxy, err = f.proxy(); err != nil {
		return opts, err
	}
	opts.TLS, err = f.tls()
	return opts, err
}

// credentials returns what requests say of who makes them: headers, token, netrc and cookies.
// Wrong lines of a cookie file are left out and logged.
func (f *requestFlags) credentials(log *slog.Logger) (c origin.Credentials, err error) {
	c.UserAgent, c.Referer = f.userAgent(), f.Referer
	if c.Header, err = f.header(); err != nil {
		return c, err
	}
	if c.Bearer, err = f.bearer(); err != nil {
		return c, err
	}
	if c.Netrc, err = f.netrc(log); err != nil {
		return c, err
	}
	if f.Cookies == "" {
		c.Jar = origin.NewJar() // some origins log in over redirects
		return c, nil
	}
	file, err := openNamed(f.Cookies)
	if err != nil {
		return c, usageError("--load-cookies: %w", err)
	}
	defer file.Close()
	var odd []error
	if c.Jar, odd, err = origin.LoadCookies(file); err != nil {
		return c, usageError("--load-cookies: %s: %w", f.Cookies, err)
	}
	for i, err := range odd {
		if i == oddLinesShown {
			log.Warn("more lines of the cookie file are left out", "file", f.Cookies, "lines", len(odd)-i)
			break
		}
		log.Warn("line of the cookie file is left out", "file", f.Cookies, "err", err)
	}
	return c, nil
}

// oddLinesShown is how many wrong lines of a cookie file are logged one by one.
const oddLinesShown = 5

// netrc reads the netrc file: that of --netrc-path, else of $NETRC, else ~/.netrc. It
// returns nil if there is none to read. Only a file of --netrc-path has to exist. A
// problem with ~/.netrc, which the user has not named, is a warning, and with the other
// two an error: a request without its password would be refused.
func (f *requestFlags) netrc(log *slog.Logger) (*origin.Netrc, error) {
	// named tells whether the user chose the file; ~/.netrc is found without that.
	path, named := cmp.Or(f.NetrcPath, origin.NetrcPath()), f.NetrcPath != "" || os.Getenv("NETRC") != ""
	if f.NoNetrc || path == "" {
		return nil, nil
	}
	if info, err := os.Stat(path); err == nil && !named && !info.Mode().IsRegular() {
		log.Warn("netrc is not used: it is not a regular file", "path", path) // a pipe might never end
		return nil, nil
	}
	var n *origin.Netrc
	file, err := openNamed(path)
	if err == nil {
		n, err = origin.ReadNetrc(file)
		file.Close() // read only
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.NetrcPath == "":
		return nil, nil
	case err != nil && !named:
		log.Warn("netrc is not used; correct it, or use --no-netrc", "err", err)
		return nil, nil
	case err != nil:
		return nil, usageError("netrc: %w; correct it, or use --no-netrc", err)
	case n.Warning != "":
		log.Warn(n.Warning)
	}
	return n, nil
}
