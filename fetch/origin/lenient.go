package origin

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// net/http refuses answers that curl and browsers take: a header line without a
// colon, a name that is no token, "Transfer-Encoding: identity", "Content-Length: 5,
// 5", a status line that begins with "ICY", "http/1.1" or "HTTP/2". Where net/http has
// refused an answer, the request is made again over a connection of its own, on which
// the header is mended before net/http sees it.

// isMalformed reports whether net/http refused an answer for how its header is
// written. Of these errors it exports nothing but the text.
func isMalformed(err error) bool {
	text := err.Error()
	return strings.Contains(text, "malformed MIME header") || strings.Contains(text, "unsupported transfer encoding") ||
		strings.Contains(text, "bad Content-Length") || strings.Contains(text, "malformed HTTP version")
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
	c.done = !strings.HasPrefix(strings.TrimSpace(status), "1")
	c.head = mendHead(lines)
	return nil
}

// mendHead returns the header with those fields alone that can be read, each in
// the form that net/http takes.
func mendHead(lines []string) []byte {
	var b bytes.Buffer
	for i, line := range lines {
		if i == 0 {
			line = mendStatus(line)
		} else {
			name, value, _ := strings.Cut(line, ":")
			line = name + ":" + mendValue(name, strings.TrimSpace(value))
			if !httpguts.ValidHeaderFieldName(name) || strings.HasSuffix(line, ":") || !httpguts.ValidHeaderFieldValue(value) {
				continue
			}
		}
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// statusLine is a status line as generous clients take it: of any version of HTTP, or of
// SHOUTcast, with a status of three digits.
var statusLine = regexp.MustCompile(`^(?i:(HTTP/[0-9](?:\.[0-9])?)|ICY)[ \t]+([0-9]{3}.*)$`)

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
