package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// page is a "dlfs web" that runs, and a browser that has opened it.
type page struct {
	t      *testing.T
	base   *url.URL
	client *http.Client
}

// openPage starts "dlfs web", and opens the address that it prints. Both end with the test.
func openPage(t *testing.T, config *tls.Config, args ...string) *page {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	printed, out := io.Pipe()
	var errs strings.Builder
	ended := make(chan int, 1)
	go func() { // awaited below
		code := run(ctx, append([]string{"web"}, args...), stdio{out: out, err: &errs})
		out.Close()
		ended <- code
	}()
	lines := bufio.NewScanner(printed)
	lines.Scan()
	go io.Copy(io.Discard, printed) // ends with the program
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: config}
	p := &page{t: t, client: &http.Client{Jar: jar, Transport: transport}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if code := <-ended; code != exitOK && !t.Failed() {
			t.Errorf("exit code %d: %s", code, errs.String())
		}
	})
	if p.base, err = url.Parse(lines.Text()); err != nil || p.base.Host == "" {
		cancel()
		t.Fatalf("printed %q and %q", lines.Text(), errs.String())
	}
	if status, body := p.get(p.base.RequestURI()); status != http.StatusOK || !strings.Contains(body, "<title>dlfs</title>") {
		t.Fatalf("%s: %d %s", p.base, status, body)
	}
	return p
}

// get asks for what is at a path.
func (p *page) get(path string) (status int, body string) {
	p.t.Helper()
	return p.do("GET", path)
}

func (p *page) do(method, path string) (status int, body string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.base.Scheme+"://"+p.base.Host+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Origin", p.base.Scheme+"://"+p.base.Host)
	resp, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestWeb: the page tells of a fetch and orders it about, over one connection, and when
// the fetch has ended it tells what is left.
func TestWeb(t *testing.T) {
	t.Parallel()
	dir, o, let := fetching(t, 5)
	p := openPage(t, nil, dir)
	status, body := p.get("/file?source=0&name=held")
	if status != http.StatusOK || !strings.Contains(body, `"in-flight"`) {
		t.Errorf("file: %d %s", status, body)
	}
	if status, body := p.get("/files?source=0&state=trouble"); status != http.StatusOK || !strings.Contains(body, `"total":1`) {
		t.Errorf("files: %d %s", status, body)
	}
	if status, body := p.get("/files?source=0&state=odd"); status != http.StatusUnprocessableEntity || !strings.Contains(body, "there is no state") {
		t.Errorf("files: %d %s", status, body)
	}
	for _, path := range []string{"/pause?source=0", "/limit?source=0&rate=1000000"} {
		if status, body := p.do("POST", path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if s := want[Summary](t, dir, "/summary"); !s.Paused || s.Limit != 1_000_000 {
		t.Errorf("paused %v, limit %d", s.Paused, s.Limit)
	}
	if status, body := p.do("POST", "/reload?source=0"); status != http.StatusOK || !strings.HasPrefix(body, "{") {
		t.Errorf("reload: %d %s", status, body)
	}
	for _, path := range []string{"/limit?source=0&rate=0", "/resume?source=0"} {
		if status, body := p.do("POST", path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	o.Clear()
	close(let)
	p.do("POST", "/retry?source=0") // or it ends before
	p.awaitEnd()
	if status, body := p.get("/files?source=0"); status != http.StatusBadGateway || !strings.Contains(body, "no dlfs is running") {
		t.Errorf("files after the end: %d %s", status, body)
	}
}

// awaitEnd follows the events until they say that no process is there.
func (p *page) awaitEnd() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), hang)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", p.base.Scheme+"://"+p.base.Host+"/events", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: [0,")
		var look struct {
			Summary *Summary `json:"summary"`
			Error   string   `json:"error"`
		}
		if !ok || json.Unmarshal([]byte(strings.TrimSuffix(data, "]")), &look) != nil || look.Summary == nil {
			continue
		}
		if s := look.Summary; s.PID == 0 && look.Error == "" {
			if s.FilesTotal != 7 || s.States["complete"] < 6 {
				p.t.Errorf("at the end %+v", s)
			}
			return
		}
	}
	p.t.Fatal("the end is not told")
}

// TestWebOverTLS: with a certificate the page may be on any address, under the names of the
// certificate.
func TestWebOverTLS(t *testing.T) {
	t.Parallel()
	dir, _, let := fetching(t, 1)
	defer close(let)
	cert, key, pool := certificate(t, "localhost")
	p := openPage(t, &tls.Config{RootCAs: pool}, dir, "--listen", "0.0.0.0:0", "--tls-cert", cert, "--tls-key", key)
	if p.base.Scheme != "https" || p.base.Hostname() != "localhost" {
		t.Errorf("the page is at %s", p.base)
	}
	if status, body := p.do("POST", "/pause?source=0"); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	p.client.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
	p.base.Host = "127.0.0.1:" + p.base.Port()
	if status, body := p.get("/"); status != http.StatusMisdirectedRequest {
		t.Errorf("under a name that the certificate has not: %d %s", status, body)
	}
}

// certificate makes a certificate for a name and addresses, and returns its files and who
// trusts it.
func certificate(t *testing.T, name string, addrs ...net.IP) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: addrs,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, cert, text)
	write(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return cert, key, pool
}

// TestWebBehindProxy: under the URL of a proxy the cookie is for that URL, and buttons have
// its origin.
func TestWebBehindProxy(t *testing.T) {
	c := webCmd{Listen: "0.0.0.0:0", BehindProxy: "https://files.example/dlfs"}
	opts, err := c.options()
	if err != nil {
		t.Fatal(err)
	}
	c.place(&opts, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 5), Port: 80})
	if opts.URL.String() != "https://files.example/dlfs/" {
		t.Errorf("URL %s", opts.URL)
	}
	for host, want := range map[string]bool{"files.example": true, "Files.Example": true, "10.0.0.5:80": true, "evil.example": false, "files.example:81": false} {
		if got := opts.Hosts(host); got != want {
			t.Errorf("%s is let in: %v", host, got)
		}
	}
}

// TestWebRefuses: what cannot be is said in one line, with an exit code.
func TestWebRefuses(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	old := impostor(t, func(w *bufio.Writer) {})
	older := olderSocket(t)
	tmp := t.TempDir()
	ended := filepath.Join(tmp, "ended") // by no process any more
	write(t, filepath.Join(tmp, "list.txt"), []byte("a\thttp://127.0.0.1:1/a\n"))
	if code := run(t.Context(), []string{"fetch", "--tries", "1", filepath.Join(tmp, "list.txt"), ended}, stdio{out: io.Discard, err: io.Discard}); code != exitFailed {
		t.Fatalf("exit code %d", code)
	}
	notPEM := filepath.Join(tmp, "cert.pem")
	write(t, notPEM, []byte("no certificate"))
	broken := filepath.Join(tmp, "broken")
	if err := os.MkdirAll(filepath.Join(broken, ".dlfs"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a foreign directory":        {[]string{tmp}, exitFailed, "holds no state of dlfs"},
		"no directory":               {[]string{filepath.Join(tmp, "none")}, exitFailed, "holds no state of dlfs"},
		"an empty argument":          {[]string{""}, exitUsage, "empty argument"},
		"a state that is none":       {[]string{broken}, exitFailed, broken},
		"no JSON":                    {[]string{old}, exitFailed, old},
		"an older version":           {[]string{older}, exitFailed, "older one"},
		"a port in use":              {[]string{ended, "--listen", busy.Addr().String()}, exitFailed, ": address already in use; give another address with --listen"},
		"no address":                 {[]string{tmp, "--listen", "here"}, exitUsage, "is no address"},
		"the network":                {[]string{tmp, "--listen", "0.0.0.0:0"}, exitUsage, "open to the network"},
		"all of it":                  {[]string{tmp, "--listen", ":0"}, exitUsage, "open to the network"},
		"a certificate without key":  {[]string{tmp, "--tls-cert", notPEM}, exitUsage, "belong together"},
		"a certificate that is none": {[]string{tmp, "--tls-cert", notPEM, "--tls-key", notPEM}, exitUsage, notPEM},
		"a proxy that is none":       {[]string{tmp, "--behind-proxy", "files.example"}, exitUsage, "is no URL"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs strings.Builder
			ctx, cancel := context.WithTimeout(t.Context(), hang)
			defer cancel()
			code := run(ctx, append([]string{"web"}, tt.args...), stdio{out: &out, err: &errs})
			if code != tt.code || !strings.Contains(errs.String(), tt.says) || strings.Count(errs.String(), "\n") != 1 || out.Len() > 0 {
				t.Errorf("exit code %d, want %d: %s%s", code, tt.code, out.String(), errs.String())
			}
		})
	}
}

// TestWebLeavesOutDeadMounts: of the mounts that were found those are shown that live; what
// was named must be shown.
func TestWebLeavesOutDeadMounts(t *testing.T) {
	t.Parallel()
	live, _, let := fetching(t, 1)
	defer close(let)
	var log strings.Builder
	logger := newLogger(&log, slog.LevelWarn)
	sources := []*webSource{newWebSource(t.TempDir(), logger), newWebSource(live, logger)}
	defer sources[1].close()
	found := webCmd{}
	if good, err := found.shown(t.Context(), sources, logger); err != nil || len(good) != 1 || good[0].dir != live || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("%d are shown, %v; %s", len(good), err, log.String())
	}
	if _, err := found.shown(t.Context(), sources[:1], logger); err == nil {
		t.Error("nothing is shown")
	}
	named := webCmd{Dirs: []string{"a", "b"}}
	if _, err := named.shown(t.Context(), sources, logger); err == nil {
		t.Error("what was named is left out")
	}
}

// olderSocket is the directory of a dlfs that knows no page.
func olderSocket(t *testing.T) (dir string) {
	t.Helper()
	return answering(t, http.NotFound)
}
