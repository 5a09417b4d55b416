package listfile

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// canary is what FuzzParse adds to the URLs of a list.
const canary = "CANARY7f3a"

// FuzzParse holds Parse to its promises, whatever the list.
func FuzzParse(f *testing.F) {
	samples, err := filepath.Glob("../testdata/lists/*")
	if err != nil || len(samples) == 0 {
		f.Fatal("no sample lists", err)
	}
	for _, sample := range samples {
		text, err := os.ReadFile(sample)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{
		"", "\ufeffname\turl\r\na\thttp://h/x", "\xff\xfea\x00",
		"a : http://h/1\na : http://h/1\na : http://h/2\na/b http://h/3",
		"a/b/c http://h/1\na/b http://h/2\na http://h/3",
		"../a ftp://h/x\n/b\thttp:///\nc\td\thttp://h/%zz\n.dlfs http://u:p/w@h/",
		"a\x1b\u009b\u202e\\\thttp://h/x", "http://h/%2e%2e%2f%00", "x\n\nhttp://h/?",
		"http:/h?u=https://", "://a://http://h/x", "1http://h/x", "# c\n \t\nhttp://h/a%20b",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		check(t, text, Options{})
		if isLines(text) { // in other forms what looks like a URL may be a name
			check(t, withSecrets(text), Options{})
		}
	})
}

// FuzzOptions checks lists that are read otherwise than by default.
func FuzzOptions(f *testing.F) {
	f.Add([]byte("a\t/x\n?y=1\n\thttp://h/b/c"), "http://h/d/", "*.tar", "**/[!a]?", uint8(1))
	f.Add([]byte("url,size\nhttp://h/b/c,5\n,,"), "", "", "a/**", uint8(70))
	f.Add([]byte("a md5:0cc175b9c0f1b6a831c399e269772661"), "https://h", "", "", uint8(9))
	f.Fuzz(func(t *testing.T, text []byte, base, include, exclude string, form uint8) {
		opts := Options{BaseURL: base, Format: append(Dialects(), "")[int(form)%(len(Dialects())+1)]}
		opts.NameFrom = []NameFrom{"", Basename, Path, Disposition}[form>>6]
		if include != "" {
			opts.Include = []string{include}
		}
		if exclude != "" {
			opts.Exclude = []string{exclude}
		}
		if _, err := newParser("list", opts); err != nil {
			if strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Errorf("prints as %q", err)
			}
			return
		}
		l := check(t, text, opts)
		if l == nil {
			return
		}
		if opts.NameFrom == Disposition {
			return // patterns are of names that the origins are to be asked for
		}
		for _, e := range l.Entries {
			for _, pattern := range []string{include, exclude} {
				want, comparable := matches(pattern, e.Name)
				if comparable && want != (pattern == include) {
					t.Errorf("%q is kept by %q but for %q", e.Name, include, exclude)
				}
			}
		}
	})
}

// matches asks package path whether a pattern is of a name. Both mean the same by
// it if it has neither ** nor a set.
func matches(pattern, name string) (is, comparable bool) {
	if pattern == "" || strings.Contains(pattern, "**") || strings.Contains(pattern, "[") {
		return false, false
	}
	if !strings.Contains(pattern, "/") {
		name = path.Base(name)
	}
	is, err := path.Match(pattern, name)
	return is, err == nil
}

// withSecrets puts a password into the first URL of every line.
func withSecrets(text []byte) (out []byte) {
	for line := range strings.Lines(string(text)) {
		if at := urlStart(line); at >= 0 {
			at += strings.Index(line[at:], "://") + len("://")
			line = line[:at] + "u:" + canary + "@" + line[at:]
		}
		out = append(out, line...)
	}
	return out
}

// check parses a list and checks what must be true of any. The two parsers of
// names and URLs that it asks are the ones that will meet them next: io/fs and
// net/url.
func check(t *testing.T, text []byte, opts Options) *List {
	l, err := Parse(strings.NewReader(string(text)), "list", opts)
	packed := strings.HasPrefix(string(text), "\x1f\x8b")
	if l == nil {
		if !packed || err == nil {
			t.Fatal("no list: ", err)
		}
		return nil
	}
	if err != nil {
		checkError(t, err)
	}
	names := make(map[string]bool)
	lines, last := strings.Count(string(text), "\n")+strings.Count(string(text), "\r")+1, 0
	for _, e := range l.Entries {
		if e.Name == "" && opts.NameFrom == Disposition {
			continue // its origin is to be asked
		}
		if !fs.ValidPath(e.Name) || !filepath.IsLocal(e.Name) || e.Name == "." || strings.ContainsFunc(e.Name, unicode.IsControl) {
			t.Errorf("name %q is not safe", e.Name)
		}
		if names[e.Name] {
			t.Errorf("name %q stands twice", e.Name)
		}
		names[e.Name] = true
		if e.Line < last || e.Line == last && l.Dialect != JSON && l.Dialect != Metalink || e.Line > lines && !packed {
			t.Errorf("line %d after %d of %d", e.Line, last, lines)
		}
		last = e.Line
		u, err := url.Parse(escapePercent(e.URL)) // as it is asked for
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			t.Errorf("URL %q is not one to fetch: %v", e.URL, err)
		}
	}
	for name := range names {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if names[dir] {
				t.Errorf("name %q lies in the file %q", name, dir)
			}
		}
	}
	if (l.Dialect == Empty) != (len(l.Entries) == 0) {
		t.Errorf("dialect %s of %d entries", l.Dialect, len(l.Entries))
	}
	return l
}

// checkError checks that the problems are in order and safe to print.
func checkError(t *testing.T, err error) {
	errs, ok := errors.AsType[Errors](err)
	if !ok || len(errs) == 0 {
		t.Fatalf("error is %T: %v", err, err)
	}
	if !slices.IsSortedFunc(errs, func(a, b *SyntaxError) int { return a.Line - b.Line }) {
		t.Errorf("not in line order:\n%v", err)
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != len(errs) {
		t.Errorf("%d problems print as %d lines", len(errs), got)
	}
	for _, c := range err.Error() {
		if c != '\n' && c != ' ' && !unicode.IsPrint(c) {
			t.Errorf("prints %U: %q", c, err)
		}
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("quotes a secret: %v", err)
	}
}

// FuzzChecksums holds ParseChecksums to its promises.
func FuzzChecksums(f *testing.F) {
	f.Add([]byte("6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b  a b\n\\0cc175b9c0f1b6a831c399e269772661 *c\\n"))
	f.Add([]byte("MD5 (a) = 0cc175b9c0f1b6a831c399e269772661\r\n# c\n0cc175b9c0f1b6a831c399e269772661\t./d"))
	f.Fuzz(func(t *testing.T, text []byte) {
		sums, _, err := ParseChecksums(strings.NewReader(string(text)), "SUMS")
		if sums == nil {
			t.Fatal("no sums")
		}
		if err != nil {
			checkError(t, err)
		}
		for name, sum := range sums {
			if name == "" || sum.IsZero() {
				t.Errorf("%q has %v", name, sum)
			}
		}
	})
}

// FuzzWrite checks that what was parsed is read back as it was written.
func FuzzWrite(f *testing.F) {
	f.Add([]byte("a\thttp://h/1\nb : http://h/2"), "why")
	f.Add([]byte(`{"name":"a","url":"http://h/1","size":5,"headers":{"X":"y"},"mtime":"2024-02-03T04:05:06Z"}`), "a\nb")
	f.Add([]byte("http://h/a\thttp://m/a\n out=b\n checksum=md5=0cc175b9c0f1b6a831c399e269772661"), "\x1b[31m")
	f.Add([]byte("http://h/a\n out= b"), "") // a name that a line would lose the blank of
	f.Add([]byte("http://h/a\n out=#b"), "")
	f.Add([]byte("http://h/a\n out={b"), "")
	f.Add([]byte("http://h/a\n out=\ufeffb"), "")
	f.Add([]byte("http://h/a\n out='b"), "")
	f.Add([]byte("http://h/a\n out=b\ufeff"), "")
	f.Add([]byte("http://h/a\n out=1.2MB"), "")
	f.Fuzz(func(t *testing.T, text []byte, why string) {
		l, err := Parse(strings.NewReader(string(text)), "list", Options{})
		if l == nil {
			t.Skip(err)
		}
		var out strings.Builder
		if err := Write(&out, l.Entries, func(string) string { return why }); err != nil {
			t.Fatal(err)
		}
		back, err := Parse(strings.NewReader(out.String()), "back", Options{})
		if err != nil || len(back.Entries) != len(l.Entries) {
			t.Fatalf("%v: %d entries came back as %d\n%s", err, len(l.Entries), len(back.Entries), &out)
		}
		for i, e := range back.Entries {
			e.Line = l.Entries[i].Line
			if !reflect.DeepEqual(normal(e), normal(l.Entries[i])) {
				t.Errorf("%+v %+v came back as %+v %+v", l.Entries[i], l.Entries[i].Details, e, e.Details)
			}
		}
	})
}

// isLines reports whether a list is read line by line, by the forms of a line.
func isLines(text []byte) bool {
	l, err := Parse(strings.NewReader(string(text)), "list", Options{})
	if l == nil || err != nil && err.(Errors).Cost() == Rest {
		return false
	}
	switch l.Dialect {
	case Tab, Colon, URLs, Pget, Mixed:
		return l.Columns == ""
	}
	return false
}
