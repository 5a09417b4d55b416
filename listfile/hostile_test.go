package listfile

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
)

var entriesFlag = flag.Int("entries", 0, "how many lines TestLongList has; 0: a short form")

// TestLongList reads a list that is never in memory as a whole, and tells what
// it cost.
func TestLongList(t *testing.T) {
	n := *entriesFlag
	if n == 0 {
		n = 20_000
	}
	start, before := time.Now(), heap()
	l, err := Parse(&generated{n: n, line: signedLine}, "list", Options{})
	took := time.Since(start)
	if err != nil || len(l.Entries) != n {
		t.Fatal(len(l.Entries), err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%d lines in %v: %d MiB kept, %d MiB had of the system", n, took, (heap()-before)>>20, m.Sys>>20)
	runtime.KeepAlive(l)
}

// endlessLine is a line of n bytes.
func endlessLine(n int64) io.Reader {
	return io.LimitReader(&generated{n: int(n>>20) + 1, line: func(int) string { return mebibyte }}, n)
}

var mebibyte = strings.Repeat("x", 1<<20)

// allocated returns the bytes that f allocates, alive or not.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// Whatever a list repeats without end, there is one problem that says so, and
// little memory that was used.
func TestListsWithoutEnd(t *testing.T) {
	const most = 512 << 20
	long := func(head, unit, tail string, size int) io.Reader {
		block := strings.Repeat(unit, max(1, 1<<20/len(unit)))
		n := size/len(block) + 1
		return io.MultiReader(strings.NewReader(head), &generated{n: n, line: func(int) string { return block }}, strings.NewReader(tail))
	}
	for name, tt := range map[string]struct {
		list io.Reader
		want string
	}{
		"a line of 1 GiB":          {endlessLine(1 << 30), "list:1: line is longer than 1048576 bytes; remove it or shorten it"},
		"a line of NULs":           {long("", "\x00", "", 512<<20), "list:1: this is binary data, not a list"},
		"a JSON text":              {long(`[{"name":"`, "x", "", 64<<20), "list:1: object is longer than 16777216 bytes; the JSON is not complete"},
		"a JSON text alone":        {long(`{"url":"`, "x", "", 64<<20), "list:1: object is longer than 16777216 bytes; the JSON is not complete"},
		"a JSON object of keys":    {numbered(`{"name":"a"`, `,"k%d":1`, 8_000_000), "list:1: object is longer than 16777216 bytes; the JSON is not complete"},
		"JSON arrays in arrays":    {long("[1,", "[", "", 64<<20), "list:1: neither an object nor an array of objects"},
		"JSON lists in lists":      {long("", `{"files":[`, "", 64<<20), "list:1: neither an object nor an array of objects"},
		"white space in JSON":      {long("[", " ", "", 64<<20), "list:1: object is longer than 16777216 bytes; the JSON is not complete"},
		"a CSV field":              {long("name,url\n\"", "x", "", 64<<20), "list:2: record is longer than 1048576 bytes; a closing quote may be missing"},
		"XML in XML":               {long("<metalink>", "<a>", "", 64<<20), "list:1: elements lie in one another more than 64 deep"},
		"XML in a file of XML":     {long("<metalink><file>", "<a>", "", 64<<20), "list:1: elements lie in one another more than 64 deep"},
		"an XML attribute":         {long("<metalink><file name='", "x", "", 64<<20), "list:1: tag or text is longer than 1048576 bytes"},
		"XML text":                 {long("<metalink><file><url>", "x", "", 64<<20), "list:1: tag or text is longer than 1048576 bytes"},
		"wrong lines":              {long("http://h/a\n", "x\n", "", 1<<18), "list:524289: and 524283 more problems of this kind up to here, the first: no URL on this line"},
		"objects without a URL":    {long("[", "{\"a\":\"b\"},\n", "", 1<<18), "list:1000: and 995 more problems of this kind"},
		"a text without a URL":     {long("", "x\n", "", 1<<18), "list:1: none of the first 200 lines has a URL"},
		"one line again and again": {long("", "a http://h/a\n", "", 1<<18), ""},
		"one line without end":     {long("", "http://h/a\n", "", 1<<28), "list:2000001: the last 2000000 lines repeat earlier ones"},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			used := allocated(func() { _, err = Parse(tt.list, "list", Options{}) })
			if got := lastLine(err); !strings.HasPrefix(got, tt.want) || (err == nil) != (tt.want == "") {
				t.Errorf("got %.200q, want %q", got, tt.want)
			}
			if used > most {
				t.Errorf("%d MiB allocated", used>>20)
			}
		})
	}
}

// A file element may have as many hashes as fit, wherever it begins.
func TestFileElementsAreBounded(t *testing.T) {
	const most = 8192
	of := func(files, hashes int) error {
		file := "<file name='a'>" + strings.Repeat("<hash>00</hash>", hashes) + "</file>"
		in := &bounded{r: strings.NewReader("<metalink>" + strings.Repeat(file, files) + "</metalink>")}
		x := &boundedXML{dec: xml.NewDecoder(in), in: in, most: most}
		for {
			x.begin = x.dec.InputOffset()
			for element := true; element; element = x.depth > 1 {
				if _, err := x.Token(); err != nil {
					return err
				}
			}
		}
	}
	if err := of(100, most/20); err != io.EOF {
		t.Errorf("files that fit: %v", err)
	}
	if err := of(2, most/10); err != errFileElement {
		t.Errorf("a file that does not fit: %v", err)
	}
}

// numbered is head and then n units, each with its number.
func numbered(head, unit string, n int) io.Reader {
	return io.MultiReader(strings.NewReader(head), &generated{n: n, line: func(i int) string { return fmt.Sprintf(unit, i) }})
}

func lastLine(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// A packed list of a few KiB may be long when unpacked.
func TestPackedBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := io.Copy(z, endlessLine(16<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	used := allocated(func() { _, err = Parse(bytes.NewReader(bomb.Bytes()), "list", Options{}) })
	if want := "list:1: line is longer than 1048576 bytes; remove it or shorten it"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if used > 10<<20 {
		t.Errorf("%d KiB packed took %d KiB", bomb.Len()>>10, used>>10)
	}
	// A list in a list is not unpacked.
	var twice bytes.Buffer
	z = gzip.NewWriter(&twice)
	z.Write(bomb.Bytes())
	z.Close()
	if l, err := Parse(&twice, "list", Options{}); err == nil || len(l.Entries) > 0 {
		t.Errorf("unpacked twice: %v", err)
	}
	for n := range 16 { // cut off anywhere
		if _, err := Parse(bytes.NewReader(bomb.Bytes()[:2+n]), "list", Options{}); err == nil {
			t.Errorf("the first %d bytes of a packed list were taken for all of it", 2+n)
		}
	}
}

// The names of a list are bounded, files and directories together.
func TestNamesAreBounded(t *testing.T) {
	for text, tt := range map[string]struct {
		want int
		full bool
	}{
		"a http://h/1\nb http://h/2\nc http://h/3\nd http://h/4\ne http://h/5\n": {3, true},
		"a/b/c/d/e http://h/1\nf http://h/2\ng http://h/3\n":                     {1, true},
		"a http://h/1\na http://h/1\na http://h/1\nb http://h/2\nc http://h/3\n": {3, false},
	} {
		p, err := newParser("list", Options{})
		if err != nil {
			t.Fatal(err)
		}
		p.index.most = 3
		if err := p.eachLine(strings.NewReader(text), p.line); err != nil {
			t.Fatal(err)
		}
		err = p.faults.err()
		full := errors.As(err, new(Errors)) && len(p.told) == 1 && strings.Contains(err.Error(), errFull.Error())
		if len(p.list.Entries) != tt.want || full != tt.full {
			t.Errorf("%q: %d entries, %v; want %d", text, len(p.list.Entries), err, tt.want)
		}
	}
}

// Names that escape, in every form that can say one.
func TestNamesThatEscape(t *testing.T) {
	bad := []string{
		"..", "../x", "a/../../x", "a/..", "./x", "a/./x", ".", "/etc/passwd", "//x", "a//b", "a/", "", " ",
		`..\x`, `a\b`, `C:\x`, "a\x00b", "a\nb", "a\rb", "a\x1b[31mb", "a\x7fb", "a\u0085b", "a\u009bb", "\xff", "a\xc0\xafb", "\xed\xa0\x80",
		".dlfs", ".dlfs/x", ".dlfs/parts/x", strings.Repeat("x", 256), "d/" + strings.Repeat("x", 256), strings.Repeat("d/", 2000) + "x",
		strings.Repeat("é", 128), // 256 bytes
	}
	good := []string{
		"...", "..a", "a..", "-rf", "~", "$HOME", ".dlfsx", "a/.dlfs", ".hidden", "a b", strings.Repeat("x", 255), strings.Repeat("é", 127),
		strings.Repeat("d/", 1999) + "xx", "a\u202eb", "a\u200bb", "\ufeffx", "CON", "a:b", "*", "a\u2028b",
	}
	for _, name := range bad {
		if err := checkName(name); name != " " && err == nil {
			t.Errorf("%.100q is taken", name)
		}
		list := &List{Entries: []Entry{{Name: "ok", URL: "http://h/ok", Line: 1, Details: &Details{Size: -1, Guessed: true}}}}
		if err := list.Rename([]Answer{{Name: name}}, Options{}); err != nil {
			t.Fatal(err)
		}
		if e := list.Entries[0]; name != "" && name != " " && (e.Details.Refused == nil || e.Name != "ok") {
			t.Errorf("%.100q is taken from an origin", name)
		}
	}
	for _, name := range good {
		if err := checkName(name); err != nil {
			t.Errorf("%.100q: %v", name, err)
		}
	}
	text := "{\"name\":\"../x\",\"url\":\"http://h/x\"}\n"
	for form, text := range map[Dialect]string{
		JSON: text, Aria2: "http://h/x\n  out=x\n  dir=..\n", CSV: "name,url\n../x,http://h/x\n", TSV: "url\tname\nhttp://h/x\t../x\n",
		Rclone: "http://h/x,\"../x\"\n", BagIt: "http://h/x.bin 5 ../x\n", Metalink: `<metalink><file name="../x"><url>http://h/x</url></file></metalink>`,
		Pooch: "../x 0cc175b9c0f1b6a831c399e269772661 http://h/x\n", Tab: "../x\thttp://h/x\n", Colon: "../x : http://h/x\n",
	} {
		l, err := Parse(strings.NewReader(text), "list", Options{})
		if err == nil || len(l.Entries) > 0 || !strings.Contains(err.Error(), `has a component ".."`) {
			t.Errorf("%s: %v", form, err)
		}
	}
	l, err := Parse(strings.NewReader("http://h/%2e%2e/%2e%2e%2fx\nhttp://h/a/%2e%2e\n"), "list", Options{NameFrom: Path})
	if err == nil || len(l.Entries) > 0 {
		t.Errorf("names of URLs: %v", err)
	}
}
