package origin

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// parseSetCookie parses a Set-Cookie field as RFC 6265 section 5.2 asks of user
// agents: net/http drops values with quotes or commas in them, and knows few forms
// of dates. It returns nil for what is to be ignored.
func parseSetCookie(field string, now time.Time) *http.Cookie {
	if !httpguts.ValidHeaderFieldValue(field) {
		return nil
	}
	// A semicolon ends the value even between quotes, which are part of the value (step 1).
	pair, attributes, _ := strings.Cut(field, ";")
	name, value, ok := strings.Cut(pair, "=")
	c := &http.Cookie{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)}
	if !ok || c.Name == "" {
		return nil
	}
	for attribute := range strings.SplitSeq(attributes, ";") {
		key, value, _ := strings.Cut(attribute, "=")
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "expires":
			if t, ok := parseCookieDate(value); ok {
				c.Expires = t
			}
		case "max-age":
			// A number that needs more than 32 bits is ignored, as a text that is no number is.
			if n, err := strconv.ParseInt(value, 10, 32); err == nil && !strings.HasPrefix(value, "+") {
				c.MaxAge = int(n)
				if n <= 0 {
					c.MaxAge = -1
				}
			}
		case "domain":
			c.Domain = strings.ToLower(strings.TrimPrefix(value, "."))
		case "path":
			c.Path = ""
			if strings.HasPrefix(value, "/") {
				c.Path = value
			}
		case "secure":
			c.Secure = true
		case "httponly":
			c.HttpOnly = true
		}
	}
	// A date in the past takes the cookie back, as a negative Max-Age does, which wins over a date.
	if c.MaxAge == 0 && !c.Expires.IsZero() && !c.Expires.After(now) {
		c.MaxAge = -1 // it is taken back
	}
	return c
}

var (
	cookieTime  = regexp.MustCompile(`^(\d{1,2}):(\d{1,2}):(\d{1,2})(\D|$)`)
	cookieDay   = regexp.MustCompile(`^(\d{1,2})(\D|$)`)
	cookieYear  = regexp.MustCompile(`^(\d{2,4})(\D|$)`)
	cookieMonth = "janfebmaraprmayjunjulaugsepoctnovdec"
)

// parseCookieDate parses a date in any of the forms of RFC 6265 section 5.1.1,
// which takes the parts in any order.
func parseCookieDate(s string) (t time.Time, ok bool) {
	var clock []int
	day, month, year := -1, -1, -1
	for _, token := range strings.FieldsFunc(s, isDateDelimiter) {
		// Each part is the first token of its form, and the forms are tried in the order of the RFC.
		if m := cookieTime.FindStringSubmatch(token); m != nil && clock == nil {
			clock = []int{number(m[1]), number(m[2]), number(m[3])}
			continue
		}
		if m := cookieDay.FindStringSubmatch(token); m != nil && day < 0 {
			day = number(m[1])
			continue
		}
		if i := monthOf(token); i >= 0 && month < 0 {
			month = i
			continue
		}
		if m := cookieYear.FindStringSubmatch(token); m != nil && year < 0 {
			year = number(m[1])
		}
	}
	switch {
	// Years of two digits are those from 1970 to 2069.
	case year >= 70 && year <= 99:
		year += 1900
	case year >= 0 && year <= 69:
		year += 2000
	}
	if clock == nil || day < 1 || day > 31 || month < 0 || year < 1601 || clock[0] > 23 || clock[1] > 59 || clock[2] > 59 {
		return t, false
	}
	t = time.Date(year, time.Month(month+1), day, clock[0], clock[1], clock[2], 0, time.UTC)
	return t, t.Day() == day // there is such a day
}

// monthOf returns the month of a token of a date, from 0, or -1 if it is none; what follows
// the third letter does not matter (RFC 6265, section 5.1.1).
func monthOf(token string) int {
	if len(token) < 3 {
		return -1
	}
	i := strings.Index(cookieMonth, strings.ToLower(token[:3]))
	if i%3 != 0 {
		return -1
	}
	return i / 3
}

// number is of at most four digits.
func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

// isDateDelimiter reports whether a character parts the tokens of a cookie's date
// (delimiter in RFC 6265 section 5.1.1).
func isDateDelimiter(r rune) bool {
	return r == '\t' || r >= 0x20 && r <= 0x2f || r >= 0x3b && r <= 0x40 || r >= 0x5b && r <= 0x60 || r >= 0x7b && r <= 0x7e
}
