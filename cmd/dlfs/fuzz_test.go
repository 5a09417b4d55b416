package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"dlfs/fetch"
	"dlfs/fetch/origin"
)

// FuzzPrintable: whatever comes from lists and origins, a log record is one line
// of graphic characters, and so is all else that is printed of it.
func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"", "a b", "\x1b]0;x\x07", "a\nb\r\tc", "\u202e\u2066x\u2069", "\u200b\ufeff\u00ad", "\xff\xc0\x80", "\x9b31m", "\U000e0041", "é\u0301"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, message, value string) {
		wantPlain := func(s string) {
			t.Helper()
			if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }) {
				t.Errorf("%q, %q print as %q", message, value, s)
			}
		}
		var log strings.Builder
		newLogger(&log, slog.LevelDebug).Debug(message, "key", value)
		line, ended := strings.CutSuffix(log.String(), "\n")
		if !ended {
			t.Errorf("%q is no line", log.String())
		}
		wantPlain(line)
		wantPlain(printable(message))
		wantPlain(someNames([]string{message, value}, 3))
		for _, width := range []int{0, 1, 20, 80, 300} {
			wantPlain(activeLine(fetch.EntryStatus{Name: message, Size: 10, Present: 5}, width))
		}
		var out strings.Builder
		printFailures(&out, "failed", []fetch.EntryStatus{{Name: message, Error: value}}, func(fetch.EntryStatus) bool { return true })
		wantPlain(strings.TrimSuffix(out.String(), "\n"))
		if printable(printable(message)) != printable(message) {
			t.Errorf("%q prints otherwise the second time", message)
		}
	})
}

// FuzzControl: whatever is asked of the control socket, there is an answer, and
// only what is documented is done.
func FuzzControl(f *testing.F) {
	for _, path := range []string{"/", "/status", "/reload", "/limit?rate=5", "/limit?rate=-1", "/limit?rate=99999999999999999999", "/limit?%zz",
		"/pause/..//stop", "/limit?rate=1&rate=2"} {
		f.Add("GET", path, "")
		f.Add("POST", path, "rate=7")
	}
	f.Fuzz(func(t *testing.T, method, path, body string) {
		if strings.Contains(path, "reload") || strings.Contains(path, "status") || strings.Contains(path, "pause") || strings.Contains(path, "resume") {
			return // which are of an engine
		}
		r, err := http.NewRequest(method, "http://dlfs"+path, strings.NewReader(body))
		if err != nil {
			return
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		limit := &origin.Limit{}
		limit.Set(42)
		c := &control{engine: &engine{limit: limit, log: slog.New(slog.DiscardHandler)}, stopAsked: make(chan struct{})}
		w := httptest.NewRecorder()
		c.mux().ServeHTTP(w, r)
		if got := limit.Get(); got < 0 || got != 42 && (method != "POST" || r.URL.Path != "/limit" || w.Code != http.StatusOK) {
			t.Errorf("%s %s: the limit is %d, status %d", method, path, got, w.Code)
		}
		select {
		case <-c.stopAsked:
			if method != "POST" || r.URL.Path != "/stop" {
				t.Errorf("%s %s stopped it", method, path)
			}
		default:
		}
		if w.Code == http.StatusInternalServerError {
			t.Errorf("%s %s: %s", method, path, w.Body)
		}
	})
}

// FuzzRate: what is taken for a rate is one, and is shown as one that would be taken
// again; what is not is said in one line.
func FuzzRate(f *testing.F) {
	for _, s := range []string{"0", "none", "10M", "1.5MiB/s", "500k", " 7 b/s ", "1e3G", "-1", "NaN", "Inf", "0x1p4", "9223372036854775807", "8388608T", "1_000", "k", "0.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r, back rate
		if err := r.UnmarshalText([]byte(text)); err != nil {
			if s := err.Error(); strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }) {
				t.Errorf("%q prints as %q", text, s)
			}
			return
		}
		if r < 0 {
			t.Fatalf("%q is %d", text, r)
		}
		if err := back.UnmarshalText([]byte(r.String())); r < 1<<50 && (err != nil || back < r-r/10 || back > r+r/10) {
			t.Errorf("%q is shown as %s, which is %d: %v", text, r, back, err)
		}
	})
}
