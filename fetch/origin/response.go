package origin

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Version identifies one version of an origin file. Its fields are those of
// cache.Version, so that one converts to the other.
type Version struct {
	Size         int64  // bytes
	ETag         string // strong entity tag as sent, quotes included; "" if none
	LastModified string // Last-Modified header as sent; "" if none
}

// answer is what a response to a GET was found to be: the bytes [off, end) of
// version follow.
type answer struct {
	version  Version
	off, end int64
	whole    bool // a 200 without a range: the origin may not do ranges
}

// check compares a later version with the pinned one. A strong entity tag
// decides where both have one; else Last-Modified; a response without any
// validator proves nothing if the pinned version has one.
func (v Version) check(now Version) error {
	pinned, given := v.ETag+v.LastModified != "", now.ETag+now.LastModified != ""
	switch {
	case pinned && !given:
		// Of another size it is most likely a page of a proxy or a portal, and
		// that is no reason to give up what was fetched.
		return &Error{Err: errors.New("answer has no validator to tell its version by")}
	case v.Size != now.Size:
		return changed("size", v.Size, now.Size)
	case v.ETag != "" && now.ETag != "":
		if v.ETag != now.ETag {
			return changed("entity tag", v.ETag, now.ETag)
		}
	case v.LastModified != "" && now.LastModified != "":
		if v.LastModified != now.LastModified {
			return changed("last modified", v.LastModified, now.LastModified)
		}
	case v.ETag != "" || v.LastModified != "":
		return &Error{Err: errors.New("answer has no validator to tell its version by")}
	}
	return nil
}

func changed(what string, was, is any) error {
	return &Error{Kind: Changed, Err: fmt.Errorf("file changed on the origin: %s was %v and is %v", what, was, is)}
}

// merge returns v with the validators it lacks taken from a later answer that
// passed check. Those it has stay, lest the pin drift from answer to answer.
func (v Version) merge(now Version) Version {
	return Version{now.Size, cmp.Or(v.ETag, now.ETag), cmp.Or(v.LastModified, now.LastModified)}
}

// validators returns the version a header describes, except for its size. A
// weak entity tag is no proof of identity (RFC 9110 section 8.8.1).
func validators(h http.Header) Version {
	v := Version{ETag: h.Get("ETag"), LastModified: h.Get("Last-Modified")}
	if !strings.HasPrefix(v.ETag, `"`) {
		v.ETag = ""
	}
	return v
}

// examine decides what a response to a GET of [off, end) is. end is exclusive;
// pinned is nil on first contact.
func examine(resp *http.Response, off, end int64, pinned *Version) (a answer, err error) {
	h := resp.Header
	if enc := h.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return a, &Error{Kind: Permanent, Status: resp.StatusCode, Err: fmt.Errorf("answer is encoded with %q although none was asked for", enc)}
	}
	a.version = validators(h)
	switch code := resp.StatusCode; {
	case code == http.StatusOK && h.Get("Content-Range") == "":
		if resp.ContentLength < 0 {
			return a, &Error{Kind: NoLength, Status: resp.StatusCode, Err: errors.New("origin does not say how long the file is")}
		}
		a.version.Size, a.end, a.whole = resp.ContentLength, resp.ContentLength, true
	case code == http.StatusOK, code == http.StatusPartialContent: // some say 200 and send a range
		if err := a.partial(resp, off, end, pinned); err != nil {
			return a, &Error{Status: resp.StatusCode, Err: err}
		}
	case code == http.StatusRequestedRangeNotSatisfiable:
		return a, a.unsatisfiable(h, off, pinned)
	default:
		return a, statusError(resp)
	}
	if pinned != nil {
		return a, pinned.check(a.version)
	}
	return a, nil
}

// partial reads the Content-Range of a 206, or of a 200 that has one. Only a
// body that starts exactly where it was asked to is data; it may be shorter than
// asked (RFC 9110 section 15.3.7), and what it has beyond is not read.
func (a *answer) partial(resp *http.Response, off, end int64, pinned *Version) error {
	if t := resp.Header.Get("Content-Type"); strings.HasPrefix(strings.ToLower(t), "multipart/byteranges") {
		return fmt.Errorf("answer to a single range is %q", t)
	}
	first, last, total, err := ParseContentRange(resp.Header.Get("Content-Range"))
	if err != nil {
		return err
	}
	if total < 0 {
		if pinned == nil {
			return errors.New("answer does not say how long the file is")
		}
		total = pinned.Size
	}
	if first != off {
		return fmt.Errorf("answer starts at byte %d where %d was asked for", first, off)
	}
	if n := resp.ContentLength; n >= 0 && n != last-first+1 {
		return fmt.Errorf("answer has %d bytes for a range of %d", n, last-first+1)
	}
	a.version.Size, a.off, a.end = total, first, min(last+1, end)
	return nil
}

// unsatisfiable makes sense of a 416, which carries the size: nothing is to be
// had of an empty file or beyond the end, and a file that got shorter has changed.
func (a *answer) unsatisfiable(h http.Header, off int64, pinned *Version) error {
	size, ok := strings.CutPrefix(h.Get("Content-Range"), "bytes */")
	n, err := strconv.ParseUint(size, 10, 63)
	if !ok || err != nil {
		return &Error{Kind: Permanent, Status: http.StatusRequestedRangeNotSatisfiable, Err: errors.New("origin refuses the range and does not say how long the file is")}
	}
	a.version.Size = int64(n)
	if pinned != nil && pinned.Size != a.version.Size {
		return changed("size", pinned.Size, a.version.Size)
	}
	if off >= a.version.Size {
		return nil // on first contact, that is: pinned, nothing is asked there
	}
	return &Error{Status: http.StatusRequestedRangeNotSatisfiable, Err: fmt.Errorf("origin refuses a range inside the file's %d bytes", n)}
}

// ParseContentRange parses the Content-Range of a 206: "bytes first-last/total"
// with 0 <= first <= last < total, where last is inclusive (RFC 9110 section
// 14.4). An unknown total, "*", is -1.
func ParseContentRange(s string) (first, last, total int64, err error) {
	fail := func() (int64, int64, int64, error) {
		return 0, 0, 0, fmt.Errorf("answer has no usable Content-Range: %.80q", s)
	}
	unit, rest, ok := strings.Cut(s, " ")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return fail()
	}
	span, size, ok := strings.Cut(rest, "/")
	if !ok {
		return fail()
	}
	a, b, ok := strings.Cut(span, "-")
	if !ok {
		return fail()
	}
	total = -1
	f, err1 := strconv.ParseUint(a, 10, 62)
	l, err2 := strconv.ParseUint(b, 10, 62)
	if err1 != nil || err2 != nil || f > l {
		return fail()
	}
	if size != "*" {
		t, err := strconv.ParseUint(size, 10, 62)
		if err != nil || l >= t {
			return fail()
		}
		total = int64(t)
	}
	return int64(f), int64(l), total, nil
}

// rangeHeader asks for [off, end), end exclusive. It is the one place where the
// inclusive ends of HTTP are made.
func rangeHeader(off, end int64) string { return fmt.Sprintf("bytes=%d-%d", off, end-1) }
