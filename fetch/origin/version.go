package origin

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"dlfs/cache/lockorder"
	"dlfs/listfile/digest"
)

// Version identifies one version of an origin file. Its fields are those of
// cache.Version, so that one converts to the other.
type Version struct {
	Size         int64  // bytes, or UnknownSize
	ETag         string // strong entity tag as sent, quotes included; "" if none
	LastModified string // Last-Modified header as sent; "" if none
}

// UnknownSize is the Size of a version whose length the origin does not say.
const UnknownSize = -1

// validators returns the version a header describes, except for its size. A
// weak entity tag is no proof of identity (RFC 9110 section 8.8.1), nor is an empty one, which
// servers send that have none.
func validators(h http.Header) Version {
	v := Version{ETag: h.Get("ETag"), LastModified: h.Get("Last-Modified")}
	if !strings.HasPrefix(v.ETag, `"`) || isEmptyTag(v.ETag) {
		v.ETag = ""
	}
	return v
}

// isEmptyTag reports whether an ETag is strong or weak and has nothing between its quotes.
func isEmptyTag(tag string) bool { return strings.TrimPrefix(tag, "W/") == `""` }

// weakTag returns the weak entity tag of a header, "" if there is none. It is no
// proof of identity, but another one is a reason to doubt. So is a tag without quotes,
// which some servers send against RFC 9110 section 8.8.3: it counts as weak.
func weakTag(h http.Header) string {
	tag := h.Get("ETag")
	if isEmptyTag(tag) {
		return ""
	}
	if tag == "" || isWeak(tag) {
		return tag
	}
	if strings.HasPrefix(tag, `"`) {
		return ""
	}
	return "W/" + tag
}

// isWeak reports whether an ETag is weak (RFC 9110 section 8.8.3): such a tag does not
// say that the bytes are the same.
func isWeak(tag string) bool { return strings.HasPrefix(tag, "W/") }

// seen is the version of an answer with its weak entity tag, if it has one.
func (a answer) seen() Version {
	v := a.version
	v.ETag = cmp.Or(v.ETag, a.weak)
	return v
}

// strong returns v without a weak entity tag, or an empty one that an earlier release kept.
func (v Version) strong() Version {
	if isWeak(v.ETag) || isEmptyTag(v.ETag) {
		v.ETag = ""
	}
	return v
}

var errNoValidator = errors.New("answer has no validator to tell its version by")

// check compares a later version, as told by the same URL. A strong entity tag
// decides where both have one; else Last-Modified; a response without any
// validator proves nothing if the pinned version has one.
func (v Version) check(now Version) error {
	pinned, given := v.ETag+v.LastModified != "", now.ETag+now.LastModified != ""
	switch {
	case pinned && !given:
		// Of another size it is most likely a page of a proxy or a portal, and
		// that is no reason to give up what was fetched.
		return &Error{Err: errNoValidator}
	case now.Size != UnknownSize && v.Size != now.Size:
		return changed("size", v.Size, now.Size, now)
	case v.ETag != "" && now.ETag != "":
		if v.ETag != now.ETag {
			return changed("entity tag", v.ETag, now.ETag, now)
		}
	case v.LastModified != "" && now.LastModified != "":
		if v.LastModified != now.LastModified {
			return changed("last modified", v.LastModified, now.LastModified, now)
		}
	case pinned:
		return &Error{Err: errNoValidator}
	case now.Size == UnknownSize:
		return &Error{Kind: Unproven, Err: errors.New("origin does not say how long the file is, and nothing proves that it is the same version")}
	}
	return nil
}

// prove compares a version as another URL tells it. What validators two URLs
// have cannot be compared by RFC 9110, but that any is equal is no coincidence.
func (v Version) prove(now Version, sizeSuffices bool) error {
	switch {
	case now.Size != UnknownSize && v.Size != now.Size:
		return changed("size", v.Size, now.Size, now)
	case v.ETag != "" && v.ETag == now.ETag, v.LastModified != "" && v.LastModified == now.LastModified:
		return nil
	case sizeSuffices && v.Size == now.Size:
		return nil
	case v.ETag != "" && now.ETag != "":
		return changed("entity tag", v.ETag, now.ETag, now)
	case v.LastModified != "" && now.LastModified != "":
		return changed("last modified", v.LastModified, now.LastModified, now)
	}
	return &Error{Kind: Unproven, Err: errors.New("same size, but nothing proves that it is the same version; --trust-size lets the size suffice")}
}

// changed returns the error of a version that is not the expected one; what names the
// part that differs.
func changed(what string, was, is any, now Version) error {
	return &Error{Kind: Changed, Now: now, Err: fmt.Errorf("file changed on the origin: %s was %v and is %v", what, was, is)}
}

// merge returns v with the validators it lacks taken from a later answer that
// passed check. The validators that v has stay: with others from each answer, the pin
// would drift to another version.
func (v Version) merge(now Version) Version {
	return Version{v.Size, cmp.Or(v.strong().ETag, now.strong().ETag, v.ETag, now.ETag), cmp.Or(v.LastModified, now.LastModified)}
}

// pin is a version that callers want, and how this URL tells it.
type pin struct {
	want Version // as callers know it

	mu struct {
		lockorder.Mutex[lockorder.Pin]
		own    Version         // as this URL tells it, once it is proven
		proven bool            // that this URL serves it
		taken  bool            // an answer that agreed with it was read, or may have been
		tags   map[string]bool // other entity tags with which its content came
		binary bool            // it has come as something else than a web page
		now    *Version
		digest digest.Digest
	}
}

// newPin pins a version; told says that this very URL told it.
func newPin(want Version, told bool) *pin {
	p := &pin{want: want}
	p.mu.own, p.mu.proven = want, told
	return p
}

// pinFor returns the pin of a version that callers want.
func (r *Resource) pinFor(want Version) *pin {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.mu.pin
	if last == nil || last.want != want {
		r.mu.pin = newPin(want, r.mu.told || last != nil && last.isNow(want))
		r.mu.told = false
	}
	return r.mu.pin
}

// pinTold returns the pin of a version that this URL just told.
func (r *Resource) pinTold(v Version) *pin {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.pin == nil || r.mu.pin.want != v || !r.mu.pin.isProven() {
		r.mu.pin = newPin(v, true)
	}
	return r.mu.pin
}

// isProven reports whether a GET has agreed with the version.
func (p *pin) isProven() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.proven
}

// Said is the strongest digest of the whole file that a response of this Resource
// told for v, the last version it told; zero if none did.
func (r *Resource) Said(v Version) digest.Digest {
	r.mu.Lock()
	p := r.mu.pin
	r.mu.Unlock()
	if p == nil || p.want != v {
		return digest.Digest{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.digest
}

// isNow reports whether v is what the origin was confirmed to have by now.
func (p *pin) isNow(v Version) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.now != nil && *p.mu.now == v
}

// check compares what a response says with the pin. The first that agrees is
// what later ones must agree with.
func (r *Resource) check(p *pin, v Version) error {
	strip := r.strip()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.mu.tags[v.ETag]:
		v.ETag = p.mu.own.ETag
	case v.ETag == "" && p.mu.tags[v.LastModified]: // which has not the form of a tag
		v.LastModified = p.mu.own.LastModified
	}
	if !p.mu.proven {
		tag := v.ETag
		v = v.strong() // a weak tag of another URL tells nothing
		err := p.want.prove(strip(v), r.opts.SizeSuffices)
		if was := strip(p.want).ETag; err == nil && r.opts.Known != nil && was != "" && v.ETag != "" && v.ETag != was && strip(v).ETag != "" {
			err = changed("entity tag", was, v.ETag, v) // the same date is not enough
		}
		if err == nil {
			p.mu.own, p.mu.proven, p.mu.taken = Version{p.want.Size, tag, v.LastModified}, true, true
		}
		return err
	}
	own, now := strip(p.mu.own), strip(v)
	err := own.strong().check(now.strong())
	if err == nil && r.opts.Known != nil && isWeak(now.ETag) && now.ETag != own.ETag {
		// The date may be the same for two builds. A tag that was lost with an
		// earlier process is another one, too.
		if isWeak(own.ETag) || own.ETag == "" && !p.mu.taken {
			err = changed("weak entity tag", own.ETag, now.ETag, v.strong())
		}
	}
	if err == nil {
		p.mu.own, p.mu.taken = p.mu.own.merge(v), true
	}
	return err
}

// strip returns what takes away the validators that this URL is known to give
// at random.
func (r *Resource) strip() func(Version) Version {
	r.mu.Lock()
	defer r.mu.Unlock()
	unstable, undated := r.mu.unstable, r.mu.undated || r.mu.unstable && r.opts.SizeSuffices
	return func(v Version) Version {
		if unstable {
			v.ETag = ""
		}
		if undated {
			v.LastModified = ""
		}
		return v
	}
}

// accept notes what else a response that agreed with the pin told.
func (p *pin) accept(d digest.Digest, page bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.digest = stronger(p.mu.digest, d)
	p.mu.binary = p.mu.binary || !page
}
