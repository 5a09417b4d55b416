package origin

import (
	"context"
	"io"
	"net/http"
)

// firstBytes is how much a probing GET asks for: one block of the store, so
// that what comes is of use.
const firstBytes = 64 << 10

// Probe is the first contact: it asks for the version of the file at url. With
// useHead, HEAD is tried first, since it costs no body. Where HEAD is refused,
// or gives no length, a GET of the first block tells; its bytes are returned as
// head, to be kept. A HEAD may lie, so a version without head is provisional
// until a GET agrees. Probe blocks for the network; the error is an *Error, or
// ctx's.
func (c *Client) Probe(ctx context.Context, url string, useHead bool) (v Version, head []byte, err error) {
	if useHead {
		v, ok, err := c.head(ctx, url)
		if ok || err != nil {
			return v, nil, err
		}
	}
	b, err := c.Get(ctx, url, nil, 0, firstBytes)
	if err != nil {
		return v, nil, err
	}
	defer b.Close()
	head = make([]byte, min(b.End(), firstBytes))
	if _, err := io.ReadFull(b, head); err != nil {
		return v, nil, err
	}
	return b.Version(), head, nil
}

// head asks once with HEAD. It is not ok when the answer is no use, which is
// for a GET to settle; the error is ctx's alone.
func (c *Client) head(ctx context.Context, url string) (v Version, ok bool, err error) {
	resp, w, err := c.send(ctx, http.MethodHead, url, "")
	if err != nil {
		return v, false, context.Cause(ctx)
	}
	defer w.end()
	if resp.StatusCode != http.StatusOK || resp.ContentLength <= 0 || resp.Header.Get("Content-Encoding") != "" {
		return v, false, nil
	}
	v = validators(resp.Header)
	v.Size = resp.ContentLength
	return v, true, nil
}
