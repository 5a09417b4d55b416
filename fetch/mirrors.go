package fetch

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"time"

	"dlfs/fetch/hosts"
	"dlfs/fetch/origin"
)

// mirror is one URL of a file, and how well it does. Most files have one.
type mirror struct {
	// Constant data
	url  string
	hash uint64
	res  *origin.Resource
	host *hosts.Host

	// Guarded by file.mu
	flights int      // under way
	rate    float64  // bytes a second of a flight, typically; 0 while none has ended
	failure *failure // why it is not asked for now; nil if it may be
}

// urlHash is the hash of a URL that the state on disk keeps in place of the URL, which may be
// a secret: it tells whether a URL is still the same.
func urlHash(url string) uint64 {
	var buf [512]byte // most URLs fit
	sum := sha256.Sum256(append(buf[:0], url...))
	return binary.BigEndian.Uint64(sum[:8])
}

// mirrors are the URLs of one file, guarded by file.mu. A nil one has not been asked for.
type mirrors struct {
	list []*mirror // in the order of the list; nil until first asked for

	// mismatches is how often the bytes had another digest than they must.
	mismatches int
}

// free returns the mirror for a flight of a speculative class whose host has a place free;
// nil if there is none.
func (ms *mirrors) free(c hosts.Class) *mirror {
	return ms.pick(func(m *mirror) bool { return m.host.Free(c) })
}

// mirrorsLocked returns the file's mirrors. They are made when first asked for: most
// files of a long list are not asked for, for long.
func (f *File) mirrorsLocked() *mirrors {
	if len(f.mu.mirrors.all()) == 0 {
		if f.mu.mirrors == nil {
			f.mu.mirrors = &mirrors{}
		}
		f.mu.mirrors.list = f.newMirrors(nil)
	}
	return f.mu.mirrors
}

// newMirrors returns a mirror for each URL of the entry, in the order of the list. A mirror
// of old that has the same URL is taken over, with what is known of it. The caller holds f.mu.
func (f *File) newMirrors(old []*mirror) (list []*mirror) {
	said := f.mu.entry.Said()
	for _, url := range f.mu.entry.URLs() {
		i := slices.IndexFunc(old, func(m *mirror) bool { return m.url == url })
		if i >= 0 {
			list = append(list, old[i])
			continue
		}
		m := &mirror{url: url, hash: urlHash(url)}
		opts := origin.ResourceOptions{
			Name:         f.name,
			Header:       said.Header,
			Refused:      said.Refused,
			Size:         max(0, said.Size),
			Sibling:      func() (string, string, http.Header) { return f.sibling(url) },
			SizeSuffices: f.set.opts.TrustSize || !said.Digest.IsZero(),
		}
		opts.Known = f.known
		if fi := f.fill(); fi != nil {
			told := fi.blob.Note().URL
			opts.Pinned = told == m.hash || told == 0
		}
		m.res = f.set.client.Resource(url, opts)
		m.host = f.set.hosts.Host(m.res.Host())
		list = append(list, m)
	}
	return list
}

// sibling returns the name, the URL and the headers of a file that is near in the
// list and at the same host, but at another URL; that is "" if there is none.
func (f *File) sibling(url string) (name, other string, header http.Header) {
	files, at := f.set.Files(), int(f.order.Load())
	for _, i := range []int{at + 1, at - 1, at + 2, at - 2, at + 3, at - 3} {
		if i < 0 || i >= len(files) || files[i] == f {
			continue
		}
		e := files[i].Entry()
		if e.URL != url && origin.Host(e.URL) == origin.Host(url) {
			return e.Name, e.URL, e.Said().Header
		}
	}
	return "", "", nil
}

// pick returns the mirror that promises a new flight the highest rate, among those that
// have not failed and for which may reports true; nil if there is none. A mirror that has not been
// tried is expected to be like the others, so with every further flight another mirror
// gets its turn, and what it does decides about its next.
func (ms *mirrors) pick(may func(*mirror) bool) (best *mirror) {
	var most float64
	typical := ms.typicalRate()
	for _, m := range ms.list {
		if m.failure != nil || ms.mismatches > 0 && !ms.isTurn(m) {
			continue
		}
		rate := m.rate
		if rate == 0 {
			rate = typical
		}
		if rate /= float64(m.flights + 1); (best == nil || rate > most) && may(m) {
			best, most = m, rate
		}
	}
	return best
}

// anyMirror is the condition that every mirror meets.
func anyMirror(*mirror) bool { return true }

// isTurn reports whether m is the mirror to fetch from after the bytes of a file had
// another digest: one mirror at a time then, since it is not known which of them sent
// wrong bytes. If that one has failed, the others may be asked.
func (ms *mirrors) isTurn(m *mirror) bool {
	turn := ms.list[ms.mismatches%len(ms.list)]
	return m == turn || turn.failure != nil
}

// typicalRate is the mean rate of the mirrors that have one, 1 if none has.
func (ms *mirrors) typicalRate() float64 {
	var sum float64
	n := 0
	for _, m := range ms.list {
		if m.rate > 0 {
			sum += m.rate
			n++
		}
	}
	if n == 0 {
		return 1
	}
	return sum / float64(n)
}

// alone reports whether no other mirror than m is left.
func (ms *mirrors) alone(m *mirror) bool {
	return ms.pick(func(other *mirror) bool { return other != m }) == nil
}

// drop puts a mirror aside because of err. It reports whether others are left; if not,
// the error is the file's: that of the mirror there is most hope for.
func (ms *mirrors) drop(m *mirror, err error) (others bool, hope error) {
	m.failure = &failure{err: err, at: time.Now()}
	if !slices.Contains(ms.list, m) {
		return true, nil // a new list has replaced it meanwhile
	}
	if ms.pick(anyMirror) != nil {
		return true, nil
	}
	for _, kind := range []origin.Kind{origin.Transient, origin.NeedsURL, origin.Changed} {
		for _, m := range ms.list {
			if m.failure != nil && origin.KindOf(m.failure.err) == kind {
				return false, m.failure.err
			}
		}
	}
	return false, err
}

// all are those that were made.
func (ms *mirrors) all() []*mirror {
	if ms == nil {
		return nil
	}
	return ms.list
}

// forgive lets every mirror be asked again.
func (ms *mirrors) forgive() {
	for _, m := range ms.all() {
		m.failure = nil
	}
}

// hopeful returns the mirror for a reader's flight. If all have failed, they get another
// chance: what the file remembers of their failures is for failure.recent.
func (ms *mirrors) hopeful() *mirror {
	m := ms.pick(anyMirror)
	if m == nil {
		ms.forgive()
		m = ms.pick(anyMirror)
	}
	return m
}

// landed notes how well a flight that ends has done.
func (m *mirror) landed(fl *flight) {
	m.flights--
	got := fl.pos - fl.start
	if took := time.Since(fl.born).Seconds(); got >= minExtent && took > 0 {
		rate := float64(got) / took
		if m.rate == 0 {
			m.rate = rate
		}
		m.rate += (rate - m.rate) / 2
		m.host.Landed(rate)
	}
}

// originError returns err as what an origin did, nil if it is of another make,
// such as a full disk: no fault of a mirror.
func originError(err error) *origin.Error {
	var e *origin.Error
	errors.As(err, &e)
	return e
}
