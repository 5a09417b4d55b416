package peers

import "time"

// firstOut and longestOut are for how long a machine that does not answer is left out, at
// first and at most.
const (
	firstOut   = 5 * time.Second
	longestOut = time.Minute
)

// breaker leaves a machine out that does not answer: for firstOut, then for twice as long
// each time that it is asked again in vain. The zero value leaves nothing out.
type breaker struct {
	until time.Time
	wait  time.Duration
}

// fail notes a failure. Failures of requests that were under way together count as one.
func (b *breaker) fail(now time.Time) {
	if b.out(now) {
		return
	}
	b.wait = min(max(2*b.wait, firstOut), longestOut)
	b.until = now.Add(b.wait)
}

// out reports whether the machine is left out.
func (b *breaker) out(now time.Time) bool { return now.Before(b.until) }
