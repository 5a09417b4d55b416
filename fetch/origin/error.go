package origin

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Kind is what an error means for the caller.
type Kind int

const (
	Transient Kind = iota // may pass: retried before it is returned
	Permanent             // the origin will not give these bytes, or not provably
	NotFound              // 404: there is no such file
	NeedsURL              // 401, 403, 410, or a login page: the URL is not, or no longer, good
	Changed               // the origin has another version than the pinned one: Error.Now
	NoRanges              // the origin sends only whole files: use GetWhole
	Unproven              // same size, but nothing proves that it is the pinned version
	Restart               // a body of unknown length broke off: it must be read from its start
)

// Error is why an origin could not be asked, or what was wrong with its answer.
// Its text holds no secret of the URL. It is not changed once it was returned.
type Error struct {
	Kind   Kind
	URL    string        // redacted
	Status int           // 0 if there was no response
	After  time.Duration // what Retry-After asked for, else 0
	Now    Version       // if Changed, what the origin has now
	Err    error         // what was wrong

	retry retry // counts if Kind is Transient
}

// retry says how a Transient error is tried again. The zero value is as often as Tries
// allows, after a wait.
type retry struct {
	most    int  // attempts in a row that end alike; 0: as many as Tries
	none    bool // no other attempt is made
	brought bool // the answer was of some use before it failed: the first wait is left out
	lasting Kind // the Kind of the error after the last attempt; Transient: it stays
}

// fewRetries is how often a request is repeated whose answer is unusable: the next answer
// is likely to be unusable too.
const fewRetries = 3

// Error names the URL, without its secrets, and why the request failed.
func (e *Error) Error() string {
	if e.URL == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s: %v", e.URL, e.Err)
}

// Spared reports whether the request was not tried again because another answer about the
// same Resource was being read: see MaySpare.
func (e *Error) Spared() bool { return e.retry.none }

// Unwrap returns why the request failed.
func (e *Error) Unwrap() error { return e.Err }

// last is e when it did not pass.
func (e *Error) last() *Error {
	if e.retry.lasting == Transient {
		return e
	}
	last := *e
	last.Kind = e.retry.lasting
	return &last
}

// Is makes errors.Is(err, &Error{Kind: k}) a test for the kind alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Err == nil && t.Kind == e.Kind
}

// KindOf returns the kind of the first *Error in err's tree; any other error is
// Transient.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Transient
}

// Redact returns a URL that may be shown: without credentials, and with its
// query, where signatures stand, replaced by an ellipsis.
func Redact(rawURL string) string {
	u, err := url.Parse(escapeURL(rawURL))
	if err != nil || u.Opaque != "" { // "http:user:password@host" is opaque
		return "(unreadable URL)"
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	if u.RawQuery != "" || u.ForceQuery {
		u.RawQuery, u.ForceQuery = "", false
		return u.String() + "?…"
	}
	return u.String()
}
