package main

import (
	"fmt"
	"strings"
	"time"

	ot "dlfs/fetch/origintest"
)

// The user who may log in, in the rows that ask for it.
const user, password = "ann", "secret"

// wordRows are of origins whose words have to be read with care: refusals, labels, dates,
// logins.
func wordRows(size int64) []row {
	var all []row
	for _, code := range []int{400, 403, 404, 405, 500, 501} {
		all = append(all, one(fmt.Sprintf("ranges refused, %d", code), func() *ot.Fault { return ot.Status(code).Ranged() }))
	}
	for _, code := range []int{403, 429, 503} {
		all = append(all, row{name: fmt.Sprintf("a link good for one request, then %d", code), set: func(s *stage) {
			s.origin.Inject(ot.Throttle(size / 4))
			s.inject(ot.Status(code).Method("GET").After(1))
		}})
	}
	for _, code := range []int{202, 403, 408} {
		all = append(all, one(fmt.Sprintf("2 × %d, Retry-After: 2", code), func() *ot.Fault {
			return ot.Status(code, "Retry-After", "2").Times(2)
		}))
	}
	for _, label := range []string{"none", "identity", "utf-8", "aws-chunked"} {
		all = append(all, one("Content-Encoding: "+label, func() *ot.Fault { return ot.Header("Content-Encoding", label) }))
	}
	date := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	for name, format := range map[string]string{"RFC 850": time.RFC850, "asctime": time.ANSIC} {
		all = append(all, dated(name, strings.Replace(date.Format(format), "UTC", "GMT", 1), date, size))
	}
	circle := faulty("redirects to itself until it gets two cookies", func() []*ot.Fault {
		return []*ot.Fault{ot.RedirectForCookie("first"), ot.RedirectForCookie("second")}
	})
	return append(all, circle, login())
}

// dated is a row of an origin whose only validator is a date in an old form.
func dated(name, text string, date time.Time, size int64) row {
	return row{name: "Last-Modified in the form of " + name, set: func(s *stage) {
		s.origin.Put(path, ot.File{Content: s.versions[0], ETag: "-", ModTime: date})
		s.origin.Inject(ot.CutAfter(size / 8).Times(1))
		s.inject(ot.Header("Last-Modified", text))
	}}
}

// login is a row of an origin that wants Digest authentication.
func login() row {
	r := one("Digest authentication", func() *ot.Fault { return ot.WantDigest(user, password) })
	r.login = true
	return r
}

// unprovenRow is a row in which nothing but the bytes, or a weak entity tag, tells that
// the file is another one from the second GET on. ranges says whether the origin has them.
func unprovenRow(name string, size int64, ranges bool, first, second string) row {
	return row{name: name, set: func(s *stage) {
		next := ot.Content{Seed: 2, Size: size}
		file := func(c ot.Content, tag string) ot.File {
			return ot.File{Content: c, ETag: tag, ModTime: time.Unix(0, 0)}
		}
		s.origin.Put(path, file(s.versions[0], first))
		s.versions = append(s.versions, next)
		s.origin.Inject(ot.CutAfter(size / 4).Times(1))
		if !ranges {
			s.origin.Inject(ot.NoRanges())
		}
		s.inject(ot.Swap(file(next, second)).Method("GET").After(1))
	}}
}

func unprovenRows(size int64) []row {
	return []row{
		unprovenRow("no ranges, no validators, other bytes after a break", size, false, "-", "-"),
		unprovenRow("weak ETag differs after a break", size, true, `W/"1"`, `W/"2"`),
	}
}
