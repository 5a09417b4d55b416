package cache

import (
	"testing"
	"time"
)

// The three forms of dates of HTTP are dates, and what no filesystem keeps is none.
func TestModTimeForms(t *testing.T) {
	of1994 := time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"Sun, 06 Nov 1994 08:49:37 GMT":    of1994,
		"Sunday, 06-Nov-94 08:49:37 GMT":   of1994,
		"Sun Nov  6 08:49:37 1994":         of1994,
		"Thursday, 01-Jan-26 00:00:00 GMT": time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		"Fri, 31 Dec 9999 23:59:59 GMT":    {},
		"Mon, 01 Jan 0001 00:00:00 GMT":    {},
		"yesterday":                        {},
		"":                                 {},
	} {
		if got := (Version{LastModified: text}).ModTime(); !got.Equal(want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
