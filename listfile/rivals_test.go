package listfile

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// plainURLs makes distinct URLs of lines of text. It leaves out lines with a TAB, with
// a digest after a space, with the URL of a file before a space, or with the same name
// before and after a delimiter: nobody would call such a line a plain URL.
func plainURLs(text string) (urls []string) {
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		u := "http://h/" + strings.Trim(line, "\r\n\t ")
		before, _, spaced := strings.Cut(u, " ")
		again := slices.ContainsFunc([]string{",", ";", "|"}, func(d string) bool {
			a, b, found := strings.Cut(u, d)
			return found && (baseOf(a) == baseOf(b) || strings.Contains(b, `"`))
		})
		digests := slices.ContainsFunc(strings.Fields(u), func(word string) bool { return isDigest(word) })
		if digests || strings.ContainsAny(u, "\t\r\v\f\u0085") || seen[u] || again || spaced && (standsAlone(before) || strings.ContainsAny(u, `'"<`) || strings.Contains(u[8:], "://")) {
			continue
		}
		seen[u] = true
		urls = append(urls, u)
	}
	return urls
}

// checkPlain checks that a list of plain URLs is read as these URLs, or refused.
func checkPlain(t *testing.T, urls []string) {
	t.Helper()
	text := strings.Join(urls, "\n")
	l, err := Parse(strings.NewReader(text), "list", Options{})
	if err != nil {
		return
	}
	var got []string
	for i := range l.Entries {
		got = append(got, l.Entries[i].URL)
		if len(l.Entries[i].URLs()) > 1 {
			t.Errorf("%q: mirrors of %q", text, got[i])
		}
	}
	if !slices.Equal(got, urls) {
		t.Errorf("%q is read as %s: %q", text, l.Dialect, got)
	}
}

// FuzzPlainURLs: a list of plain URLs is read as these, or refused, whatever they are.
func FuzzPlainURLs(f *testing.F) {
	for _, text := range []string{
		"a\nb", "My File.bin\nMy Other.bin", "w_1,h_2/a.jpg\nw_1,h_2/b.jpg", "1,a.bin\n2,b.bin", "a;b.c\nd;e.f", "a|b.c", "a b\nc d",
		"a=b&c={d}\n\"x\"", "a#b\na,", "Episode 1\nEpisode 2", "url,name\na,b", "a 5 b\nc 6 d", "%20 %2c", "a -\nb -", "x " + md5A, "a,5," + md5A,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { checkPlain(t, plainURLs(text)) })
}

// TestPlainURLsOfAnyBytes is the same for lists as people have them: many URLs of one
// make.
func TestPlainURLsOfAnyBytes(t *testing.T) {
	const letters = "ab1 ,;|&=?#%'\"<>()[]{}@:+~!$*-_.ü文"
	rng := rand.New(rand.NewPCG(1, 2))
	runes := []rune(letters)
	for range 3000 {
		var pattern strings.Builder
		for range 1 + rng.IntN(8) {
			pattern.WriteRune(runes[rng.IntN(len(runes))])
		}
		begin, end := pattern.String(), []string{"", ".bin", ".jpg", "/x", "?y=1,2"}[rng.IntN(5)]
		var text strings.Builder
		for i := range 1 + rng.IntN(5) {
			text.WriteString(begin[:len(begin)/2] + strings.Repeat("z", i) + begin[len(begin)/2:] + end + "\n")
		}
		checkPlain(t, plainURLs(strings.ToValidUTF8(text.String(), "_")))
	}
}
