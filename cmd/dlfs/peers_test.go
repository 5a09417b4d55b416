package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dlfs/fetch/origintest"
	"dlfs/fetch/peerhttp"
)

// machines are dlfs processes that share a list, each under an address of its own, and the
// origin that they ask.
type machines struct {
	t      *testing.T
	origin *origintest.Origin
	base   string // the origin's URL
	dir    string
	key    string
	names  []string // HOST:PORT of each
	files  map[string]origintest.Content
}

// newMachines makes n of them, and files of these sizes at the origin.
func newMachines(t *testing.T, n int, sizes ...int64) *machines {
	m := &machines{t: t, origin: origintest.New(), dir: t.TempDir(), files: map[string]origintest.Content{}}
	m.base = m.origin.Serve(t)
	for i := range n {
		host := fmt.Sprintf("127.0.0.%d", i+1)
		l, err := net.Listen("tcp", host+":0")
		if err != nil {
			t.Fatal(err)
		}
		m.names = append(m.names, l.Addr().String())
		l.Close() // the process takes it over
	}
	m.key = m.write("key", strings.Repeat("secret ", 5), 0o600)
	for i, size := range sizes {
		m.put(fmt.Sprintf("dir/%d.bin", i), size)
	}
	return m
}

func (m *machines) put(name string, size int64) {
	c := origintest.Content{Seed: uint64(len(m.files) + 1), Size: size}
	m.files[name] = c
	m.origin.Put("/"+name, origintest.File{Content: c})
}

func (m *machines) write(name, text string, mode os.FileMode) string {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// list writes a list of all files, whose URLs have that query.
func (m *machines) list(query string) string {
	m.t.Helper()
	var b strings.Builder
	for name := range m.files {
		fmt.Fprintf(&b, "%s\t%s/%s%s\n", name, m.base, name, query)
	}
	return m.write("list"+strings.Map(func(r rune) rune {
		if r == '/' || r == '?' || r == '=' {
			return '-'
		}
		return r
	}, query)+".tsv", b.String(), 0o644)
}

func (m *machines) size() (n int64) {
	for _, c := range m.files {
		n += c.Size
	}
	return n
}

func (m *machines) out(i int) string { return filepath.Join(m.dir, fmt.Sprint("out", i)) }

// args are the flags of machine i.
func (m *machines) args(i int, more ...string) []string {
	return append([]string{"--peers", strings.Join(m.names, ","), "--peer-self", m.names[i], "--quiet"}, more...)
}

// fetch starts machine i.
func (m *machines) fetch(i int, list string, more ...string) *served {
	m.t.Helper()
	more = append(more, "--peer-key", m.key)
	return startDlfs(m.t, nil, append([]string{"fetch", list, m.out(i)}, m.args(i, more...)...)...)
}

// stop ends a process that lingers for a machine that never comes.
func (m *machines) stop(p *served) {
	m.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		m.t.Fatal(err)
	}
	<-p.exited
}

// complete waits for a process, which must end well, and compares the files of machine i.
func (m *machines) complete(i int, p *served) {
	m.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(2 * time.Minute): // a machine waits a minute for one that is gone
		m.t.Fatalf("machine %d does not end: %s", i, p.said())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		m.t.Fatalf("machine %d ends with %d: %s", i, code, p.said())
	}
	m.compare(i)
}

func (m *machines) compare(i int) {
	m.t.Helper()
	for name, c := range m.files {
		got, err := os.ReadFile(filepath.Join(m.out(i), name))
		if err != nil {
			m.t.Fatal(err)
		}
		if int64(len(got)) != c.Size {
			m.t.Fatalf("machine %d: %s has %d bytes of %d", i, name, len(got), c.Size)
		}
		if err := c.Check(got, 0); err != nil {
			m.t.Fatalf("machine %d: %s: %v", i, name, err)
		}
	}
}

// askedAtMost compares what the origin has sent with the size of all files.
func (m *machines) askedAtMost(share float64) {
	m.t.Helper()
	got := float64(m.origin.Counts().BodyBytes) / float64(m.size())
	m.t.Logf("the origin sent %.3f of the content", got)
	if got > share {
		m.t.Errorf("the origin sent %.3f of the content, want %.2f at most", got, share)
	}
}

func (m *machines) status(i int) (s Status) {
	m.t.Helper()
	out, err := dlfs(m.t, "status", "--json", m.out(i)).Output()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		m.t.Fatalf("status of machine %d: %v: %s", i, err, out)
	}
	return s
}

// awaitSocket waits until machine i answers.
func (m *machines) awaitSocket(i int) {
	m.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(hang); ; <-tick.C {
		first, second, err := dialTwice(m.t.Context(), m.out(i))
		if err == nil {
			if err := errors.Join(first.Close(), second.Close()); err != nil {
				m.t.Fatal(err)
			}
			return
		}
		if time.Now().After(until) {
			m.t.Fatal(err)
		}
	}
}

// awaitFiles waits until machine i, which goes on, has every file.
func (m *machines) awaitFiles(i int) {
	m.t.Helper()
	m.awaitSocket(i)
	awaitSummary(m.t, m.out(i), func(s Summary) bool { return s.FilesComplete == len(m.files) })
}

func smallFiles(n int, sizes ...int64) []int64 {
	for range n {
		sizes = append(sizes, 64<<10)
	}
	return sizes
}

func TestMachinesFetchEachByteOnce(t *testing.T) {
	m := newMachines(t, 4, smallFiles(40, 40<<20, 20<<20+5, 0)...)
	list := m.list("")
	var all []*served
	for i := range m.names {
		all = append(all, m.fetch(i, list))
	}
	for i, p := range all {
		m.complete(i, p)
	}
	m.askedAtMost(1.02)
}

// One machine has a URL that is good, and the others get everything from it.
func TestOneGoodURLServesAllMachines(t *testing.T) {
	m := newMachines(t, 4, smallFiles(6, 20<<20)...)
	m.origin.Inject(origintest.Status(403).When(func(r *http.Request) bool { return r.URL.RawQuery == "sig=expired" }))
	good, expired := m.list("?sig=good"), m.list("?sig=expired")
	all := []*served{m.fetch(0, expired), m.fetch(1, expired), m.fetch(2, good), m.fetch(3, expired)}
	for i, p := range all {
		m.complete(i, p)
	}
	m.askedAtMost(1.02)
}

// A machine that joins when the others have everything costs the origin nothing.
func TestMachineThatJoinsAsksTheOriginForNothing(t *testing.T) {
	m := newMachines(t, 3, smallFiles(6, 20<<20)...)
	list := m.list("")
	first, second := m.fetch(0, list, "--peers-wait=0"), m.fetch(1, list, "--peers-wait=0")
	m.awaitFiles(0)
	m.awaitFiles(1)
	one, two := m.status(0), m.status(1)
	if one.PeerBytes+one.OriginBytes < m.size() || one.PeerBytes+two.PeerBytes == 0 || one.ServedBytes+two.ServedBytes == 0 ||
		len(one.Peers) != 2 || one.Peers[0].Name != m.names[1] || one.Peers[0].State == "out" {
		t.Errorf("the status of one tells %+v of %v, and that of the other %+v", one.Totals, one.Peers, two.Totals)
	}
	m.origin.ResetCounts()
	m.complete(2, m.fetch(2, list, "--peers-wait=0"))
	m.complete(0, first)
	m.complete(1, second)
	if n := m.origin.Counts().BodyBytes; n != 0 {
		t.Errorf("the origin sent %d bytes to the machine that joined", n)
	}
}

// A machine that is killed in the middle, and comes back, keeps what it had. How much the origin
// sends depends on how busy this computer is: what one machine gives too late is asked of the
// origin. It is less than two machines would need by themselves.
func TestMachineIsKilledAndComesBack(t *testing.T) {
	m := newMachines(t, 3, 16<<20, 16<<20, 16<<20, 16<<20)
	m.origin.Inject(origintest.Throttle(16 << 20).Method("GET"))
	list := m.list("")
	var all []*served
	for i := range m.names {
		all = append(all, m.fetch(i, list))
	}
	m.awaitSocket(1)
	awaitSummary(t, m.out(1), func(s Summary) bool { return s.PresentBytes > 4<<20 })
	if err := all[1].cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-all[1].exited
	all[1] = m.fetch(1, list)
	for i, p := range all {
		m.complete(i, p)
	}
	m.askedAtMost(2)
}

// client is another program that asks machine 0.
func (m *machines) client(secret string) *peerhttp.Client {
	m.t.Helper()
	opts := peerhttp.Options{Self: m.names[1]}
	if secret != "" {
		key, err := peerhttp.NewKey([]byte(secret))
		if err != nil {
			m.t.Fatal(err)
		}
		opts.TLS = key.TLS()
	}
	c := peerhttp.New(opts)
	m.t.Cleanup(c.Close)
	return c
}

func TestPortIsClosedToThoseWithoutTheKey(t *testing.T) {
	m := newMachines(t, 2, 100_000)
	p := m.fetch(0, m.list(""), "--peers-wait=0")
	m.awaitFiles(0)
	for what, secret := range map[string]string{"another key": "another secret of many bytes", "no key": ""} {
		if _, _, err := m.client(secret).ID(t.Context(), m.names[0]); err == nil {
			t.Errorf("with %s the machine answers", what)
		}
	}
	v, _, err := m.client(strings.Repeat("secret ", 5)).Version(t.Context(), m.names[0], peerhttp.Question{Name: "dir/0.bin"})
	if err != nil || v.Size != 100_000 {
		t.Errorf("with the key the answer is %+v, %v", v, err)
	}
	m.stop(p)
}

// Machines know each other by certificates of the user's own, and one with another certificate
// gets nothing.
func TestMachinesWithOwnCertificates(t *testing.T) {
	m := newMachines(t, 2, smallFiles(4, 20<<20)...)
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 2)}
	cert, key, trusted := certificate(t, "machines.test", ips...)
	otherCert, otherKey, _ := certificate(t, "others.test", ips...)
	list := m.list("")
	var all []*served
	for i := range m.names {
		args := m.args(i, "--cert", cert, "--key", key, "--cacert", cert)
		all = append(all, startDlfs(t, nil, append([]string{"fetch", list, m.out(i)}, args...)...))
	}
	m.awaitSocket(0)
	other, err := tls.LoadX509KeyPair(otherCert, otherKey)
	if err != nil {
		t.Fatal(err)
	}
	c := peerhttp.New(peerhttp.Options{Self: m.names[1], TLS: &tls.Config{RootCAs: trusted, Certificates: []tls.Certificate{other}}})
	defer c.Close()
	if _, _, err := c.ID(t.Context(), m.names[0]); err == nil {
		t.Error("a machine with another certificate is answered")
	}
	for i, p := range all {
		m.complete(i, p)
	}
	m.askedAtMost(1.02)
}

// No URL, query or header of a list is in what a machine asks or answers.
func TestSecretsOfTheListDoNotCross(t *testing.T) {
	const canary = "CANARY"
	m := newMachines(t, 2, smallFiles(8)...)
	asked := make(chan string, 1000)
	l, err := net.Listen("tcp", m.names[1])
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dump, err := httputil.DumpRequest(r, true)
		if err != nil {
			t.Error(err)
		}
		asked <- string(dump)
		w.WriteHeader(http.StatusNotFound)
	})}
	done := make(chan struct{})
	go func() { // ended below
		defer close(done)
		s.Serve(l)
	}()
	args := m.args(0, "--peer-plain", "--peers-wait=0", "--header", "X-Secret: "+canary, "--user-agent", canary)
	p := startDlfs(t, nil, append([]string{"fetch", m.list("?sig=" + canary), m.out(0)}, args...)...)
	m.awaitFiles(0)
	for name := range m.files {
		resp, err := http.Head("http://" + m.names[0] + "/f/" + name)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		dump, err := httputil.DumpResponse(resp, false)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("HEAD: %s %v", resp.Status, err)
		}
		if strings.Contains(string(dump), canary) {
			t.Errorf("the answer holds a secret: %s", dump)
		}
	}
	m.stop(p)
	s.Close()
	<-done
	close(asked)
	files := 0
	for dump := range asked {
		if strings.Contains(dump, "/f/dir/") {
			files++
		}
		if strings.Contains(dump, canary) || strings.Contains(dump, m.base) {
			t.Errorf("the request holds a secret: %s", dump)
		}
	}
	if files == 0 {
		t.Error("the other machine was asked for no file")
	}
}
