package origin

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http/httpguts"

	"dlfs/cache/hosttest"
	"dlfs/fetch/origintest"
)

// answering serves each request on a connection of its own with what say returns,
// and returns the base URL and how many requests came.
func answering(t *testing.T, say func(method string) string) (base string, requests func() int) {
	t.Helper()
	hosttest.Need(t, hosttest.Loopback())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 1000)
	ended := make(chan struct{})
	go func() { // awaited by the cleanup
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(10 * time.Second)) // of a socket it never fails
			buf := make([]byte, 4096)
			n, _ := conn.Read(buf) // a client that is gone asks nothing
			method, _, _ := strings.Cut(string(buf[:n]), " ")
			asked <- struct{}{}
			io.WriteString(conn, say(method)) // nor does it want an answer
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return "http://" + l.Addr().String(), func() int { return len(asked) }
}

func fetchOnce(t *testing.T, x *fixture, url string) (string, error) {
	t.Helper()
	x.c.opts.RetryWait = time.Millisecond
	b, err := x.c.Resource(url, ResourceOptions{}).Get(t.Context(), nil, 0, 1<<20)
	if err != nil {
		return "", err
	}
	defer b.Close()
	p, err := io.ReadAll(b)
	return string(p), err
}

// What curl takes of a header is taken, though net/http refuses it.
func TestHeadersThatNetHTTPRefuses(t *testing.T) {
	for _, header := range []string{
		"Content-Length: 5\r\nthis line has no colon",
		"Content-Length: 5\r\nStrict\u2010Transport: b",
		"Content-Length: 5\r\nTransfer-Encoding: identity",
		"Content-Length: 5, 5",
		"Content-Length: 5\r\nX-Bad: a\x00b",
		"Content-Length: 5\r\n: nameless\r\nX Y: z",
		"Content-Length: 5\r\nContent-Length: ",
		"Transfer-Encoding: identity\r\nContent-Length: 5\r\nContent-Length: 5",
		"Content-Length:5,5,5\r\nno colon\r\nTransfer-Encoding: Identity\r\nETag: \"a\"",
	} {
		x := overTCP(t)
		base, _ := answering(t, func(method string) string {
			return "HTTP/1.1 200 OK\r\n" + header + "\r\n\r\n" + map[bool]string{true: "hello"}[method == "GET"]
		})
		for range 2 { // the second time it is known
			if got, err := fetchOnce(t, x, base+"/a.bin"); got != "hello" || err != nil {
				t.Errorf("%q: %q, %v", header, got, err)
			}
		}
		v, _, err := x.c.Resource(base+"/a.bin", ResourceOptions{}).Probe(t.Context(), true)
		if v.Size != 5 || err != nil {
			t.Errorf("%q: %v, %v", header, v, err)
		}
	}
}

// Status lines that curl takes are taken, too.
func TestStatusLinesThatNetHTTPRefuses(t *testing.T) {
	for _, line := range []string{"ICY 200 OK", "HTTP/2 200", "http/1.1 200 ok", "HTTP/1 200 OK", "HTTP/3 200 ", "Http/1.0  200"} {
		x := overTCP(t)
		base, _ := answering(t, func(string) string { return line + "\r\nContent-Length: 5\r\n\r\nhello" })
		if got, err := fetchOnce(t, x, base+"/a.bin"); got != "hello" || err != nil {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
}

// A body may be said to be chunked twice.
func TestChunkedTwice(t *testing.T) {
	x := overTCP(t)
	base, _ := answering(t, func(string) string {
		return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	})
	if got, err := fetchOnce(t, x, base+"/a.bin"); got != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// What cannot be understood is asked for twice at most, and said.
func TestAnswersThatAreNotHTTP(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello":                   "Content-Length",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\nhello":       "transfer encoding",
		"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nhello":                    "Content-Length",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello": "Content-Length",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nhello":       "transfer encoding",
		// The header has no end, or its lines have: the file would lose its beginning.
		"HTTP/1.0 200 OK\r\nETag: \"a\"\r\nid,name\n1,a\n\n2,b\n":                     "id,name",
		"HTTP/1.1 200 OK\rContent-Length: 5\r\rhello\n\nworld":                        "malformed HTTP",
		"HTTP/1.1 200 OK\rContent-Length: 5\r\rhello\nno colon\n\nworld":              "malformed",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxHeaderBytes) + "\r\n\r\n": "exceeded",
		"HTTP/1.1 abc\r\n\r\n":          "status code",
		"220 ftp.example.com ready\r\n": "malformed HTTP",
		"<html>hello</html>":            "malformed HTTP",
		"\x15\x03\x01\x00\x02\x02\x46":  "list its URL with https://",
		"HTTP/1.1 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n":   "list its URL with https://",
		"HTTP/1.1 400 Bad Request\r\n\r\n<html>The plain HTTP request was sent to HTTPS port": "list its URL with https://",
	} {
		x := overTCP(t)
		base, requests := answering(t, func(string) string { return answer })
		_, err := fetchOnce(t, x, base+"/a.bin")
		if wantKind(t, err, Permanent); !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", answer, err)
		}
		if n := requests(); n > 4 { // each time as it is, and with the header mended
			t.Errorf("%q: asked %d times", answer, n)
		}
	}
}

// The Content-Length that a HEAD has beside chunked is none (RFC 9112 section 6.3).
func TestHeadLengthBesideChunked(t *testing.T) {
	x := overTCP(t)
	base, _ := answering(t, func(method string) string {
		if method == "HEAD" {
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 77\r\n\r\n"
		}
		return "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	})
	v, head, err := x.c.Resource(base+"/a.bin", ResourceOptions{}).Probe(t.Context(), true)
	if v.Size != 5 || string(head) != "hello" || err != nil {
		t.Errorf("%v, %q, %v", v, head, err)
	}
}

// A handshake that cannot succeed is not tried for a minute, and what the server
// offers is said.
func TestHandshakesThatCannotSucceed(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	for want, config := range map[string]*tls.Config{
		"offers TLS 1.0":            {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
		"offers TLS 1.1":            {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"TLS_RSA_WITH_RC4_128_SHA":  {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}},
		"client certificate":        {ClientAuth: tls.RequireAnyClientCert},
		"list its URL with http://": nil, // HTTP
		"does not speak TLS":        {},  // neither
	} {
		x := overTCP(t)
		var url string
		switch {
		case config == nil:
			url = strings.Replace(x.url, "http:", "https:", 1)
		case want == "does not speak TLS":
			base, _ := answering(t, func(string) string { return "220 ready\r\n" })
			url = strings.Replace(base, "http:", "https:", 1) + "/a.tar"
		default:
			s := httptest.NewUnstartedServer(origintest.New())
			s.TLS, s.Config.ErrorLog = config, log.New(io.Discard, "", 0)
			s.StartTLS()
			t.Cleanup(s.Close)
			x.c.http.Transport.(*http.Transport).TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
			url = s.URL + "/a.tar"
		}
		start := time.Now()
		_, err := fetchOnce(t, x, url)
		if wantKind(t, err, Permanent); !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: took %v", want, took)
		}
	}
}

// FuzzMendHead: what is mended has lines of a name and a value alone.
func FuzzMendHead(f *testing.F) {
	f.Add("Content-Length: 5, 5\nx")
	f.Add(": \n a: b\nTransfer-Encoding: identity")
	f.Fuzz(func(t *testing.T, text string) {
		lines := append([]string{"HTTP/1.1 200 OK"}, strings.Split(text, "\n")...)
		head, _ := mendHead(lines)
		mended := string(head)
		for line := range strings.SplitSeq(strings.TrimSuffix(mended, "\r\n\r\n"), "\r\n") {
			name, value, ok := strings.Cut(line, ":")
			if line != lines[0] && (!ok || !httpguts.ValidHeaderFieldName(name) || value == "") {
				t.Errorf("%q of %q", line, fmt.Sprint(lines))
			}
		}
	})
}
