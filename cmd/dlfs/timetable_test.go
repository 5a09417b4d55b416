package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch/origin"
)

func TestTimetable(t *testing.T) {
	var plan timetable
	if err := plan.UnmarshalText([]byte("23:00,none 08:00,2M 12:30,500K")); err != nil {
		t.Fatal(err)
	}
	at := func(clock string) time.Time {
		c, err := time.ParseInLocation("2006-01-02 15:04", "2026-11-28 "+clock, time.Local)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, c := range []struct {
		at   string
		want rate
		next time.Time
	}{
		{"00:00", 0, at("08:00")}, {"07:59", 0, at("08:00")}, {"08:00", 2 << 20, at("12:30")}, {"12:29", 2 << 20, at("12:30")},
		{"12:30", 500 << 10, at("23:00")}, {"23:30", 0, at("08:00").AddDate(0, 0, 1)},
	} {
		if r, next := plan.now(at(c.at)); r != c.want || !next.Equal(c.next) {
			t.Errorf("at %s: %v until %v, want %v until %v", c.at, r, next, c.want, c.next)
		}
	}
	for _, text := range []string{"8,2M", "08:00", "25:00,1M", "08:00,fast", "08:00,1M 08:00,2M", "08:00,"} {
		if err := new(timetable).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	var flat timetable
	if err := flat.UnmarshalText([]byte("10M")); err != nil || flat.always != 10<<20 {
		t.Errorf("%v, %v", flat, err)
	}
}

// TestTimetableIsFollowed: the limit changes with the clock, and what a user sets holds
// until then.
func TestTimetableIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		var plan timetable
		text := now.Add(time.Hour).Format("15:04") + ",1M " + now.Add(2*time.Hour).Format("15:04") + ",none"
		if err := plan.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		var limit origin.Limit
		ctx, cancel := context.WithCancel(t.Context())
		go plan.follow(ctx, &limit)
		for _, step := range []struct {
			after time.Duration
			want  int64
			set   int64
		}{{59 * time.Minute, 0, 7}, {2 * time.Minute, 1 << 20, 9}, {58 * time.Minute, 9, 9}, {2 * time.Minute, 0, 0}, {23 * time.Hour, 1 << 20, 0}} {
			<-time.After(step.after)
			synctest.Wait()
			if got := limit.Get(); got != step.want {
				t.Errorf("at %v the limit is %d, want %d", time.Since(now), got, step.want)
			}
			if step.set > 0 {
				limit.Set(step.set)
			}
		}
		cancel()
		synctest.Wait()
	})
}
