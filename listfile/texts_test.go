package listfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"
)

// TestPlainPathAgrees: what is taken for a plain URL is one to net/url, with the same path.
func TestPlainPathAgrees(t *testing.T) {
	plain := 0
	for _, raw := range []string{
		"http://h", "https://h/", "http://h/a/b.tar", "http://h:8080/a", "http://h:/a", "http://h./a",
		"http://1.2.3.4:80/a?b=c%2F", "http://h/a?b=100%&c=%zz", "http://h/a?b#c", "http://h/a?b c", "http://h/%41?b=%41", "https://h/a?b=c&d=/e", "http://h/a:b;c@d", "http://h/?", "http://h//a",
		"http://h?a", "http://h#a", "http://h/a#b", "http://h/a%20b", "http://h/%zz", "http://user@h/a", "http://[::1]/a",
		"http://h:80x/a", "http:///a", "http://:80/a", "http://h_a/b", "http://h/ä", "http://h/a b", "http://h/\x7f",
		"HTTP://h/a", "ftp://h/a", "h/a", "", "http://", "http://h/[a]^`{|}", `http://h/a\b`, "http://h/a<b>\"",
	} {
		path, is := plainPath(raw)
		if !is {
			continue
		}
		plain++
		u, err := checkURL(raw)
		if err != nil || u.Path != path {
			t.Errorf("%q is plain with the path %q; net/url says %v, %v", raw, path, u, err)
		}
	}
	if plain < 12 {
		t.Errorf("%d of the URLs are plain", plain)
	}
}

func FuzzPlainPath(f *testing.F) {
	f.Add("http://h:80/a?b")
	f.Fuzz(func(t *testing.T, raw string) {
		path, plain := plainPath(raw)
		if !plain {
			return
		}
		if u, err := checkURL(raw); err != nil || u.Path != path {
			t.Errorf("%q is plain with the path %q; net/url says %v, %v", raw, path, u, err)
		}
	})
}

// TestTextsAreShared: a name that the URL's path ends in takes no bytes of its own, and the
// texts of entries lie side by side.
func TestTextsAreShared(t *testing.T) {
	l, err := Parse(strings.NewReader("http://h/a.tar?x=1\nb\thttp://h/2\n"), "list", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if e := &l.Entries[0]; e.Name != "a.tar" || e.URL != "http://h/a.tar?x=1" ||
		unsafe.StringData(e.Name) != unsafe.StringData(e.URL[len("http://h/"):]) {
		t.Errorf("%+v has a name of its own", e)
	}
	if e := &l.Entries[1]; e.Name != "b" || e.URL != "http://h/2" {
		t.Errorf("%+v", e)
	}
	if first, second := uintptr(unsafe.Pointer(unsafe.StringData(l.Entries[0].URL))), uintptr(unsafe.Pointer(unsafe.StringData(l.Entries[1].URL))); second-first != uintptr(len(l.Entries[0].URL)) {
		t.Error("the texts of two entries are not side by side")
	}
}

// TestLongTexts: texts that are longer than a block, and many that fill some.
func TestLongTexts(t *testing.T) {
	var text strings.Builder
	url := func(i int) string {
		return fmt.Sprintf("http://h/%s/%d", strings.Repeat("x", i*7919%(mostBlock+100)), i)
	}
	for i := range 100 {
		fmt.Fprintf(&text, "n%d\t%s\n", i, url(i))
	}
	l, err := Parse(strings.NewReader(text.String()), "list", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range l.Entries {
		if e.Name != fmt.Sprint("n", i) || e.URL != url(i) {
			t.Fatalf("entry %d is %.80q, %.80q", i, e.Name, e.URL)
		}
	}
}

// TestRoomForEntries: a list whose length is known is not copied from one slice of entries to
// the next, and ends with a slice that is not much too long.
func TestRoomForEntries(t *testing.T) {
	const n = 100_000
	var text strings.Builder
	for i := range n {
		text.WriteString(signedLine(i))
	}
	path := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := Parse(f, "list", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Entries) != n || cap(l.Entries) > n*11/10 {
		t.Errorf("%d entries in room for %d", len(l.Entries), cap(l.Entries))
	}
}

// TestRoomIsNotPromised: a file whose length says nothing of what is in it, because the rest
// is zeros, gets no room for entries that it has not.
func TestRoomIsNotPromised(t *testing.T) {
	entries := make([]Entry, 1000)
	grown := progress{total: 1 << 40, read: 1 << 14}.grow(entries)
	if len(grown) != len(entries) || cap(grown) > 5*len(entries) {
		t.Errorf("%d entries have room for %d", len(grown), cap(grown))
	}
	if cap(progress{}.grow(entries)) != cap(entries) || lengthOf(errReader{}) != 0 {
		t.Error("room where the length of the list is not known")
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("no reader") }
