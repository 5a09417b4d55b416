package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/net/http/httpguts"

	"dlfs/fetch/origin"
	"dlfs/listfile/header"
)

// requestFlags shape the requests to origins: what they say, how they travel,
// and for how long they are tried.
type requestFlags struct {
	Header     []string      `short:"H" sep:"none" placeholder:"NAME: VALUE" help:"Send this header with every request to an entry's own origin; may be repeated. Other users of this machine see the command line: secrets are better off in DLFS_HEADER, --netrc-path or --bearer-env."`
	UserAgent  string        `short:"A" placeholder:"NAME" help:"Call this program NAME."`
	Agent      string        `short:"U" hidden:"" env:"-" help:"The same, as aria2 and wget spell it."`
	Referer    string        `short:"e" placeholder:"URL" help:"Send this Referer."`
	NetrcPath  string        `placeholder:"FILE" help:"Take user names and passwords from FILE; ~/.netrc if not given and there."`
	NoNetrc    bool          `help:"Read no netrc file."`
	Cookies    string        `name:"load-cookies" placeholder:"FILE" help:"Send the cookies of FILE, as browsers and curl export them (Netscape format)."`
	BearerEnv  string        `placeholder:"VARIABLE" help:"Send the bearer token that is in this environment variable."`
	Proxy      string        `aliases:"all-proxy" placeholder:"URL" help:"Go through this proxy instead of those of http_proxy, https_proxy and all_proxy; not for the hosts of no_proxy."`
	CACert     string        `name:"cacert" aliases:"ca-cert,ca-certificate" placeholder:"FILE" help:"Trust the authorities in FILE (PEM) as well."`
	Cert       string        `aliases:"certificate,client-cert" placeholder:"FILE" help:"Show this client certificate (PEM)."`
	Key        string        `aliases:"private-key,client-key" placeholder:"FILE" help:"The key of --cert, if it is in a file of its own."`
	Insecure   bool          `short:"k" aliases:"no-check-certificate" help:"Do not check the certificate of a server. Every machine on the way can read and change everything."`
	LimitRate  timetable     `aliases:"bwlimit,max-overall-download-limit" placeholder:"RATE" help:"Receive at most this much a second, such as 500K or 10M, or by the time of day: \"08:00,2M 23:00,none\". \"dlfs limit\" changes it."`
	HTTP2      bool          `name:"http2" env:"DLFS_HTTP2" help:"Use HTTP/2 where the origin can. HTTP/1.1 is faster for large files."`
	Downgrade  bool          `name:"allow-downgrade" help:"Follow redirects from https to http. Every machine on the way can then read and change what comes."`
	Encoded    string        `enum:"refuse,store,decode" default:"refuse" help:"What to do with an answer that is compressed though dlfs did not ask for it: refuse it, store it as it comes, or decode it (${enum}). A decoded file is read in one stream."`
	ConnectFor time.Duration `name:"connect-timeout" default:"${connect_timeout}" aliases:"contimeout" help:"Give up making a connection after this."`
	IdleFor    time.Duration `name:"timeout" default:"${timeout}" help:"Give up a request if nothing of it arrives for this long, and try again."`
	Tries      int           `default:"${tries}" aliases:"retries,max-tries" help:"Attempts in a row without progress before an entry fails; 0 for ever."`
	MaxWait    time.Duration `default:"${max_wait}" help:"Leave a host that sends Retry-After alone for no longer than this, then ask it again."`
	RetryWait  time.Duration `default:"${retry_wait}" aliases:"waitretry,retry-delay" help:"Wait after the first failed attempt; doubled for each further one."`
}

// requestDefaults are the defaults of requestFlags that package origin has.
func requestDefaults() kong.Vars {
	return kong.Vars{
		"connect_timeout": origin.DefaultConnectTimeout.String(), "timeout": origin.DefaultTimeout.String(),
		"tries": strconv.Itoa(origin.DefaultTries), "retry_wait": origin.DefaultRetryWait.String(), "max_wait": "10m",
	}
}

// validate refuses values that cannot work and flags that contradict each other. It
// reads no files and no environment; the methods below do that where the client is
// made.
func (f *requestFlags) validate() error {
	switch {
	case f.Tries < 0:
		return usageError("--tries must be at least 1, or 0 for ever")
	// A time of 0 would not mean "at once" or "for ever" to everybody, so it means nothing here.
	case f.ConnectFor <= 0 || f.IdleFor <= 0 || f.RetryWait <= 0 || f.MaxWait <= 0:
		return usageError("--connect-timeout, --timeout, --max-wait and --retry-wait must be above 0")
	case f.NoNetrc && f.NetrcPath != "":
		return usageError("--no-netrc and --netrc-path contradict one another")
	case f.Key != "" && f.Cert == "":
		return usageError("--key is of no use without --cert")
	}
	return nil
}

// usageError returns an error of the command line, for which the program ends with
// exitUsage. The text is formatted as by fmt.Errorf, and %w wraps.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// warn writes a warning about a flag that gives up the safety of TLS, whatever the log
// level is.
func (f *requestFlags) warn(w io.Writer) {
	if f.Insecure {
		fmt.Fprintln(w, "dlfs: WARNING: --insecure: no certificate is checked; every machine on the way can read and change everything")
	}
}

// header parses the values of --header. An error tells the number of the value and does
// not quote it, since it may be a secret.
func (f *requestFlags) header() (http.Header, error) {
	h := http.Header{}
	for i, line := range f.Header {
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !ok || !httpguts.ValidHeaderFieldName(name):
			return nil, usageError("the value of --header number %d is not of the form \"NAME: VALUE\"", i+1)
		case !header.Allowed(name):
			return nil, usageError("--header %s: dlfs alone decides about this field; leave it out", name)
		case !httpguts.ValidHeaderFieldValue(value):
			return nil, usageError("--header %s: its value holds a control character; remove it", name)
		}
		h.Add(name, value)
	}
	return h, nil
}

// userAgent returns what requests call this program: the value of --user-agent, of -U,
// or the name and version of dlfs.
func (f *requestFlags) userAgent() string {
	switch {
	case f.UserAgent != "":
		return f.UserAgent
	case f.Agent != "":
		return f.Agent
	}
	return userAgent
}

// bearer returns the token in the environment variable that --bearer-env names, ""
// without that flag. A variable that is not set or empty is an error: requests without
// a token would fail one by one with 401.
func (f *requestFlags) bearer() (string, error) {
	if f.BearerEnv == "" {
		return "", nil
	}
	token := strings.TrimSpace(os.Getenv(f.BearerEnv))
	if token == "" {
		return "", usageError("--bearer-env: the environment variable %s is not set; set it to the token", f.BearerEnv)
	}
	if !httpguts.ValidHeaderFieldValue(token) {
		return "", usageError("--bearer-env: the token in %s holds a control character; remove it", f.BearerEnv)
	}
	return token, nil
}

// proxy returns the function that chooses the proxy of a request, by --proxy or else by
// the environment (http_proxy, https_proxy, all_proxy, no_proxy).
func (f *requestFlags) proxy() (func(*http.Request) (*url.URL, error), error) {
	proxy, err := origin.ProxyFrom(f.Proxy, os.Getenv)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return proxy, nil
}

// tls returns the TLS settings of --cacert, --cert, --key and --insecure, nil if none of them is
// given: then the defaults of the system hold. It reads the files.
func (f *requestFlags) tls() (*tls.Config, error) {
	if f.CACert == "" && f.Cert == "" && !f.Insecure {
		return nil, nil
	}
	c := &tls.Config{InsecureSkipVerify: f.Insecure}
	if f.CACert != "" {
		pool, err := trusting(f.CACert)
		if err != nil {
			return nil, &exitError{exitUsage, err}
		}
		c.RootCAs = pool
	}
	if f.Cert != "" {
		// Many tools write the certificate and its key into one file.
		key := f.Key
		if key == "" {
			key = f.Cert
		}
		pair, err := loadPair(f.Cert, key)
		if err != nil {
			return nil, usageError("--cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// trusting returns the authorities of the system together with those in the file, which
// holds certificates in PEM form.
func trusting(path string) (*x509.CertPool, error) {
	pem, err := readNamed(path)
	if err != nil {
		return nil, fmt.Errorf("--cacert: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil { // a bare container has none
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--cacert: %s holds no certificate in PEM form; openssl x509 -inform der converts one in DER", path)
	}
	return pool, nil
}
