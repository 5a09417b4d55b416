package origintest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestHonestWhole(t *testing.T) {
	x := newFixture(t)
	a := x.get("")
	a.expect(t).code(200).contentLength(size).bytesAt(0, size).
		field("Accept-Ranges", "bytes").
		field("Content-Range", "").
		field("Content-Type", "application/octet-stream")
	if tag := a.header.Get("ETag"); !strings.HasPrefix(tag, `"`) {
		t.Errorf("ETag %q is not strong", tag)
	}
	if _, err := http.ParseTime(a.header.Get("Last-Modified")); err != nil {
		t.Errorf("Last-Modified: %v", err)
	}
	x.ask("HEAD", "/a.tar").expect(t).code(200).contentLength(size).
		field("Accept-Ranges", "bytes").
		field("ETag", a.header.Get("ETag")).
		field("Last-Modified", a.header.Get("Last-Modified"))
}

func TestHonestRanges(t *testing.T) {
	x := newFixture(t)
	tests := []struct {
		rang   string
		status int
		off, n int64
	}{
		{"bytes=0-0", 206, 0, 1},
		{"bytes=0-99", 206, 0, 100},
		{"bytes=1-1", 206, 1, 1},
		{"bytes=4096-8191", 206, 4096, 4096},
		{"bytes=0-", 206, 0, size},
		{"bytes=0-99999", 206, 0, size},
		{"bytes=0-100000", 206, 0, size},
		{"bytes=99999-", 206, size - 1, 1},
		{"bytes=99999-99999", 206, size - 1, 1},
		{"bytes=99999-200000", 206, size - 1, 1},
		{"bytes=5-99999999999999999999", 206, 5, size - 5},
		{"bytes=-1", 206, size - 1, 1},
		{"bytes=-100000", 206, 0, size},
		{"bytes=-100001", 206, 0, size},
		{"bytes=100000-", 416, 0, 0},
		{"bytes=100000-100000", 416, 0, 0},
		{"bytes=99999999999999999999-", 416, 0, 0},
		{"bytes=-0", 416, 0, 0},
		{"bytes=2-1", 200, 0, size},
		{"bytes=-", 200, 0, size},
		{"bytes=", 200, 0, size},
		{"bytes=a-b", 200, 0, size},
		{"bytes=+1-2", 200, 0, size},
		{"bytes=1--2", 200, 0, size},
		{"bytes=0-1,3-4", 200, 0, size},
		{"words=0-1", 200, 0, size},
		{"0-1", 200, 0, size},
	}
	for _, tt := range tests {
		t.Run(tt.rang, func(t *testing.T) {
			e := x.get(tt.rang).expect(t).code(tt.status)
			switch tt.status {
			case 206:
				e.bytesAt(tt.off, tt.n).contentLength(tt.n).
					field("Content-Range", fmt.Sprintf("bytes %d-%d/%d", tt.off, tt.off+tt.n-1, size))
			case 416:
				e.field("Content-Range", "bytes */100000").text("416")
			case 200:
				e.bytesAt(0, size).field("Content-Range", "")
			}
		})
	}
}

func TestHonestEmptyFile(t *testing.T) {
	x := newFixture(t)
	x.Put("/empty", File{})
	x.ask("GET", "/empty").expect(t).code(200).contentLength(0)
	x.ask("HEAD", "/empty").expect(t).code(200).contentLength(0)
	for _, rang := range []string{"bytes=0-0", "bytes=0-", "bytes=-1"} {
		x.ask("GET", "/empty", "Range", rang).expect(t).code(416).field("Content-Range", "bytes */0")
	}
}

func TestHeadIgnoresRange(t *testing.T) {
	x := newFixture(t)
	x.ask("HEAD", "/a.tar", "Range", "bytes=0-0").expect(t).code(200).contentLength(size)
}

func TestOtherMethodsAndPaths(t *testing.T) {
	x := newFixture(t)
	x.ask("POST", "/a.tar").expect(t).code(405).field("Allow", "GET, HEAD")
	x.ask("GET", "/b.tar").expect(t).code(404).text("404 Not Found")
	x.ask("HEAD", "/b.tar").expect(t).code(404)
	x.Put("b.tar", File{Content: content}) // a slash is added
	x.ask("GET", "/b.tar?q=1").expect(t).code(200).bytesAt(0, size)
	x.Remove("b.tar")
	x.ask("GET", "/b.tar").expect(t).code(404)
}

func TestFileFields(t *testing.T) {
	x := newFixture(t)
	day := time.Date(2020, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600))
	text := Text("hello, world\n")
	text.ETag, text.ModTime, text.ContentType = "v1", day, "text/plain"
	x.Put("/t", text)
	x.ask("GET", "/t", "Range", "bytes=7-11").expect(t).code(206).text("world").
		field("Content-Range", "bytes 7-11/13").
		field("Content-Type", "text/plain").
		field("ETag", `"v1"`).
		field("Last-Modified", "Mon, 03 Feb 2020 03:05:06 GMT")

	x.Put("/t", File{Content: content, ETag: "-", ModTime: time.Unix(0, 0)})
	x.ask("GET", "/t").expect(t).code(200).field("ETag", "").field("Last-Modified", "")

	x.Put("/t", File{Content: content, ETag: `W/"v"`})
	x.ask("GET", "/t").expect(t).field("ETag", `W/"v"`)
}

func TestVersionsDiffer(t *testing.T) {
	files := map[string]File{
		"content":      {Content: content},
		"other seed":   {Content: Content{Seed: 2, Size: size}},
		"other size":   {Content: Content{Seed: 1, Size: size + 1}},
		"text":         Text("abc"),
		"other text":   Text("abd"),
		"shorter text": Text("ab"),
	}
	tags := make(map[string]string)
	dates := make(map[string]string)
	for name, f := range files {
		shown := f.withDefaults()
		if same, ok := tags[shown.ETag]; ok {
			t.Errorf("%s and %s share the ETag %s", name, same, shown.ETag)
		}
		if same, ok := dates[shown.lastModified()]; ok {
			t.Errorf("%s and %s share the date", name, same)
		}
		tags[shown.ETag], dates[shown.lastModified()] = name, name
		if again := f.withDefaults(); again.ETag != shown.ETag || !again.ModTime.Equal(shown.ModTime) {
			t.Errorf("%s: another ETag or date for the same bytes", name)
		}
	}
}

func TestIfRange(t *testing.T) {
	x := newFixture(t)
	strong := x.get("").header
	get := func(ifRange string) *expectation {
		t.Helper()
		return x.ask("GET", "/a.tar", "Range", "bytes=1-2", "If-Range", ifRange).expect(t)
	}
	get(`"other"`).code(206) // ignored unless the File says otherwise
	x.Put("/a.tar", File{Content: content, IfRange: true})
	get(strong.Get("ETag")).code(206).bytesAt(1, 2)
	get(strong.Get("Last-Modified")).code(206)
	get(`"other"`).code(200).bytesAt(0, size)
	get("W/" + strong.Get("ETag")).code(200)
	get("Mon, 03 Feb 2020 03:05:06 GMT").code(200)
	x.get("bytes=1-2").expect(t).code(206)
}

// An answer under way goes on with the version it began with.
func TestPutLeavesAnswersUnderWay(t *testing.T) {
	x := newFixture(t)
	release := make(chan struct{})
	hold := HoldAfter(10, release)
	x.Inject(hold)
	got := make(chan answer)
	go func() { got <- x.get("") }()
	if err := hold.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	x.Put("/a.tar", File{Content: Content{Seed: 2, Size: size}})
	x.Clear()
	close(release)
	(<-got).expect(t).code(200).bytesAt(0, size)
	if err := (Content{Seed: 2, Size: size}).Check(x.get("").body, 0); err != nil {
		t.Errorf("next answer: %v", err)
	}
}
