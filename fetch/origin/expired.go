package origin

import (
	"net/http"
	"time"
)

// The target that a URL redirects to may expire, as signed URLs do. A target that refuses a
// request is taken for expired: it is forgotten, and the URL is asked for another. If that
// happens maxFruitless times without a byte of the file, the refusal is believed.

// freshWait is how long a signed URL may take to be good: the clocks of who
// signed and who checks differ.
const freshWait = time.Second

// maxFruitless is how many re-resolves in a row are made without a byte of
// progress. Then a refusal is believed to be no expiry.
const maxFruitless = 2

// settle learns from a response that did not come of resolve. It reports
// whether to ask again, since the target refused.
func (r *Resource) settle(x *exchange, err error, gen int) (again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	current := gen == r.mu.gen
	if err == nil {
		x.gen = gen
	}
	switch {
	case err != nil || x.resp.StatusCode >= 500:
		if current && r.mu.target != nil {
			r.failedLocked()
		}
	case x.url != r.list && x.refuses():
		if !current { // others found out
			return true
		}
		r.forgetLocked()
		return r.mayResolve()
	case x.isGood():
		r.mu.failures = 0
		if current && x.url != r.list && x.url != r.mu.target { // a redirect where there was none
			r.setTargetLocked(x.url)
			x.gen = r.mu.gen
		}
	}
	return false
}

// leave has the URL asked again, since what came of the target was no use: it
// may be that of a portal, or of a mirror that is behind.
func (r *Resource) leave(gen int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if gen == r.mu.gen && r.mu.target != nil {
		r.forgetLocked()
	}
}

// failedLocked has the URL asked again when a target of another host fails and
// fails: there may be another by now.
func (r *Resource) failedLocked() {
	r.mu.failures++
	if r.mu.failures >= max(1, r.c.opts.Tries/2) && r.mu.target.Host != r.list.Host {
		r.forgetLocked()
	}
}

// mayResolve counts a re-resolve, if there may be another.
func (r *Resource) mayResolve() bool {
	if r.fruitless.Load() >= maxFruitless {
		return false
	}
	r.fruitless.Add(1)
	return true
}

// progress notes that a byte came, of a response of that generation.
func (r *Resource) progress(gen int) {
	if r.fruitless.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if gen == r.mu.gen { // else it was asked for before the trouble began
		r.fruitless.Store(0)
	}
}

// refuses reports whether a target that answers so may have expired.
func refuses(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return true
	}
	return false
}

// refuses reports whether a target may have expired, and does not ask to wait.
func (x *exchange) refuses() bool { return refuses(x.resp.StatusCode) && after(x.resp) == 0 }

// isGood reports whether the response is about the file.
func (x *exchange) isGood() bool {
	switch x.resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		return true
	}
	return false
}

// mayBeOfTheRange reports whether the status may be due to the range asked.
func (x *exchange) mayBeOfTheRange() bool {
	return x.resp.StatusCode == http.StatusBadRequest || x.resp.StatusCode == http.StatusNotImplemented
}
