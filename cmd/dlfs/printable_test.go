package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNothingRawIsPrinted(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "",
		"plain é 漢\n\tand more\n":        "plain é 漢\n\tand more\n",
		"\x1b[31mred\x07":                `\u001b[31mred\u0007`,
		"\u202eRTL\u2066":                `\u202eRTL\u2066`,
		"\u009b5m":                       `\u009b5m`,
		"bad \xff\xc0 utf8":              `bad \xff\xc0 utf8`,
		"replacement \uFFFD stays":       "replacement \uFFFD stays",
		"tag \U000e0041":                 `tag \udb40\udc41`,
		"carriage\rreturn \u200bnothing": `carriage\u000dreturn \u200bnothing`,
	} {
		var b strings.Builder
		if n, err := (plainWriter{&b}).Write([]byte(in)); n != len(in) || err != nil {
			t.Errorf("%d, %v of %d bytes", n, err, len(in))
		}
		if b.String() != want {
			t.Errorf("%q is printed as %q, want %q", in, b.String(), want)
		}
	}
}

// JSON is escaped, too, and is the same afterwards.
func TestPrintedJSONStaysJSON(t *testing.T) {
	type status struct{ Name, Error string }
	in := status{"\u202e\x1b[2J\u009b\U000e0041 \\u0041", "a\n\"b\"\u2028"}
	var b strings.Builder
	if err := json.NewEncoder(plainWriter{&b}).Encode(in); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\u202e\x1b\u009b\U000e0041") {
		t.Errorf("raw: %q", b.String())
	}
	var out status
	if err := json.Unmarshal([]byte(b.String()), &out); err != nil || out != in {
		t.Errorf("%+v became %+v, %v", in, out, err)
	}
}

// TestACutIsOfWholeCharacters cuts texts at each of their bytes.
func TestACutIsOfWholeCharacters(t *testing.T) {
	for _, text := range []string{"plain", "größer", "漢字", "e\u0301", "👍🏽 done"} {
		for most := range len(text) {
			begin, cutOff := strings.CutSuffix(cut(text, most), "…")
			if !cutOff || !utf8.ValidString(begin) || !strings.HasPrefix(text, begin) || len(begin) > most || most-len(begin) >= utf8.UTFMax {
				t.Errorf("%q is cut at %d bytes to %q", text, most, begin)
			}
		}
		if got := cut(text, len(text)); got != text {
			t.Errorf("%q is cut to %q, though it has no byte too many", text, got)
		}
	}
}
