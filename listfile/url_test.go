package listfile

import (
	"strings"
	"testing"
)

// A percent sign that escapes nothing is one.
func TestBarePercent(t *testing.T) {
	for url, want := range map[string]string{
		"http://h/100%.bin":      "100%.bin",
		"http://h/100%":          "100%",
		"http://h/%zz":           "%zz",
		"http://h/50%25.bin":     "50%.bin",
		"http://h/a%20b%2.c?x=%": "a b%2.c",
	} {
		l, err := Parse(strings.NewReader(url+"\n"), "list", Options{})
		if err != nil || len(l.Entries) != 1 || l.Entries[0].Name != want || l.Entries[0].URL != url {
			t.Errorf("%s: %+v, %v", url, l, err)
		}
	}
}
