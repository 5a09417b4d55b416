package origin

import (
	"context"
	"errors"
	"io"
	"net/http"

	"dlfs/listfile/digest"
)

// firstBytes is how much a probing GET asks for: one block of the store, so
// that what comes is of use.
const firstBytes = 64 << 10

// Probe is the first contact: it asks for the version of the file. With
// useHead, HEAD is tried first, since it costs no body. Where HEAD is refused,
// or gives no length, a GET of the first block tells; its bytes are returned as
// head, to be kept. A HEAD may lie, so a version without head is provisional
// until a GET agrees. If the length is not said at all, Size is UnknownSize and
// there is no head. Probe blocks for the network; the error is an *Error, or
// ctx's cause.
func (r *Resource) Probe(ctx context.Context, useHead bool) (v Version, head []byte, err error) {
	if useHead && r.err == nil {
		v, ok, err := r.head(ctx)
		if ok || err != nil {
			return v, nil, err
		}
	}
	b, err := r.Get(ctx, nil, 0, firstBytes)
	if err != nil {
		return v, nil, err
	}
	defer b.Close()
	if b.Version().Size == UnknownSize {
		return b.Version(), nil, nil
	}
	head = make([]byte, min(b.End(), firstBytes))
	if _, err := io.ReadFull(b, head); err != nil {
		return v, nil, err
	}
	return b.Version(), head, nil
}

// head asks once with HEAD. It is not ok when the answer is no use, which is
// for a GET to settle; the error is ctx's cause alone. Where a HEAD is
// redirected to is of no use to a GET: a signature is good for one method. Where
// a HEAD is not redirected, a GET hardly is.
func (r *Resource) head(ctx context.Context) (v Version, ok bool, err error) {
	x, err := r.walk(ctx, http.MethodHead, r.list, "")
	if err != nil {
		return v, false, context.Cause(ctx)
	}
	defer x.body.end()
	if !r.tellsLength(x.resp) {
		return v, false, nil
	}
	v = validators(x.resp.Header)
	v.Size = x.resp.ContentLength
	r.pinTold(v).accept(x.digest, false)
	if x.url == r.list {
		r.mu.Lock()
		r.directLocked()
		r.mu.Unlock()
	}
	return v, true, nil
}

// Length asks with HEAD how long the file is, again if need be; ok is false where
// that tells nothing. It is no first contact: what it says is only good to doubt
// by.
func (r *Resource) Length(ctx context.Context) (n int64, ok bool) {
	if r.err != nil {
		return 0, false
	}
	err := r.c.retry(ctx, r, func() error {
		x, err := r.walk(ctx, http.MethodHead, r.list, "")
		if err != nil {
			return r.describe(ctx, "", err)
		}
		defer x.body.end()
		if !x.isGood() {
			return r.describe(ctx, "", statusError(x.resp))
		}
		n, ok = x.resp.ContentLength, r.tellsLength(x.resp)
		return nil
	})
	return n, err == nil && ok
}

// Glance asks once how long the file is and which digest the origin says it has: with
// HEAD, or where that is of no use with a GET of the first byte. The digest is zero if the
// origin says none; ok is false if the length was not said. It is no first contact: no
// version is pinned. It blocks for the network, until ctx ends.
func (r *Resource) Glance(ctx context.Context) (n int64, said digest.Digest, ok bool) {
	if r.err != nil {
		return 0, said, false
	}
	if x, err := r.walk(ctx, http.MethodHead, r.list, ""); err == nil {
		defer x.body.end()
		if r.tellsLength(x.resp) {
			return x.resp.ContentLength, x.digest, true
		}
	}
	x, err := r.walk(ctx, http.MethodGet, r.list, rangeHeader(0, 1))
	if err != nil {
		return 0, said, false
	}
	defer x.body.drain()
	a, err := examine(x.resp, 0, 1, UnknownSize)
	if err != nil || a.version.Size == UnknownSize || r.isPage(x.resp) {
		return 0, said, false
	}
	return a.version.Size, x.digest, true
}

// tellsLength reports whether the answer to a HEAD says how long the file is.
func (r *Resource) tellsLength(resp *http.Response) bool {
	return resp.StatusCode == http.StatusOK && resp.ContentLength > 0 &&
		resp.Header.Get("Content-Encoding") == "" && len(resp.TransferEncoding) == 0 &&
		!r.isPage(resp) && !r.isTypedErrorDoc(resp)
}

// Filename asks what the origin calls the file (Content-Disposition, RFC 6266);
// it is "" if the origin does not say. HEAD is asked once, and where that tells
// nothing a GET of the first byte. What may pass is tried again, a few times: a job
// cannot begin before its names are known. It blocks for the network, until ctx
// ends. The error is an *Error, or ctx's cause.
func (r *Resource) Filename(ctx context.Context) (name string, err error) {
	if r.err != nil {
		return "", r.err
	}
	method, ranges := http.MethodHead, ""
	err = r.c.retry(ctx, r, func() error {
		if method == http.MethodHead {
			name, err = r.filename(ctx, method, ranges)
			method, ranges = http.MethodGet, rangeHeader(0, 1)
			if name != "" && err == nil {
				return nil
			}
		}
		name, err = r.filename(ctx, method, ranges)
		var e *Error
		if errors.As(err, &e) && e.Kind == Transient && e.retry.most == 0 {
			e.retry.most = fewRetries
		}
		return err
	})
	return name, err
}

// filename makes a request and returns the name of a file that Content-Disposition gives, ""
// if it gives none. It blocks for the first byte, and honours ctx.
func (r *Resource) filename(ctx context.Context, method, ranges string) (string, error) {
	x, err := r.walk(ctx, method, r.list, ranges)
	if err != nil {
		return "", r.describe(ctx, "", err)
	}
	defer x.body.drain()
	if !x.isGood() {
		return "", r.describe(ctx, "", r.blame(x, statusError(x.resp)))
	}
	return fileNameOf(x.resp.Header.Get("Content-Disposition")), nil
}
