package origin

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
)

const (
	shortAnswer = 64 << 10 // bytes: answers below it cost more than they bring
	maxShort    = 2        // in a row, before each costs a wait too
)

// connect makes requests until one is answered with what is left, or with some
// of it. The error is described.
func (b *Body) connect() error {
	if b.pin != nil && b.off >= b.end {
		return nil // there are no such bytes
	}
	// The host keeps sending little; without a pause each answer would cost a request at once.
	if b.short > maxShort {
		if err := sleep(b.ctx, b.r.c.opts.RetryWait); err != nil {
			return err
		}
	}
	// A host that is known to ignore ranges is asked for the whole file without one.
	if b.pin == nil && b.off == 0 && b.r.isPlain() {
		b.whole, b.end = true, maxOffset
	}
	for {
		// A host that refuses long ranges is asked for shorter ones (cut, shorten).
		off, end, ranges := b.off, b.r.cut(b.off, b.end), ""
		if b.whole {
			off, end = 0, b.end
		} else {
			ranges = rangeHeader(off, end)
		}
		x, err := b.r.get(b.ctx, ranges)
		if err != nil {
			return b.refusedFor(err)
		}
		a, err := b.take(x, off, end)
		if err == nil {
			return b.start(x, a, end)
		}
		x.body.drain()
		// A good status with content of no use: the next request goes to the URL of the list
		// again, not to where the redirects led.
		if x.isGood() && KindOf(err) != NoRanges {
			b.r.leave(x.gen)
		}
		err = b.r.describe(b.ctx, "", b.r.blame(x, err))
		if b.whole || !b.r.shorten(end-off, err) {
			return b.refusedFor(err)
		}
	}
}

// take decides whether a response to a GET of [off, end) is to be read, and
// pins its version on first contact.
func (b *Body) take(x *exchange, off, end int64) (answer, error) {
	if err := b.r.decode(x, b.whole); err != nil {
		return answer{}, err
	}
	if x.resp.StatusCode == http.StatusBadRequest && x.url.Scheme == "http" && wantsHTTPS.Match(x.body.peek(1024)) {
		return answer{}, speaksHTTPS(x.url.Host)
	}
	a, err := examine(x.resp, off, end, b.version.Size)
	if err = b.judge(x, a, err); err != nil {
		return a, err
	}
	// A whole answer to a request for a part is of use only if the part is the whole file.
	partOnly := b.off > 0 || b.pin != nil && b.end < b.version.Size
	if a.whole && !b.whole && partOnly {
		return a, &Error{Kind: NoRanges, Status: x.resp.StatusCode, Err: errors.New("origin ignores ranges")}
	}
	if b.pin == nil {
		b.version, b.pin = a.version, b.r.pinTold(a.version)
		b.pin.retell(a.seen()) // with its weak tag
		if a.whole {
			b.whole, b.end = true, a.end
		}
	}
	b.pin.accept(x.digest, b.r.isPage(x.resp))
	return a, nil
}

// judge decides whether an answer, examined with err, is of the version that is
// pinned, and no page in its place.
func (b *Body) judge(x *exchange, a answer, err error) error {
	// Only an answer from the first byte on shows what type its content has.
	if err == nil && a.off == 0 && a.end > 0 {
		x.typePage()
	}
	page := b.r.isPage(x.resp)
	if err != nil && KindOf(err) != Changed {
		return err
	}
	if page && a.off == 0 && a.end > 0 && x.body.looksLikePage() {
		if b.r.isLogin(b.ctx, x, a) {
			return b.page()
		}
		b.r.pageMeant.Store(true)
		page = false
	}
	if doc := b.r.errorDoc(x, a); doc != nil {
		return doc
	}
	if a.off == 0 && a.end > 0 && b.r.isNamedPage() {
		if b.r.isLoginForPage(b.ctx, x, a) {
			return &Error{Kind: NeedsURL, Err: errPage}
		}
		b.r.pageMeant.Store(true)
	}
	switch {
	case err != nil, b.pin == nil:
	case b.version.Size == UnknownSize:
		err = b.resumes(a.version)
	default:
		err = b.r.check(b.pin, a.seen())
	}
	if errors.Is(err, errNoValidator) && !page && b.r.isUntaken(b.pin, a.version) {
		return changed("entity tag or date", "told by HEAD", "not told by GET", a.version)
	}
	if page && (err != nil && b.r.extension() != "" || b.pin != nil && b.pin.unlikely()) {
		return b.page()
	}
	// One answer does not prove a change: another server of the same name may be behind or ahead.
	if KindOf(err) == Changed {
		x.body.ticket.leave() // asking anew must not wait for a place this one has
		err = b.r.confirm(b.ctx, b.pin, a.seen(), err)
	}
	return err
}

// page is the error of a web page in the place of the file. Where a version is
// known, it may be that of a portal on the way, and pass.
func (b *Body) page() error {
	err := errPage
	if b.r.extension() == "" {
		err = errPlainPage
	}
	if b.pin == nil {
		return &Error{Kind: NeedsURL, Err: err}
	}
	return &Error{Err: err, retry: retry{lasting: NeedsURL}}
}

// unlikely reports whether an answer of the type of a web page is to be taken
// for one: no validator says that it is not, and the file came as another type.
func (p *pin) unlikely() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.own.strong().ETag+p.mu.own.LastModified == "" && p.mu.binary
}

// start has the body read on from an answer, of a request for the bytes up to asked. Bytes that
// the answer repeats, because it begins before b.off, are skipped and compared. An answer that is
// much shorter than what was asked for counts: after several the host is taken for one that sends
// short answers.
func (b *Body) start(x *exchange, a answer, asked int64) error {
	if a.version.Size != UnknownSize {
		b.end = min(b.end, a.version.Size)
	}
	b.cur, b.curEnd, b.gen, b.came = x.body, min(a.end, b.end), x.gen, 0
	b.endless = a.version.Size == UnknownSize
	// Such a body ends with the connection, so its end proves nothing (RFC 9112 section 6.3).
	b.closes = x.resp.ProtoMajor == 1 && x.resp.ContentLength < 0 && len(x.resp.TransferEncoding) == 0
	b.r.streams.Add(1)
	if !a.whole {
		b.ranged = true
		b.r.sentRange()
	}
	// Only an answer that ends before what was asked for counts, and not one at the file's end.
	if a.end < min(asked, b.end) && a.end-b.off < shortAnswer {
		b.short++
	} else {
		b.short = 0
	}
	if b.off >= b.end {
		b.cur = nil
		b.r.streamEnded()
		x.body.drain()
		return nil
	}
	if b.off > a.off {
		return b.skip(b.off - a.off)
	}
	return nil
}

// skip reads the n bytes that an answer repeats, and compares them with those
// that came before.
func (b *Body) skip(n int64) error {
	var again maphash.Hash
	again.SetSeed(b.sum.Seed())
	read, err := io.CopyN(&again, b.cur, n)
	// summed is how many bytes sum is of; with another number nothing can be compared.
	if err == nil && n == b.summed && again.Sum64() != b.sum.Sum64() {
		b.Close()
		return b.r.describe(b.ctx, "", b.contradicted())
	}
	if err == nil {
		return nil
	}
	b.Close()
	if b.endless && errors.Is(err, io.EOF) {
		return b.broke(b.endedEarly(read))
	}
	return b.broke(fmt.Errorf("while skipping %d: %w", read, err))
}

// contradicted is the error of an answer that repeats other bytes than came before:
// it is of another version, even if its validators say otherwise.
func (b *Body) contradicted() error {
	if b.version.Size == UnknownSize {
		return errRestart()
	}
	return Contradicted(b.version)
}

// Contradicted is the error of an answer that seemed to be of version v and has
// other bytes than came of it before.
func Contradicted(v Version) *Error {
	return &Error{Kind: Changed, Now: v, Err: errors.New("file changed on the origin: bytes that came before are others now")}
}
