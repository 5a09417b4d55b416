package origin

import (
	"context"
	"net/http"
	"net/url"
)

// where is what a Resource knows of the place its URL leads to. It is guarded
// by Resource.mu.
//
// There are three states. Unknown: one request walks the redirects, and other
// requests wait for the header of its response. Direct: the URL itself
// answers. A URL begins so if its host has answered for another URL itself: then its
// requests need not wait for the first one. Target: the URL redirects there, and
// requests go to the target alone, until it refuses. A new target has a new
// generation, so that of many requests that find the same target expired, one
// forgets it.
type where struct {
	target   *url.URL
	direct   bool
	gen      int
	failures int   // of target in a row, other than refusals
	walking  *walk // under way; else nil
}

// walk is a request to the URL that others wait for.
type walk struct {
	done chan struct{}
	ctx  context.Context // tells whether it goes first where a host takes only so many
	err  error           // what those who waited get; nil if they are to look again
}

// get asks for a range of the file, "" for all of it, where the file is known to
// be. A target that refuses is taken for expired, and the URL asked for
// another. The error is described.
func (r *Resource) get(ctx context.Context, ranges string) (*exchange, error) {
	for round := 0; ; round++ {
		from, gen, lead, err := r.route(ctx)
		if err != nil {
			return nil, err
		}
		if lead != nil {
			return r.resolve(ctx, lead, ranges)
		}
		x, err := r.walk(ctx, http.MethodGet, from, ranges)
		if ctx.Err() != nil && err != nil {
			return nil, err // the caller gave up; the URL is not to blame
		}
		if again := r.settle(x, err, gen); !again || round == maxFruitless {
			return x, err
		}
		x.body.drain()
	}
}

// route returns what to ask: or, as lead, that it is for the caller to resolve.
// It waits for a caller that is resolving it already, but an urgent caller does not
// wait for one that is not urgent and may be kept waiting longer.
func (r *Resource) route(ctx context.Context) (from *url.URL, gen int, lead *walk, err error) {
	for {
		r.mu.Lock()
		from, gen = r.mu.target, r.mu.gen
		if from == nil && r.mu.direct {
			from = r.list
		}
		w := r.mu.walking
		switch {
		case from == nil && w == nil:
			lead = &walk{done: make(chan struct{}), ctx: ctx}
			r.mu.walking = lead
		case from == nil && isUrgent(ctx) && !isUrgent(w.ctx):
			from = r.list
		}
		r.mu.Unlock()
		if from != nil || lead != nil {
			return from, gen, lead, nil
		}
		select {
		case <-w.done:
		case <-ctx.Done():
			return nil, 0, nil, context.Cause(ctx)
		}
		if w.err != nil {
			return nil, 0, nil, w.err
		}
	}
}

// resolve asks the URL, for all who wait for lead.
func (r *Resource) resolve(ctx context.Context, lead *walk, ranges string) (x *exchange, err error) {
	defer func() { r.resolved(ctx, lead, x, err) }()
	for {
		x, err = r.walk(ctx, http.MethodGet, r.list, ranges)
		if err == nil && x.url != r.list && x.resp.StatusCode == http.StatusBadRequest {
			x.body.drain()
			if err := sleep(ctx, freshWait); err != nil {
				return nil, err
			}
			x, err = r.walk(ctx, http.MethodGet, x.url, ranges)
		}
		if err != nil || x.url == r.list || !x.refuses() || !r.mayResolve() {
			return x, err
		}
		x.body.drain()
	}
}

// resolved ends the walk along redirects that the other requests of the resource wait for (lead):
// it remembers where the URL led, if the answer there is good, or hands the error to those who
// wait. A walk whose own context has ended tells nothing, and the next request walks anew.
func (r *Resource) resolved(ctx context.Context, lead *walk, x *exchange, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.walking = nil
	defer close(lead.done)
	switch {
	case ctx.Err() != nil: // the next one tries
	case err != nil:
		lead.err = err
	case x.isGood() && x.url != r.list:
		r.setTargetLocked(x.url)
	case x.isGood():
		r.directLocked()
	case x.mayBeOfTheRange(): // the others asked for other ranges
		r.mu.direct = x.url == r.list
	default:
		lead.err = r.describe(ctx, x.url.Hostname(), r.blame(x, statusError(x.resp)))
	}
	if err == nil {
		x.gen = r.mu.gen
	}
}

// directLocked notes that the URL itself answered, if no target of it is known. The caller
// holds mu.
func (r *Resource) directLocked() {
	if r.mu.target == nil && !r.mu.direct {
		r.mu.direct = true
		r.c.plain.note(r.list.Host, func(h *plainHost) { h.direct = true })
	}
}

// setTargetLocked notes that requests go to u from now on. The caller holds mu.
func (r *Resource) setTargetLocked(u *url.URL) {
	r.c.plain.note(r.list.Host, func(h *plainHost) { h.direct = false })
	r.mu.target, r.mu.direct, r.mu.failures = u, false, 0
	r.mu.gen++
}

// forgetLocked forgets where the redirects of the URL have led, so that the next
// request resolves them anew. Requests that began with the old target see by its
// number, gen, that it is out of date. The caller holds r.mu.
func (r *Resource) forgetLocked() {
	r.mu.target, r.mu.direct = nil, false
	r.mu.gen++
}
