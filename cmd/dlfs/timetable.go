package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"dlfs/fetch/origin"
)

// timetable is the value of --limit-rate: what may be received a second, always the
// same or by the time of day.
type timetable struct {
	always rate
	turns  []turn // in the order of the day; none if always holds
}

// turn is when another rate begins to hold, on the clock of this machine.
type turn struct {
	hour, minute int
	rate         rate
}

// UnmarshalText reads a rate, or times and rates, as rclone has them: "08:00,2M 23:00,none". Each
// rate holds from its local time until the next one, the last one over midnight.
func (t *timetable) UnmarshalText(text []byte) error {
	*t = timetable{}
	if !strings.Contains(string(text), ",") {
		return t.always.UnmarshalText(text)
	}
	for word := range strings.FieldsSeq(string(text)) {
		at, r, _ := strings.Cut(word, ",")
		clock, err := time.Parse("15:04", at)
		if err != nil {
			return fmt.Errorf("%q is no time and rate; write them as 08:00,2M 23:00,none", printable(word))
		}
		x := turn{hour: clock.Hour(), minute: clock.Minute()}
		if err := x.rate.UnmarshalText([]byte(r)); err != nil {
			return err
		}
		t.turns = append(t.turns, x)
	}
	slices.SortFunc(t.turns, func(a, b turn) int { return 60*(a.hour-b.hour) + a.minute - b.minute })
	for i := 1; i < len(t.turns); i++ {
		if a, b := t.turns[i-1], t.turns[i]; a.hour == b.hour && a.minute == b.minute {
			return fmt.Errorf("the rate from %02d:%02d on is given twice; leave one out", a.hour, a.minute)
		}
	}
	return nil
}

// now returns the rate that holds at a time, and when the next turn begins; next is
// zero if the rate always holds.
func (t *timetable) now(at time.Time) (r rate, next time.Time) {
	if len(t.turns) == 0 {
		return t.always, time.Time{}
	}
	r = t.turns[len(t.turns)-1].rate // the rate of yesterday's last turn
	for _, x := range t.turns {
		begins := x.on(at, 0)
		if begins.After(at) {
			return r, begins
		}
		r = x.rate
	}
	return r, t.turns[0].on(at, 1)
}

// on returns when the turn begins, the given number of days after the day of at, in the
// time zone of at. A day that is 23 or 25 hours long is counted as one (time.Date).
func (x turn) on(at time.Time, days int) time.Time {
	return time.Date(at.Year(), at.Month(), at.Day()+days, x.hour, x.minute, 0, 0, at.Location())
}

// longestNap is how long follow waits at most before it looks at the clock, which is set at
// times, and which stands still with a machine that is suspended.
const longestNap = time.Minute

// follow sets the limit whenever another rate begins to hold, until ctx ends. A limit
// that "dlfs limit" has set in between holds until then. The caller runs it in a
// goroutine and waits for it.
func (t *timetable) follow(ctx context.Context, limit *origin.Limit) {
	held, next := t.now(time.Now())
	for !next.IsZero() {
		nap := time.NewTimer(min(max(time.Until(next), time.Millisecond), longestNap))
		select {
		case <-nap.C:
		case <-ctx.Done():
			nap.Stop()
			return
		}
		var r rate
		if r, next = t.now(time.Now()); r != held {
			limit.Set(int64(r))
			held = r
		}
	}
}
