package origin

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// net/http refuses answers that curl and browsers take: a header line without a
// colon, a name that is no token, "Transfer-Encoding: identity", "chunked" twice,
// "Content-Length: 5, 5", a status line that begins with "ICY", "http/1.1" or "HTTP/2".
// Where net/http has refused an answer, the request is made again over a connection of its
// own, on which the header is mended before net/http sees it. A line that is no field is
// left out only if the header tells where the body ends: otherwise it may be a line of the
// file, after a header without an end.

// isMalformed reports whether net/http refused an answer for how its header is
// written. Of these errors it exports nothing but the text.
func isMalformed(err error) bool {
	text := err.Error()
	return slices.ContainsFunc([]string{
		"malformed MIME header", "malformed HTTP version", "unsupported transfer encoding", "too many transfer encodings",
		"bad Content-Length", "invalid empty Content-Length", "multiple Content-Length headers",
	}, func(part string) bool { return strings.Contains(text, part) })
}

// lenient returns a transport for one request, like t, that mends headers. proxy is
// where t would send the request, nil if to the origin itself.
func lenient(t *http.Transport, proxy *url.URL, target *url.URL) *http.Transport {
	mending := t.Clone()
	mending.DisableKeepAlives = true // one answer a connection: its header is at the start
	mending.Protocols = new(http.Protocols)
	mending.Protocols.SetHTTP1(true)
	dial := t.DialContext
	if proxy != nil && (isSOCKS(proxy) || target.Scheme == "https") {
		// net/http would talk to the proxy over the connection that is mended.
		mending.Proxy = nil
		dial = tunnel{t, proxy}.DialContext
	}
	mending.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return mend(conn), nil
	}
	mending.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		secure, err := overTLS(ctx, conn, t.TLSClientConfig, addr)
		if err != nil {
			return nil, err
		}
		return mend(secure), nil
	}
	return mending
}

// mendedConn is a connection whose first answer has its header mended.
type mendedConn struct {
	net.Conn
	from *bufio.Reader
	head []byte // mended, to be read
	done bool   // the header was read
}

// mend returns a connection whose answers are mended as they are read, so that net/http
// takes them. Writes pass unchanged.
func mend(conn net.Conn) net.Conn { return &mendedConn{Conn: conn, from: bufio.NewReader(conn)} }

// Read returns the mended head of an answer first, then the body as it comes. It blocks for
// the connection.
func (c *mendedConn) Read(p []byte) (int, error) {
	for len(c.head) == 0 && !c.done {
		if err := c.readHead(); err != nil {
			return 0, err
		}
	}
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.from.Read(p)
}

// readHead reads a header to its end, and mends it. After one of status 1xx
// another follows (RFC 9110 section 15.2).
func (c *mendedConn) readHead() error {
	var lines []string
	for size := 0; ; {
		if len(lines) == 1 && !isStatusLine(lines[0]) {
			// It is not HTTP, and the end of a header may never come.
			c.done, c.head = true, []byte(lines[0]+"\r\n")
			return nil
		}
		line, err := c.from.ReadString('\n')
		size += len(line)
		switch {
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case size > maxHeaderBytes:
			return fmt.Errorf("header of the answer has more than %d bytes", maxHeaderBytes)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			break
		}
		lines = append(lines, line)
	}
	_, status, _ := strings.Cut(strings.Join(lines[:min(1, len(lines))], ""), " ")
	status = strings.TrimSpace(status)
	c.done = !strings.HasPrefix(status, "1")
	head, odd := mendHead(lines)
	if odd != "" && strings.HasPrefix(status, "20") && !framed.Match(head) {
		// Perhaps the header has no end, and what was taken for it is the file.
		head = []byte(odd + "\r\n") // which net/http refuses
	}
	c.head = head
	return nil
}

// framed matches a header that tells where the body ends.
var framed = regexp.MustCompile(`\r\n(?i:Content-Length|Transfer-Encoding):`)

// mendHead returns the header with those fields alone that can be read, each in
// the form that net/http takes. odd is the first line that is no field, "" if all are.
func mendHead(lines []string) (head []byte, odd string) {
	var b bytes.Buffer
	chunked := false
	for i, line := range lines {
		if i == 0 {
			b.WriteString(mendStatus(line) + "\r\n")
			continue
		}
		name, value, colon := strings.Cut(line, ":")
		if !colon || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			odd = cmp.Or(odd, line)
			continue
		}
		value = mendValue(name, strings.TrimSpace(value))
		again := chunked && strings.EqualFold(name, "Transfer-Encoding") && strings.EqualFold(value, "chunked")
		if value == "" || again {
			continue
		}
		chunked = chunked || strings.EqualFold(name, "Transfer-Encoding")
		b.WriteString(name + ":" + value + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes(), odd
}

// statusLine is a status line as generous clients take it: of any version of HTTP, or of
// SHOUTcast, with a status of three digits. A control character in it is of what follows, in
// a header whose lines end otherwise.
var statusLine = regexp.MustCompile(`^(?i:(HTTP/[0-9](?:\.[0-9])?)|ICY)[ \t]+([0-9]{3}[^\x00-\x08\x0a-\x1f\x7f]*)$`)

// isStatusLine reports whether a line begins an answer (RFC 9112 section 4).
func isStatusLine(line string) bool { return statusLine.MatchString(line) }

// mendStatus returns a status line that net/http takes.
func mendStatus(line string) string {
	m := statusLine.FindStringSubmatch(line)
	if m == nil {
		return line
	}
	version := strings.ToUpper(m[1])
	if _, _, ok := http.ParseHTTPVersion(version); !ok {
		version = "HTTP/1.1"
	}
	return version + " " + m[2]
}

// mendValue returns the value of a field; "" if it says nothing.
func mendValue(name, value string) string {
	switch {
	case strings.EqualFold(name, "Transfer-Encoding") && strings.EqualFold(value, "identity"):
		return ""
	case strings.EqualFold(name, "Content-Length"):
		first, rest, several := strings.Cut(value, ",")
		if first = strings.TrimSpace(first); !several {
			return first
		}
		for other := range strings.SplitSeq(rest, ",") {
			if strings.TrimSpace(other) != first {
				return value // the lengths differ, so none can be believed
			}
		}
		return first
	}
	return value
}
