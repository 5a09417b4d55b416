package origintest

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Faults that choose the version or replace the answer.

// Swap makes the path show f from this request on, as if Put just before it.
// It hits once unless Times says otherwise.
func Swap(f File) *Fault {
	swap := newFault(stageVersion, (*plan).found, func(p *plan) {
		p.origin.Put(p.req.URL.Path, f)
		p.file = f.withDefaults()
		p.truth = p.file
		p.honest()
	}, "Swap(seed %d, size %d)", f.Content.Seed, f.withDefaults().Size)
	swap.times = 1
	return swap
}

// Status answers with this status and a small HTML body. The header is pairs:
// Status(503, "Retry-After", "3").
func Status(code int, header ...string) *Fault {
	return newFault(stageAnswer, (*plan).unanswered, func(p *plan) {
		p.refuse(code, header)
	}, "Status(%s)", callArgs(code, header))
}

// RefuseHead answers HEAD requests with this status.
func RefuseHead(code int) *Fault {
	return newFault(stageAnswer, func(p *plan) bool {
		return p.isHead() && p.unanswered()
	}, func(p *plan) {
		p.replace(code)
	}, "RefuseHead(%d)", code)
}

const loginHTML = `<!DOCTYPE html>
<html><head><title>Sign in to this network</title></head>
<body><form method="post" action="/login"><input name="user"></form></body></html>
`

// Page answers with a login page as captive portals do: text/html, no
// validator. Page(206) answers 200 to a request without a range; to one with,
// it claims exactly what was asked in Content-Range and fills the body with
// spaces, so that only the type and the bytes tell.
func Page(status int) *Fault {
	return newFault(stageAnswer, (*plan).unanswered, func(p *plan) {
		p.replace(status)
		body := padded{strings.NewReader(loginHTML), int64(len(loginHTML)), ' '}
		p.setBody(body, extent{0, body.end})
		switch {
		case status != 206:
		case !p.ranged:
			p.status = 200
		default:
			p.set("Content-Range", p.asked.contentRange(fmt.Sprint(p.file.Size)))
			p.setBody(body, extent{0, p.asked.n})
		}
	}, "Page(%d)", status)
}

// PageOfFileSize is Page filled with spaces to the size that was asked, so that
// the length does not tell either: of the range for 206, else of the file. With
// Header("Content-Type", …) only the bytes tell.
func PageOfFileSize(status int) *Fault {
	f := Page(status)
	page := f.edit
	f.name = fmt.Sprintf("PageOfFileSize(%d)", status)
	f.ready = func(p *plan) bool { return p.found() && p.file.Size >= int64(len(loginHTML)) }
	f.edit = func(p *plan) {
		page(p)
		if p.status != 206 {
			p.setBody(p.body, extent{0, p.file.Size})
		}
	}
	return f
}

// Redirect sends the client to another path or URL.
func Redirect(code int, to string) *Fault {
	return newFault(stageAnswer, (*plan).unanswered, func(p *plan) {
		p.refuse(code, []string{"Location", to})
	}, "Redirect(%d, %q)", code, to)
}

// RedirectLoop sends the client to where it just asked.
func RedirectLoop() *Fault {
	return newFault(stageAnswer, (*plan).unanswered, func(p *plan) {
		p.refuse(302, []string{"Location", p.req.URL.RequestURI()})
	}, "RedirectLoop()")
}

// LimitOpen answers with this status while more than k requests are open, this
// one included. A request so refused is open no longer.
func LimitOpen(k int, code int, header ...string) *Fault {
	return newFault(stageAnswer, func(p *plan) bool {
		return p.unanswered() && p.call.opened > k
	}, func(p *plan) {
		p.call.close()
		p.refuse(code, header)
	}, "LimitOpen(%d, %s)", k, callArgs(code, header))
}

// CloseOpen closes the connection without an answer while more than k requests are open, this one
// included. A request so refused is open no longer.
func CloseOpen(k int) *Fault {
	return newFault(stageWire, func(p *plan) bool {
		return p.call.opened > k
	}, func(p *plan) {
		p.call.close()
		p.stops = append(p.stops, stop{at: -1, end: cut})
	}, "CloseOpen(%d)", k)
}

// LimitRate answers with this status when more than n requests arrive within
// per of the first of them. A new such time
// begins with the first request after it.
func LimitRate(n int, per time.Duration, code int, header ...string) *Fault {
	var window struct {
		sync.Mutex
		start time.Time
		n     int
	}
	return newFault(stageAnswer, func(p *plan) bool {
		window.Lock()
		defer window.Unlock()
		if !p.unanswered() {
			return false
		}
		if now := time.Now(); now.Sub(window.start) >= per {
			window.start, window.n = now, 0
		}
		window.n++
		return window.n > n
	}, func(p *plan) {
		p.refuse(code, header)
	}, "LimitRate(%d, %v, %s)", n, per, callArgs(code, header))
}

// refuse replaces the answer and sets header pairs.
func (p *plan) refuse(code int, header []string) {
	p.replace(code)
	for i := 0; i+1 < len(header); i += 2 {
		p.set(header[i], header[i+1])
	}
}

func callArgs(code int, header []string) string {
	s := fmt.Sprint(code)
	for _, h := range header {
		s += fmt.Sprintf(", %q", h)
	}
	return s
}
