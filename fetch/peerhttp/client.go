package peerhttp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"dlfs/fetch/peers"
)

const (
	connectTimeout = time.Second
	idleTimeout    = 30 * time.Second
	maxHeader      = 16 << 10

	// So many connections to all machines together are kept while they are idle, but to
	// each between leastIdle and mostIdle: to make one anew costs more than a request does.
	allIdle   = 128
	leastIdle = 2
	mostIdle  = 16
)

// Options for New. The zero value has requests go out in plain text and unsigned.
type Options struct {
	// Self is the name of this machine.
	Self string

	// TLS secures the connections. If nil, they are not.
	TLS *tls.Config

	// Sign signs requests. If nil, they are not signed.
	Sign *Key

	// Machines is how many machines will be asked, as far as is known. It decides how many
	// idle connections to each are kept.
	Machines int

	// DialContext makes connections. If nil, TCP.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Client asks other machines. It tries once, follows no redirect and uses no proxy. It is
// safe for concurrent use.
type Client struct {
	opts     Options
	scheme   string
	http     *http.Transport
	through  atomic.Bool
	says     func() peers.Pace
	heard    func(peer string, said Word)
	received atomic.Int64
}

// New returns a client. Close releases its connections.
func New(opts Options) *Client {
	if opts.DialContext == nil {
		opts.DialContext = (&net.Dialer{Timeout: connectTimeout}).DialContext
	}
	c := &Client{opts: opts, scheme: "http"}
	if opts.TLS != nil {
		c.scheme = "https"
	}
	c.http = &http.Transport{
		DialContext: opts.DialContext, TLSClientConfig: opts.TLS, TLSHandshakeTimeout: connectTimeout,
		MaxIdleConnsPerHost: min(max(allIdle/max(opts.Machines, 1), leastIdle), mostIdle), IdleConnTimeout: idleTimeout, MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
	}
	c.Talk(func() (p peers.Pace) { return p }, func(string, Word) {})
	return c
}

// Talk has all requests say the pace that says returns, and has heard be called with what other
// machines say of themselves in their answers. It must be called before the first request, if at
// all. The functions must not block.
func (c *Client) Talk(says func() peers.Pace, heard func(peer string, said Word)) {
	c.says, c.heard = says, heard
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Scheme is "https", or "http" where connections are not secured.
func (c *Client) Scheme() string { return c.scheme }

// Received is the number of bytes of files received so far.
func (c *Client) Received() int64 { return c.received.Load() }

// Through has all requests from now on say that this machine needs nothing more.
func (c *Client) Through() { c.through.Store(true) }

// IsThrough reports whether Through was called.
func (c *Client) IsThrough() bool { return c.through.Load() }

// Version asks a machine for the version of a file, and for the digest that the origin
// said. It blocks for the network, until ctx ends. The error is an *Error.
func (c *Client) Version(ctx context.Context, peer string, q Question) (v Version, digest string, err error) {
	q.Off, q.N = 0, 0
	resp, err := c.send(ctx, request(http.MethodHead, c.scheme, peer, q))
	if err != nil {
		return v, "", err
	}
	resp.Body.Close() // of a HEAD: there is nothing in it
	v = versionOf(resp.Header)
	if v.Size = resp.ContentLength; resp.StatusCode != http.StatusOK || v.Size < 0 {
		return v, "", c.failed(peer, peers.Unfit, errors.New("it does not say how long the file is"))
	}
	return v, resp.Header.Get(digestField), nil
}

// Has asks a machine whether it has all of what q asks for, of the version want. It blocks
// for the network, until ctx ends. The error is an *Error.
func (c *Client) Has(ctx context.Context, peer string, q Question, want Version) error {
	q.Cached = true
	resp, err := c.send(ctx, request(http.MethodHead, c.scheme, peer, q))
	if err != nil {
		return err
	}
	resp.Body.Close()
	return c.examine(peer, resp, q, want)
}

// Get asks a machine for bytes of the version want. It returns when the header of the
// answer has come and is right; it blocks for the network, until ctx ends, which also ends
// the body. The error is an *Error.
func (c *Client) Get(ctx context.Context, peer string, q Question, want Version) (*Body, error) {
	resp, err := c.send(ctx, request(http.MethodGet, c.scheme, peer, q))
	if err != nil {
		return nil, err
	}
	if err := c.examine(peer, resp, q, want); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return &Body{c: c, peer: peer, body: resp.Body, left: q.N, digest: resp.Header.Get(digestField)}, nil
}

// First asks a machine for the version of a file and for its first bytes together: those up to
// q.N, or all if there are fewer. v.Size tells how many there are. It returns as Get does.
func (c *Client) First(ctx context.Context, peer string, q Question) (v Version, b *Body, err error) {
	q.Off = 0
	resp, err := c.send(ctx, request(http.MethodGet, c.scheme, peer, q))
	if err != nil {
		return v, nil, err
	}
	v = versionOf(resp.Header)
	_, total, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
	size, err := strconv.ParseUint(total, 10, 62)
	if resp.StatusCode == http.StatusOK { // of an empty file no range can be given
		size, err = 0, nil
	}
	v.Size = int64(size)
	n := min(q.N, v.Size)
	if err != nil || resp.ContentLength != n || n > 0 && resp.Header.Get("Content-Range") != contentRange(0, n, v.Size) {
		resp.Body.Close()
		return v, nil, c.failed(peer, peers.Unfit, errors.New("it answers with another range than was asked for"))
	}
	return v, &Body{c: c, peer: peer, body: resp.Body, left: n, digest: resp.Header.Get(digestField)}, nil
}

// ID asks a machine who it is, and whether it needs anything more. The error is an *Error.
func (c *Client) ID(ctx context.Context, peer string) (id string, through bool, err error) {
	req := request(http.MethodGet, c.scheme, peer, Question{})
	req.URL.Path = idPath
	resp, err := c.send(ctx, req)
	if err != nil {
		return "", false, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxHeader))
	if err != nil {
		return "", false, c.failed(peer, peers.Dead, err)
	}
	return strings.TrimSpace(string(text)), wordOf(resp.Header).Through, nil
}

// send sends a request, and returns the answer if it gives something.
func (c *Client) send(ctx context.Context, req *http.Request) (*http.Response, error) {
	peer := req.URL.Host
	req.Header.Set(peerField, c.opts.Self)
	Word{Through: c.through.Load(), Pace: c.says()}.Set(req.Header)
	if c.opts.Sign != nil {
		c.opts.Sign.sign(req, time.Now())
	}
	resp, err := c.http.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, c.failed(peer, peers.Dead, err)
	}
	c.heard(peer, wordOf(resp.Header))
	if code := resp.StatusCode; code != http.StatusOK && code != http.StatusPartialContent {
		resp.Body.Close()
		return nil, &Error{Peer: peer, Outcome: outcomeOf(code), Named: duplicates(resp.Header), Err: fmt.Errorf("it answers %d %s", code, http.StatusText(code))}
	}
	return resp, nil
}

// failed returns the error of a machine that did not give what was asked for, with the
// outcome that decides how it is asked again.
func (c *Client) failed(peer string, o peers.Outcome, err error) error {
	return &Error{Peer: peer, Outcome: o, Err: err}
}

// examine reports whether an answer is about exactly the bytes that were asked for, of the
// version want.
func (c *Client) examine(peer string, resp *http.Response, q Question, want Version) error {
	v := versionOf(resp.Header)
	said := resp.Header.Get("Content-Range")
	_, total, _ := strings.Cut(said, "/")
	size, err := strconv.ParseUint(total, 10, 62)
	switch v.Size = int64(size); {
	case err != nil || resp.StatusCode != http.StatusPartialContent || said != contentRange(q.Off, q.N, v.Size) || resp.ContentLength != q.N:
		return c.failed(peer, peers.Unfit, errors.New("it answers with another range than was asked for"))
	case !want.same(v):
		return c.failed(peer, peers.Unfit, errors.New("it has another version of the file"))
	}
	return nil
}

// versionOf returns the version of the file that an answer is of.
func versionOf(h http.Header) Version {
	return Version{ETag: h.Get("ETag"), LastModified: h.Get("Last-Modified")}
}

// Body is bytes that another machine gives. It is for one goroutine at a time.
type Body struct {
	c      *Client
	peer   string
	body   io.ReadCloser
	left   int64
	digest string
}

// Peer is the name of the machine.
func (b *Body) Peer() string { return b.peer }

// Digest is the digest of the whole file that the origin said, in text form; "" if it said none.
func (b *Body) Digest() string { return b.digest }

// Read reads the next bytes. It blocks until some arrive. The error is an *Error, or io.EOF
// after the last byte that was asked for.
func (b *Body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.body.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.c.received.Add(int64(n))
	if n > 0 || err == nil {
		return n, nil // the next Read meets the error again
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return 0, b.c.failed(b.peer, peers.Absent, err)
}

// Close ends the request. If the answer was read to its end, its connection serves the
// next one.
func (b *Body) Close() {
	if b.left == 0 {
		b.body.Read(make([]byte, 1)) // the end of the body; what comes does not matter
	}
	b.body.Close() // nothing to be lost
}
