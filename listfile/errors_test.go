package listfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// problems parses a list and returns its problems as "LINE: msg".
func problems(t *testing.T, text string) (*List, []string) {
	t.Helper()
	l, err := Parse(strings.NewReader(text), "list", Options{})
	if l == nil {
		t.Fatalf("Parse(%.80q) returned no list: %v", text, err)
	}
	if err == nil {
		return l, nil
	}
	errs, ok := errors.AsType[Errors](err)
	if !ok {
		t.Fatalf("Parse(%.80q): error is %T", text, err)
	}
	var out []string
	for _, e := range errs {
		out = append(out, fmt.Sprintf("%d: %s", e.Line, e.Msg))
	}
	return l, out
}

// TestProblems is every message of a single line, in full.
func TestProblems(t *testing.T) {
	tests := []struct{ in, want string }{
		// The line.
		{"http://h/1\nname\turl", "2: no URL on this line; write NAME<TAB>URL, NAME : URL or a plain URL"},
		{"http://h/1\na\thttp:/h/x", "2: no URL on this line; write NAME<TAB>URL, NAME : URL or a plain URL"},
		{"http://h/1\nä://h/x", "2: no URL on this line; write NAME<TAB>URL, NAME : URL or a plain URL"},
		{"a\t17\thttp://h/x", "1: more than two TAB-separated fields; write NAME<TAB>URL and nothing else"},
		{"a\t17\t\thttp://h/x", "1: more than two TAB-separated fields; write NAME<TAB>URL and nothing else"},
		{"a\thttp://h/x\t17", "1: more than two TAB-separated fields; write NAME<TAB>URL and nothing else"},
		{"a\t: http://h/x", "1: text between the TAB and the URL; write NAME<TAB>URL and nothing else"},
		{"a\tb http://h/x", "1: text between the TAB and the URL; write NAME<TAB>URL and nothing else"},
		{"a,http://h/x", `1: name and URL are not apart; put a TAB, " : " or a space between them, or tell the columns of a table with --columns`},
		{"1http://h/x", `1: name and URL are not apart; put a TAB, " : " or a space between them, or tell the columns of a table with --columns`},
		{"\x1f\x8c\x08\x00", "1: this is binary data, not a list; a list is text"},
		{"\xff\xfea\x00\n\x00b\x00", "1: the list is UTF-16; save it as UTF-8"},
		{"\xfe\xff\x00a\x00\n\x00b", "1: the list is UTF-16; save it as UTF-8"},

		// The URL.
		{"a\tftp://h/x", `1: scheme "ftp" is not supported; use http or https`},
		{"a://http://h/x", `1: scheme "a" is not supported; use http or https`},
		{strings.Repeat("s", 99) + "://h/x", `1: scheme "` + strings.Repeat("s", 80) + `"… is not supported; use http or https`},
		{"foohttp://h/x", `1: scheme "foohttp" is not supported; use http or https`},
		{"a\tfile:///etc/passwd", `1: scheme "file" is not supported; use http or https`},
		{"a\thttp:///x", "1: URL has no host; write http://HOST/PATH or https://HOST/PATH"},
		{"a\thttp://:80/x", "1: URL has no host; write http://HOST/PATH or https://HOST/PATH"},
		{"a\thttp://u:p@/x", "1: URL has no host; write http://HOST/PATH or https://HOST/PATH"},
		{"a\thttp://h/x y", "1: white space inside the URL; write it as %20, and put nothing after the URL"},
		{"http://h/x # why", "1: white space inside the URL; write it as %20, and put nothing after the URL"},
		{"a\thttp://h/x\u00a0", "1: white space inside the URL; write it as %20, and put nothing after the URL"},
		{"a\thttp://h/x\x00", "1: control character inside the URL; remove it"},
		{"a\thttp://h/x\x7f", "1: control character inside the URL; remove it"},
		{"a\thttp://h/x\u009b", "1: control character inside the URL; remove it"},
		{"a\thttp://h/\xff", "1: URL is not valid UTF-8; percent-encode it"},
		{"a\thttp://%zz/a", "1: URL has a wrong percent-escape; write % itself as %25"},
		{"a\thttp://h:port/x", "1: URL does not parse; check its host and port"},
		{"a\thttp://[::1/x", "1: URL does not parse; check its host and port"},
		{"a\thttp://u:p/w@h/x", "1: URL does not parse; check its host and port"},
		{"http://h", "1: URL's path does not end in a name; write NAME<TAB>URL"},
		{"http://h/", "1: URL's path does not end in a name; write NAME<TAB>URL"},
		{"http://h/dir/?name=x", "1: URL's path does not end in a name; write NAME<TAB>URL"},
		{"http://h/dir%2F", "1: URL's path does not end in a name; write NAME<TAB>URL"},

		// The name.
		{"\thttp://h/x", "1: name is empty; write a name before the URL, or begin the line with the URL"},
		{" : http://h/x", "1: name is empty; write a name before the URL, or begin the line with the URL"},
		{"/\thttp://h/x", `1: name "/" is absolute; remove the leading /`},
		{"/etc/passwd\thttp://h/x", `1: name "/etc/passwd" is absolute; remove the leading /`},
		{"a/\thttp://h/x", `1: name "a/" ends in /; name a file, not a directory`},
		{"ä:// http://h/x", `1: name "ä://" ends in /; name a file, not a directory`},
		{"a//b\thttp://h/x", `1: name "a//b" has an empty component; remove the extra /`},
		{".\thttp://h/x", `1: name "." has a component "."; write the path without it`},
		{"./a\thttp://h/x", `1: name "./a" has a component "."; write the path without it`},
		{"..\thttp://h/x", `1: name ".." has a component ".."; write the path without it`},
		{"a/../../b\thttp://h/x", `1: name "a/../../b" has a component ".."; write the path without it`},
		{"http://h/..", `1: name ".." has a component ".."; write the path without it`},
		{"a\x00b\thttp://h/x", `1: name "a\x00b" holds the control character U+0000; remove it`},
		{"a\x1b[2J\thttp://h/x", `1: name "a\x1b[2J" holds the control character U+001B; remove it`},
		{"a\rb\thttp://h/x", `1: name "a\rb" holds the control character U+000D; remove it`},
		{"a\x7f\thttp://h/x", `1: name "a\x7f" holds the control character U+007F; remove it`},
		{"a\u009bb\thttp://h/x", `1: name "a\u009bb" holds the control character U+009B; remove it`},
		{"http://h/a%0Ab", `1: name "a\nb" holds the control character U+000A; remove it`},
		{`a\b` + "\thttp://h/x", `1: name "a\\b" holds a backslash; use / between directories`},
		{"a\xff\thttp://h/x", `1: name "a\xff" is not valid UTF-8; write it in UTF-8`},
		{"http://h/%ff", `1: name "\xff" is not valid UTF-8; write it in UTF-8`},
		{".dlfs\thttp://h/x", `1: name ".dlfs" lies in .dlfs, where dlfs keeps its own state; use another name`},
		{".DLFS\thttp://h/x", `1: name ".DLFS" lies in .dlfs, where dlfs keeps its own state; use another name`},
		{".Dlfs. ./x\thttp://h/x", `1: name ".Dlfs. ./x" lies in .dlfs, where dlfs keeps its own state; use another name`},
		{".dlfs/a\thttp://h/x", `1: name ".dlfs/a" lies in .dlfs, where dlfs keeps its own state; use another name`},

		// What a terminal would obey is escaped, what people write is not.
		{"/\u202e\u200bgröße名\thttp://h/x", `1: name "/\u202e\u200bgröße名" is absolute; remove the leading /`},
	}
	for _, tt := range tests {
		_, got := problems(t, tt.in)
		if !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%.80q:\n got %q\nwant %q", tt.in, got, tt.want)
		}
	}
}

// TestLongNames: a name that no file system takes costs its own entry, or nothing if
// it is only a guess.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("文", 90) + ".zip"
	text := "a.bin\thttp://h/1\n" + long + "\thttp://h/2\n" + "http://h/dir/文" + long + "\nhttp://h/x" + long + "?b\n" + strings.Repeat("y/", 2000) + "z\thttp://h/3\n"
	l := parse(t, text)
	if len(l.Entries) != 5 {
		t.Fatalf("%q", entries(l))
	}
	for i, want := range []string{"", "component of 274 bytes, more than 255", "", "", "4001 bytes, more than 4000"} {
		e := l.Entries[i]
		var refused error
		if e.Details != nil {
			refused = e.Details.Refused
		}
		if (refused == nil) != (want == "") || refused != nil && !strings.Contains(refused.Error(), want) {
			t.Errorf("%s is refused with %v, want %q", e.Name, refused, want)
		}
		if err := checkName(e.Name); err != nil {
			t.Error(err)
		}
	}
	name := l.Entries[2].Name
	if len(name) <= 200 || !strings.HasPrefix(name, "文文") || !strings.HasSuffix(name, ".zip") || name == l.Entries[3].Name {
		t.Errorf("shortened to %q", name)
	}
	if again := parse(t, text); again.Entries[2].Name != name {
		t.Errorf("shortened to %q and %q", name, again.Entries[2].Name)
	}
}

// TestLimits checks the lengths that are just right.
func TestLimits(t *testing.T) {
	longest := strings.Repeat("y", 255)
	parse(t, "a/"+longest+"\thttp://h/x")
	parse(t, strings.Repeat(longest+"/", 15)+strings.Repeat("z", 4000-15*256)+"\thttp://h/x")
	for _, ending := range []string{"", "\n", "\r\n"} {
		const begin = "a\thttp://h/"
		l := parse(t, begin+strings.Repeat("u", maxLine-len(begin))+ending)
		if got := len(l.Entries[0].URL); got != maxLine-2 {
			t.Errorf("URL of %d bytes, want %d", got, maxLine-2)
		}
		_, got := problems(t, begin+strings.Repeat("u", maxLine-len(begin)+1)+ending)
		want := []string{"1: line is longer than 1048576 bytes; remove it or shorten it"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestContradictions is every message that names an earlier line.
func TestContradictions(t *testing.T) {
	tests := []struct {
		about, in string
		want      []string
	}{
		{"other URL", "b http://h/0\n\na.tar http://h/1\na.tar http://h/2",
			[]string{`4: name "a.tar" already stands on line 3 with another URL; rename one of them or remove it`}},
		{"other URL twice", "a http://h/1\na http://h/2\na http://h/2\na http://h/1",
			[]string{
				`2: name "a" already stands on line 1 with another URL; rename one of them or remove it`,
				`3: name "a" already stands on line 1 with another URL; rename one of them or remove it`,
			}},
		{"plain URLs of one name", "http://h/1/x\nhttp://h/2/x",
			[]string{`2: name "x" already stands on line 1 with another URL; --name-from=path names files after the whole path of their URLs`}},
		{"file, then directory", "a http://h/1\na/b http://h/2",
			[]string{`2: name "a/b" lies in "a", which is a file on line 1; rename one of them`}},
		{"file, then directories", "x/a http://h/1\nx/a/b/c http://h/2",
			[]string{`2: name "x/a/b/c" lies in "x/a", which is a file on line 1; rename one of them`}},
		{"directory, then file", "a/b http://h/1\na http://h/2",
			[]string{`2: name "a" is a file here and a directory on line 1; rename one of them`}},
		{"directories, then file", "x/y/z http://h/1\nx/y/w http://h/2\nx http://h/3",
			[]string{`3: name "x" is a file here and a directory on line 1; rename one of them`}},
		{"a wrong line makes no directory", "a http://h/1\na/b/c http://h/2\na/b http://h/3\nd/.. http://h/4\nd http://h/5",
			[]string{
				`2: name "a/b/c" lies in "a", which is a file on line 1; rename one of them`,
				`3: name "a/b" lies in "a", which is a file on line 1; rename one of them`,
				`4: name "d/.." has a component ".."; write the path without it`,
			}},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			if _, got := problems(t, tt.in); !slices.Equal(got, tt.want) {
				t.Errorf("\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestAllProblems checks that nothing stops at the first problem, that they
// come in line order, and that the entries that are right come with them.
func TestAllProblems(t *testing.T) {
	text := strings.Join([]string{
		"name : url",
		"a : http://h/1",
		"nonsense",
		"../b : ftp://h/2",
		strings.Repeat("#", maxLine+1),
		"a/c : http://h/3",
		"d : http://h/4",
	}, "\n")
	l, err := Parse(strings.NewReader(text), "my list.txt", Options{})
	want := `my list.txt:3: no URL on this line; write NAME<TAB>URL, NAME : URL or a plain URL
my list.txt:4: name "../b" has a component ".."; write the path without it
my list.txt:4: scheme "ftp" is not supported; use http or https
my list.txt:5: line is longer than 1048576 bytes; remove it or shorten it
my list.txt:6: name "a/c" lies in "a", which is a file on line 2; rename one of them`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	if got, want := entries(l), []string{"2 a http://h/1", "7 d http://h/4"}; !slices.Equal(got, want) {
		t.Errorf("entries %q, want %q", got, want)
	}
	if l.Dialect != Colon || l.Header != 1 {
		t.Errorf("dialect %s, header %d; want colon, 1", l.Dialect, l.Header)
	}
}

// TestTooLongFirstLine checks that the line after one that is too long is not
// mistaken for a header.
func TestTooLongFirstLine(t *testing.T) {
	l, got := problems(t, strings.Repeat("x", maxLine+1)+"\nnonsense\na http://h/1\n")
	want := []string{
		"1: line is longer than 1048576 bytes; remove it or shorten it",
		"2: no URL on this line; write NAME<TAB>URL, NAME : URL or a plain URL",
	}
	if !slices.Equal(got, want) || len(l.Entries) != 1 {
		t.Errorf("got %q and %d entries, want %q and 1", got, len(l.Entries), want)
	}
}

func TestErrorsUnwrap(t *testing.T) {
	_, err := Parse(strings.NewReader("http://h/1\nx\ny\n"), "list", Options{})
	first, ok := errors.AsType[*SyntaxError](err)
	if !ok || first.File != "list" || first.Line != 2 {
		t.Errorf("got %+v, want the problem of line 2", first)
	}
}

// TestPrintableFile checks that the list's own name is safe to print, too.
func TestPrintableFile(t *testing.T) {
	for file, want := range map[string]string{
		"-":              "-:1: m",
		"dir/größe.tsv":  "dir/größe.tsv:1: m",
		"a\x1b[2J\n.tsv": `"a\x1b[2J\n.tsv":1: m`,
		"a\u202e.tsv":    `"a\u202e.tsv":1: m`,
	} {
		if got := (&SyntaxError{File: file, Line: 1, Msg: "m"}).Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestSecrets puts a secret wherever a URL may hold one, in URLs that are wrong
// in every way, and looks for it in the errors.
func TestSecrets(t *testing.T) {
	const secret = "hunter2"
	urls := []string{
		"ftp://h/x?sig=hunter2",
		"http:///x?sig=hunter2",
		"http://h/x?sig=hunter2 y",
		"http://h/x?sig=hunter2\x00",
		"http://h/%zz?sig=hunter2",
		"http://h/%hunter2",
		"http://h:hunter2/x",
		"http://u:hunter2/w@h/x",
		"http://u:hunter2^@h/x",
		"http://u:hunter2@/x",
		"http://[hunter2]/x",
		"http://[::1%25hunter2%]/x",
		"http://u:hunter2@h/?sig=hunter2#hunter2",
		"http://hunter2.example/hunter2/../..",
		"http:/h/x?sig=hunter2",
		"http:/h/x?sig=hunter2&next=http://h/y",
		"http://h/x?sig=hunter2\xff",
	}
	for _, u := range urls {
		for _, begin := range []string{"", "../a\t", "../a : ", "a\tb\t", "a,", "b\thttp://h/0\nb\t"} {
			_, err := Parse(strings.NewReader("http://h/first\n"+begin+u), "list", Options{})
			if err == nil {
				if begin == "" || strings.HasPrefix(u, "http://u:hunter2@h") {
					continue
				}
				t.Errorf("%q%q: no error", begin, u)
			} else if strings.Contains(err.Error(), secret) {
				t.Errorf("%q%q: %v", begin, u, err)
			}
		}
	}
}
