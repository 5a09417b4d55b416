package origin

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// rawOrigin answers each request with whatever bytes write writes, and then
// closes the connection. Writing ends when the client has had enough.
type rawOrigin struct {
	write    func(req *http.Request, w io.Writer)
	requests atomic.Int64
	taken    atomic.Int64 // bytes that the client read
	serving  sync.WaitGroup
}

func (o *rawOrigin) DialContext(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	o.serving.Go(func() { // ends when the client closes; resource waits
		defer server.Close()
		req, err := http.ReadRequest(bufio.NewReader(server))
		if err != nil {
			return
		}
		o.requests.Add(1)
		o.write(req, &countedWriter{server, &o.taken})
	})
	return client, nil
}

type countedWriter struct {
	w io.Writer
	n *atomic.Int64
}

func (c *countedWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// resource returns a Resource of a file at the origin.
func (o *rawOrigin) resource(t *testing.T) *Resource {
	c := New(Options{DialContext: o.DialContext, Tries: 4})
	t.Cleanup(func() { c.Close(); o.serving.Wait() })
	return c.Resource("http://origin/a.tar?sig="+canary, ResourceOptions{})
}

// says answers with this text.
func says(text string) func(*http.Request, io.Writer) {
	return func(_ *http.Request, w io.Writer) { io.WriteString(w, text) } // a client that has enough is none of its business
}

// saysForEver answers with head and then unit, again and again.
func saysForEver(head, unit string) func(*http.Request, io.Writer) {
	block := strings.Repeat(unit, max(1, 4096/len(unit)))
	return func(_ *http.Request, w io.Writer) {
		_, err := io.WriteString(w, head)
		for err == nil {
			_, err = io.WriteString(w, block)
		}
	}
}

const (
	okay    = "HTTP/1.1 200 OK\r\n"
	partial = "HTTP/1.1 206 Partial Content\r\n"
)

// Servers that no specification foresees. There is one error, in time, and of
// what never ends little is read.
func TestHostileServers(t *testing.T) {
	ranged := func(fields string) func(*http.Request, io.Writer) {
		return says(partial + fields + "\r\n" + strings.Repeat("x", 1000))
	}
	for name, tt := range map[string]struct {
		write func(*http.Request, io.Writer)
		want  string // a part of the error; "" if bytes are delivered
	}{
		"a header without end":              {saysForEver(okay+"X: ", "x"), "exceeded"},
		"headers without end":               {saysForEver(okay, "X: y\r\n"), "exceeded"},
		"cookies without end":               {saysForEver(okay, "Set-Cookie: a=b\r\n"), "exceeded"},
		"continuing without end":            {saysForEver("", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"), "exceeded"},
		"100 without end":                   {saysForEver("", "HTTP/1.1 100 Continue\r\n\r\n"), "exceeded"},
		"switching protocols":               {says("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), "101"},
		"a status line without end":         {saysForEver("HTTP/1.1 200 ", "x"), "exceeded"},
		"a status line of garbage":          {says("\x00\x01\x02\x1b[31m\r\n\r\n"), "malformed"},
		"noise":                             {saysForEver("", "\x8f\x03\x00"), "exceeded"},
		"nothing":                           {says(""), "without an answer"},
		"HTTP/0.9":                          {says("<html>\r\nhello\r\n"), "malformed"},
		"another protocol":                  {says("SSH-2.0-OpenSSH_9.2\r\n"), "malformed"},
		"HTTP/9.9":                          {says("HTTP/9.9 200 OK\r\nContent-Length: 3\r\n\r\nabc"), ""},
		"status 0":                          {says("HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"), ""},
		"status 999":                        {says("HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n"), "999"},
		"status -20":                        {says("HTTP/1.1 -20 OK\r\n\r\n"), "malformed"},
		"a length of 2^63":                  {says(okay + "Content-Length: 9223372036854775808\r\n\r\nabc"), "bad Content-Length"},
		"a length of 2^64":                  {says(okay + "Content-Length: 18446744073709551616\r\n\r\nabc"), "bad Content-Length"},
		"a negative length":                 {says(okay + "Content-Length: -1\r\n\r\nabc"), "bad Content-Length"},
		"two lengths":                       {says(okay + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), "Content-Length"},
		"lengths in one field":              {says(okay + "Content-Length: 3, 4\r\n\r\nabcd"), "Content-Length"},
		"a length and chunks":               {says(okay + "Content-Length: 3\r\nTransfer-Encoding: gzip\r\n\r\nabcd"), "transfer encoding"},
		"a range that overflows":            {ranged("Content-Range: bytes 0-99999999999999999999/1\r\nContent-Length: 1000\r\n"), "no usable Content-Range"},
		"a negative range":                  {ranged("Content-Range: bytes -5-10/100\r\nContent-Length: 1000\r\n"), "no usable Content-Range"},
		"a reversed range":                  {ranged("Content-Range: bytes 999-0/1000\r\nContent-Length: 1000\r\n"), "no usable Content-Range"},
		"a range beyond its total":          {ranged("Content-Range: bytes 0-999/999\r\nContent-Length: 1000\r\n"), "no usable Content-Range"},
		"a total of 2^63-1":                 {ranged("Content-Range: bytes 0-999/9223372036854775807\r\nContent-Length: 1000\r\n"), "no usable Content-Range"},
		"a range of another universe":       {ranged("Content-Range: parsecs 0-999/1000\r\nContent-Length: 1000\r\n"), "no usable Content-Range"},
		"a range from elsewhere":            {ranged("Content-Range: bytes 500-1499/5000\r\nContent-Length: 1000\r\n"), "starts at byte 500"},
		"a range of escapes":                {ranged("Content-Range: bytes \x1b[2J-1/2\r\nContent-Length: 1000\r\n"), ""},
		"a 416 of nothing":                  {says("HTTP/1.1 416 No\r\nContent-Range: bytes */-1\r\nContent-Length: 0\r\n\r\n"), "refuses the range"},
		"a chunk that overflows":            {says(okay + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc"), "chunk length too large"},
		"a chunk of 2^63":                   {says(okay + "Transfer-Encoding: chunked\r\n\r\n8000000000000000\r\nabc"), "broke off"},
		"a negative chunk":                  {says(okay + "Transfer-Encoding: chunked\r\n\r\n-1\r\nabc"), "invalid byte in chunk length"},
		"a chunk size without end":          {saysForEver(okay+"Transfer-Encoding: chunked\r\n\r\n", "0"), "line too long"},
		"an extension without end":          {saysForEver(okay+"Transfer-Encoding: chunked\r\n\r\n1;", "x"), "line too long"},
		"chunks that are all extension":     {saysForEver(okay+"Transfer-Encoding: chunked\r\n\r\n", "1;"+strings.Repeat("x", 1000)+"\r\na\r\n"), "broke off"},
		"trailers without end":              {saysForEver(okay+"Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\na\r\n0\r\n", "X: y\r\n"), "broke off"},
		"gzip":                              {saysForEver(okay+"Content-Encoding: gzip\r\nContent-Length: 1000000000\r\n\r\n", "\x1f\x8b\x08\x00"), "encoded"},
		"a redirect that is long":           {says("HTTP/1.1 302 Found\r\nLocation: http://origin/" + strings.Repeat("x", 2*maxHeaderBytes) + "\r\n\r\n"), "exceeded"},
		"a redirect of control characters":  {says("HTTP/1.1 302 Found\r\nLocation: http://origin/\x1b[2J\r\nContent-Length: 0\r\n\r\n"), ""},
		"a redirect to a relative nothing":  {says("HTTP/1.1 302 Found\r\nLocation: ?\r\nContent-Length: 0\r\n\r\n"), "circle"},
		"a redirect to a port beyond ports": {says("HTTP/1.1 302 Found\r\nLocation: http://origin:99999/\r\nContent-Length: 0\r\n\r\n"), ""},
		"an error page without end":         {saysForEver("HTTP/1.1 404 Not Found\r\n\r\n", "x"), "404"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &rawOrigin{write: tt.write}
				start := time.Now()
				p, err := o.readSome(t)
				if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("%d bytes, %v; want an error about %q", len(p), err, tt.want)
				}
				checkHostile(t, o, start, err)
			})
		})
	}
}

// readSome reads a thousand bytes from the start.
func (o *rawOrigin) readSome(t *testing.T) ([]byte, error) {
	b, err := o.resource(t).Get(t.Context(), nil, 0, 1000)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(io.LimitReader(b, 100_000))
}

// checkHostile checks what must hold of any answer.
func checkHostile(t *testing.T, o *rawOrigin, start time.Time, err error) {
	t.Helper()
	if n, requests := o.taken.Load(), o.requests.Load(); requests > 40 || n > (requests+1)*(4*maxHeaderBytes) {
		t.Errorf("%d requests, %d bytes taken", requests, n)
	}
	if took := time.Since(start); took > 30*time.Minute { // twice Retry-After, at most
		t.Errorf("took %v", took)
	}
	if err == nil {
		return
	}
	if _, ok := err.(*Error); !ok {
		t.Errorf("error is %T: %v", err, err)
	}
	if len(err.Error()) > 4096 || strings.Contains(err.Error(), canary) {
		t.Errorf("tells %d bytes: %.300s", len(err.Error()), err)
	}
}
