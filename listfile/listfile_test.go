package listfile

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// parse parses text as the list "list" and fails the test on any problem.
func parse(t *testing.T, text string) *List {
	t.Helper()
	l, err := Parse(strings.NewReader(text), "list", Options{})
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return l
}

// entries prints entries as "LINE NAME URL", to compare and to read.
func entries(l *List) []string {
	var out []string
	for _, e := range l.Entries {
		out = append(out, fmt.Sprintf("%d %s %s", e.Line, e.Name, e.URL))
	}
	return out
}

// TestLine is the grammar of one line.
func TestLine(t *testing.T) {
	tests := []struct {
		in        string
		name, url string
		dialect   Dialect
	}{
		// NAME<TAB>URL: the name is everything before the first TAB.
		{"a.tar\thttp://h/x", "a.tar", "http://h/x", Tab},
		{"dir/a b.tar\thttps://h/x", "dir/a b.tar", "https://h/x", Tab},
		{" a \t http://h/x ", "a", "http://h/x", Tab},
		{"a\t\thttp://h/x\t", "a", "http://h/x", Tab},
		{"a : b\thttp://h/x", "a : b", "http://h/x", Tab},
		{"a:\thttp://h/x", "a:", "http://h/x", Tab},
		{"dir/#1\thttp://h/x", "dir/#1", "http://h/x", Tab},

		// NAME : URL: the name is everything before the separators.
		{"a : http://h/x", "a", "http://h/x", Colon},
		{"a: http://h/x", "a", "http://h/x", Colon},
		{"a :http://h/x", "a", "http://h/x", Colon},
		{"a:http://h/x", "a", "http://h/x", Colon},
		{"a http://h/x", "a", "http://h/x", Colon},
		{"  a  ::  http://h/x  ", "a", "http://h/x", Colon},
		{"a b: c : http://h/x", "a b: c", "http://h/x", Colon},
		{"ö http://h/x", "ö", "http://h/x", Colon},

		// A plain URL: the name is the end of its decoded path.
		{"http://h/x", "x", "http://h/x", URLs},
		{"  http://h/dir/x.tar  ", "x.tar", "http://h/dir/x.tar", URLs},
		{"http://h/a%20b", "a b", "http://h/a%20b", URLs},
		{"http://h/dir%2Fb", "b", "http://h/dir%2Fb", URLs},
		{"http://h/x?y=/z#/w", "x", "http://h/x?y=/z#/w", URLs},
		{"http://h/ü", "ü", "http://h/ü", URLs},

		// The URL begins at the first scheme, and is kept as it is spelled.
		{"a http://h/x?u=https://i/y", "a", "http://h/x?u=https://i/y", Colon},
		{"a\tHTTPS://H:8443/x?a:b=c&d#e", "a", "HTTPS://H:8443/x?a:b=c&d#e", Tab},
		{"a\thttp://user:pw@[::1]:80/x", "a", "http://user:pw@[::1]:80/x", Tab},
		{"a\thttp://h", "a", "http://h", Tab},

		// Names may hold all that is safe.
		{"-rf\thttp://h/x", "-rf", "http://h/x", Tab},
		{"...\thttp://h/x", "...", "http://h/x", Tab},
		{".dlfs2/.dlfs\thttp://h/x", ".dlfs2/.dlfs", "http://h/x", Tab},
		{"\u202egpj.exe\thttp://h/x", "\u202egpj.exe", "http://h/x", Tab},
	}
	for _, tt := range tests {
		l, err := Parse(strings.NewReader(tt.in), "list", Options{})
		want := []Entry{{Name: tt.name, URL: tt.url, Line: 1}}
		if err != nil || !slices.Equal(l.Entries, want) || l.Dialect != tt.dialect {
			t.Errorf("%q: got %v %+v, %v; want %v %+v", tt.in, l.Dialect, l.Entries, err, tt.dialect, want)
		}
	}
}

// TestList is the grammar of lines together.
func TestList(t *testing.T) {
	tests := []struct {
		about   string
		in      string
		want    []string
		dialect Dialect
		header  int
	}{
		{"nothing", "", nil, Empty, 0},
		{"a byte order mark only", "\ufeff", nil, Empty, 0},
		{"blank lines only", "\n \t \r\n\n", nil, Empty, 0},
		{"comments only", "# a\thttp://h/x\n \t# b", nil, Empty, 0},
		{"a header only", "name : url\n", nil, Empty, 1},

		{"LF", "a\thttp://h/1\nb\thttp://h/2\n", []string{"1 a http://h/1", "2 b http://h/2"}, Tab, 0},
		{"CRLF", "a\thttp://h/1\r\nb\thttp://h/2\r\n", []string{"1 a http://h/1", "2 b http://h/2"}, Tab, 0},
		{"LF and CRLF", "a\thttp://h/1\nb\thttp://h/2\r\n", []string{"1 a http://h/1", "2 b http://h/2"}, Tab, 0},
		{"no final newline", "a\thttp://h/1\r\nb\thttp://h/2", []string{"1 a http://h/1", "2 b http://h/2"}, Tab, 0},
		{"final CR", "a\thttp://h/1\r", []string{"1 a http://h/1"}, Tab, 0},

		{"header", "name\turl\na\thttp://h/1\n", []string{"2 a http://h/1"}, Tab, 1},
		{"header in Latin-1", "gr\xf6\xdfe\turl\na\thttp://h/1\n", []string{"2 a http://h/1"}, Tab, 1},
		{"header after comment and blank", "# c\n\nname : url\na : http://h/1\n", []string{"4 a http://h/1"}, Colon, 3},
		{"no header, nothing lost", "# c\na : http://h/1\n", []string{"2 a http://h/1"}, Colon, 0},

		{"byte order mark, entry", "\ufeffa http://h/1\n", []string{"1 a http://h/1"}, Colon, 0},
		{"byte order mark, header", "\ufeffname url\na http://h/1\n", []string{"2 a http://h/1"}, Colon, 1},
		{"byte order mark, comment", "\ufeff# c\nhttp://h/1\n", []string{"2 1 http://h/1"}, URLs, 0},

		{"comments and blanks between", "http://h/1\n\n#\n \t\n  # c\nhttp://h/2", []string{"1 1 http://h/1", "6 2 http://h/2"}, URLs, 0},
		{"mixed", "a\thttp://h/1\nb : http://h/2\nc\thttp://h/3", []string{"1 a http://h/1", "2 b http://h/2", "3 c http://h/3"}, Mixed, 0},

		{"order kept, files beside directories", "b/c http://h/1\nb.d http://h/2\na http://h/3\nb/d/e http://h/4",
			[]string{"1 b/c http://h/1", "2 b.d http://h/2", "3 a http://h/3", "4 b/d/e http://h/4"}, Colon, 0},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			l := parse(t, tt.in)
			if got := entries(l); !slices.Equal(got, tt.want) {
				t.Errorf("entries %q, want %q", got, tt.want)
			}
			if l.Dialect != tt.dialect || l.Header != tt.header {
				t.Errorf("dialect %s, header %d; want %s, %d", l.Dialect, l.Header, tt.dialect, tt.header)
			}
		})
	}
}

func TestFoldedAndShared(t *testing.T) {
	l := parse(t, "a\thttp://h/1\nb\thttp://h/1\na : http://h/1\nc\thttp://h/2\nd\thttp://h/1\na\thttp://h/1\n")
	want := []string{"1 a http://h/1", "2 b http://h/1", "4 c http://h/2", "5 d http://h/1"}
	if got := entries(l); !slices.Equal(got, want) {
		t.Errorf("entries %q, want %q", got, want)
	}
	if l.Folded != 2 || l.SharedURLs != 2 {
		t.Errorf("folded %d, shared %d; want 2, 2", l.Folded, l.SharedURLs)
	}
}

// TestSamples reads the lists of testdata, which are also what users copy from.
func TestSamples(t *testing.T) {
	tests := []struct {
		file                           string
		dialect                        Dialect
		header, folded, shared, length int
		first, last                    string // names
		lastLine                       int
	}{
		{"seed.tsv", Tab, 1, 0, 1, 8, "sa_000020.tar", "sa_000027.tar", 9},
		{"colon.txt", Colon, 3, 1, 0, 5, "images/0001.tar", "notes/größe.txt", 10},
		{"urls.txt", URLs, 0, 0, 0, 4, "train-00000.parquet", "größe.bin", 5},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			f, err := os.Open("../testdata/lists/" + tt.file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			l, err := Parse(f, tt.file, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if l.Dialect != tt.dialect || l.Header != tt.header || l.Folded != tt.folded || l.SharedURLs != tt.shared {
				t.Errorf("got %s, header %d, folded %d, shared %d", l.Dialect, l.Header, l.Folded, l.SharedURLs)
			}
			if len(l.Entries) != tt.length {
				t.Fatalf("%d entries, want %d: %q", len(l.Entries), tt.length, entries(l))
			}
			first, last := l.Entries[0], l.Entries[tt.length-1]
			if first.Name != tt.first || last.Name != tt.last || last.Line != tt.lastLine {
				t.Errorf("first %q, last %q on line %d", first.Name, last.Name, last.Line)
			}
		})
	}
}

// TestSeedShape guards what makes seed.tsv worth having: an editor that saves
// it otherwise would quietly take the test's subject away.
func TestSeedShape(t *testing.T) {
	text, err := os.ReadFile("../testdata/lists/seed.tsv")
	if err != nil {
		t.Fatal(err)
	}
	s := string(text)
	if !strings.HasPrefix(s, "file_name\tcdn_link\r\n") {
		t.Error("header or CRLF is gone")
	}
	if strings.HasSuffix(s, "\n") {
		t.Error("has a final newline")
	}
	l := parse(t, s)
	for _, e := range l.Entries {
		if !strings.Contains(e.URL, "&src=a:b") || strings.HasSuffix(e.URL, "\r") {
			t.Errorf("line %d: signed query is not whole", e.Line)
		}
	}
}

// TestReadSizes parses one list however the reader cuts it.
func TestReadSizes(t *testing.T) {
	const text = "\ufeffname\turl\r\na\thttp://h/1\r\n# c\r\nb\thttp://h/2"
	want := []string{"2 a http://h/1", "4 b http://h/2"}
	readers := map[string]func(io.Reader) io.Reader{
		"one byte": iotest.OneByteReader,
		"half":     iotest.HalfReader,
		"data+EOF": iotest.DataErrReader,
	}
	for name, cut := range readers {
		l, err := Parse(cut(strings.NewReader(text)), "list", Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := entries(l); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestReadError checks that a list cut short is not taken for a short list, and
// that the problems before the cut do not hide it.
func TestReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	r := io.MultiReader(strings.NewReader("name\nnonsense\na\thttp://h/1\nb\tht"), iotest.ErrReader(broken))
	l, err := Parse(r, "list", Options{})
	if l != nil || !errors.Is(err, broken) {
		t.Fatalf("got %v, %v; want no list and the reader's error", l, err)
	}
	if got, want := err.Error(), "list: read line 4: disk on fire"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSizesThatAddUpToMoreThanInt64(t *testing.T) {
	var list strings.Builder
	for i := range 4 {
		fmt.Fprintf(&list, "{\"name\":\"f%d\",\"url\":\"http://h/f%d\",\"size\":4611686018427387904}\n", i, i)
	}
	if c := parse(t, list.String()).Count(); c.Sizes != 4 || c.Bytes != math.MaxInt64 {
		t.Errorf("%+v", c)
	}
}

// Runs of empty lines are counted, wherever they end in the buffer.
func TestRunsOfEmptyLines(t *testing.T) {
	for _, n := range []int{0, 1, 2, readSize - 1, readSize, readSize + 1, 3*readSize + 7} {
		empty := strings.Repeat("\n", n)
		l, err := Parse(strings.NewReader(empty+"http://h/a\n"+empty+"http://h/b\n"+empty), "list", Options{})
		want := []Entry{{Name: "a", URL: "http://h/a", Line: n + 1}, {Name: "b", URL: "http://h/b", Line: 2*n + 2}}
		if err != nil || !slices.Equal(l.Entries, want) {
			t.Errorf("%d: %+v, %v", n, l.Entries, err)
		}
	}
	l, err := Parse(strings.NewReader("http://h/a\n"+strings.Repeat("\n", readSize)+"b"), "list", Options{})
	if want := fmt.Sprintf("list:%d: no URL", readSize+2); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%+v, %v, want %s", l.Entries, err, want)
	}
}
