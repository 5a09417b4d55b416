package origin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"sync/atomic"
	"time"

	"dlfs/cache/lockorder"
)

// Resource is one URL of a file, with what has been learnt about it. It is safe
// for concurrent use, and costs nothing but memory.
type Resource struct {
	// Constant data
	c    *Client
	opts ResourceOptions
	raw  string
	list *url.URL // parsed from raw; nil if err is set
	err  error    // why nothing can be asked of raw

	fruitless    atomic.Int32 // re-resolves in a row without a byte of progress
	pageMeant    atomic.Bool  // the file is a web page, although its name says otherwise
	ranged       atomic.Bool  // the URL has given a range
	public       atomic.Bool  // the URL's host was seen at a public address
	saidUnstable atomic.Bool
	streams      atomic.Int32  // answers about it that are being read
	meant        atomic.Int64  // when a refusal was last found to be the URL's own, in Unix nanoseconds; 0: never
	confirming   chan struct{} // holds a token while a request confirms a change

	mu struct {
		lockorder.Mutex[lockorder.Resource]
		where
		pin      *pin      // the last one asked for
		told     bool      // the next pin to be asked for was told by this very URL
		undated  bool      // its dates say nothing
		unstable bool      // its validators come and go: see strip
		ended    time.Time // when an answer about it was last read to where it was wanted
		longest  int64     // no longer range is asked for; 0: no limit is known
	}
}

// ResourceOptions say what is known of a URL beforehand. The zero value is
// useful.
type ResourceOptions struct {
	// Name is the file's, by which a web page in its place is told. If empty,
	// the last element of the URL's path.
	Name string

	// Size is how long the file is, as the list says; 0 if it does not.
	Size int64

	// Sibling returns the name, the URL and the headers of another file of the
	// same host, to compare a web page with; url is "" if there is none. It may
	// be nil.
	Sibling func() (name, url string, header http.Header)

	// Header is sent to the URL's own origin (scheme, host and port) alone. It
	// must not change. Range and Accept-Encoding are not the user's to set.
	Header http.Header

	// Pinned says that the first version callers pass as want was told by this
	// very URL. Else the URL must first prove that it serves it.
	Pinned bool

	// Refused is why nothing is to be asked of the URL; nil if it may be.
	Refused error

	// Known returns some bytes of a version that were received before, another
	// piece each time, and where they are; none if there are none yet. They are
	// compared with what the URL gives when an entity tag alone differs. If nil,
	// another tag is another version. It may be called from several goroutines.
	Known func(Version) (off int64, piece []byte)

	// Apart says that the URL is of no file, such as the one of a list: Client.Received does
	// not count what it gives.
	Apart bool

	// SizeSuffices has a version of the same size taken for the same where
	// validators do not tell: a digest will, or the user says so.
	SizeSuffices bool
}

// Resource returns what there is to know of url, which is nothing yet. Nothing
// is asked; a URL that cannot be asked is an error of each call.
func (c *Client) Resource(url string, opts ResourceOptions) *Resource {
	r := &Resource{c: c, opts: opts, raw: url, confirming: make(chan struct{}, 1)}
	r.mu.told = opts.Pinned
	r.list, r.err = parse(url)
	if r.err == nil {
		r.err = opts.Refused
	}
	if r.err != nil {
		r.err = unasked(url, r.err)
		return r
	}
	if r.opts.Name == "" {
		r.opts.Name = path.Base(r.list.Path)
	}
	r.mu.direct = c.plain.get(r.list.Host).direct
	return r
}

// unasked is the error of every request to a URL that is not asked, because of why.
func unasked(url string, why error) error {
	var e *Error
	if errors.As(why, &e) && e.URL != "" {
		return why
	}
	return &Error{Kind: Permanent, URL: Redact(url), Err: why}
}

// parse parses a URL that can be asked for.
func parse(raw string) (*url.URL, error) {
	u, err := url.Parse(escapeURL(raw))
	switch {
	case err != nil:
		return nil, errors.New("URL does not parse") // err may quote a password
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("URL is neither http nor https")
	case u.Hostname() == "":
		return nil, errors.New("URL has no host")
	}
	return u, nil
}

// String is URL.
func (r *Resource) String() string { return r.URL() }

// URL returns the URL with what is secret in it left out.
func (r *Resource) URL() string { return Redact(r.raw) }

// Host returns the host and port of the URL as they stand there, "" if it does
// not parse.
func (r *Resource) Host() string {
	if r.list == nil {
		return Host(r.raw)
	}
	return r.list.Host
}

// Get asks for [off +n) of the file. want is the pinned version; if nil, this
// is the first contact, and the answer's version is in Version. It returns when
// the first response has been examined. n is cut at the size of the file. It
// blocks for the network; the error is an *Error, or ctx's cause.
//
// An origin that answers with the whole file is good enough if that was asked;
// else the error's Kind is NoRanges. On first contact such an answer is kept
// whole, as of GetWhole, since asking again for the rest would be of no use.
//
// If the answer has no length, the version's Size is UnknownSize, n is ignored, and the
// body is read to the clean end of its stream. A body that breaks off is read again from
// the start if validators prove that it is the same version; else the error's Kind is
// Restart. The same holds if want is a version of UnknownSize.
func (r *Resource) Get(ctx context.Context, want *Version, off, n int64) (*Body, error) {
	if off < 0 || want == nil && n <= 0 {
		return nil, &Error{Kind: Permanent, URL: r.URL(), Err: fmt.Errorf("[%d +%d) asks for nothing", off, n)}
	}
	b := &Body{r: r, ctx: ctx, asked: off, off: off, end: off + min(n, maxOffset-off)}
	return b.begin(want)
}

// GetWhole asks for the whole file, of an origin that knows no ranges. When it
// has to resume it reads from the start again and skips what it had.
func (r *Resource) GetWhole(ctx context.Context, want *Version) (*Body, error) {
	b := &Body{r: r, ctx: ctx, end: maxOffset, whole: true}
	return b.begin(want)
}

// minRange is what a range is not made shorter than.
const minRange = 1 << 20

// maxShorter is what a range that was refused is made shorter than, so that one
// to the end of any file is not halved for long.
const maxShorter = 32 << 20

// cut returns where a range that starts at off and should end at end is to end.
func (r *Resource) cut(off, end int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.longest > 0 {
		return min(end, off+r.mu.longest)
	}
	return end
}

// shorten reports whether a range of n bytes, refused with err, is worth trying
// shorter: some origins refuse long ones. If the shortest is refused too, it was
// not the length.
func (r *Resource) shorten(n int64, err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusBadRequest && e.Status != http.StatusNotImplemented &&
		e.Status != http.StatusRequestedRangeNotSatisfiable {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n <= minRange {
		r.mu.longest = 0
		return false
	}
	r.mu.longest = max(minRange, min(n/2, maxShorter))
	return true
}
