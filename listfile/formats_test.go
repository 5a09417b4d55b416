package listfile

import (
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"dlfs/listfile/digest"
)

// sample parses a list of testdata.
func sample(t *testing.T, file string, opts Options) *List {
	t.Helper()
	f, err := os.Open(filepath.Join("../testdata/lists", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := Parse(f, file, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func sum(t *testing.T, text string) digest.Digest {
	t.Helper()
	d, err := digest.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSamplesOfEveryForm(t *testing.T) {
	at := time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, tt := range []struct {
		file    string
		dialect Dialect
		entries []Entry
	}{
		{"pget.txt", Pget, []Entry{
			{Name: "weights/unet.safetensors", URL: "https://weights.example/models/unet.safetensors", Line: 1},
			{Name: "weights/vae.bin", URL: "https://weights.example/models/vae.bin?sig=a%2Fb", Line: 2},
		}},
		{"annex.txt", Pget, []Entry{
			{Name: "sub-01/func/sub 01 bold.nii.gz", URL: "https://data.example/raw/sub-01_bold.nii.gz", Line: 1},
			{Name: "sub-02/func/sub 02 bold.nii.gz", URL: "https://data.example/raw/sub-02_bold.nii.gz", Line: 2},
		}},
		{"aria2.txt", Aria2, []Entry{
			{Name: "iso/debian-12.iso", URL: "https://mirror-a.example/debian.iso", Line: 2, Details: &Details{
				Size: -1, Mirrors: []string{"http://mirror-b.example/debian.iso"}, Digest: sum(t, "sha256:81d93757457f988523814ae0009837ae893f38d3fe123f2c37896f118b4c7804")}},
			{Name: "private.bin", URL: "https://origin.example/private.bin", Line: 6, Details: &Details{Size: -1, Header: http.Header{
				"X-Api-Key": {"s3cret"}, "Accept-Language": {"de"}, "Referer": {"https://origin.example/index.html"}, "User-Agent": {"Mozilla/5.0"}}}},
			{Name: "plain.txt", URL: "https://origin.example/plain.txt", Line: 13},
		}},
		{"columns.csv", CSV, []Entry{
			{Name: "a,b.tar", URL: "https://cdn.example/1?sig=x,y", Line: 2, Details: &Details{Size: 1048576, Digest: sum(t, "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b")}},
			{Name: "sub/c.tar", URL: "https://cdn.example/2", Line: 3},
		}},
		{"columns.tsv", TSV, []Entry{
			{Name: "sa_000020.tar", URL: "https://scontent.example/m1/a.tar?oe=645478A8", Line: 2, Details: &Details{Size: 11000000000, Digest: sum(t, "0cc175b9c0f1b6a831c399e269772661")}},
			{Name: "sa_000021.tar", URL: "https://scontent.example/m1/b.tar?oe=645478A8", Line: 3, Details: &Details{Size: 10999999999, Digest: sum(t, "92eb5ffee6ae2fec3ad71c777531578f")}},
		}},
		{"rclone.csv", Rclone, []Entry{
			{Name: "archives/a.zip", URL: "https://rclone.example/a.zip", Line: 1},
			{Name: "archives/b, c.zip", URL: "https://rclone.example/b%20c.zip", Line: 2},
		}},
		{"full.jsonl", JSON, []Entry{
			{Name: "a/1.bin", URL: "https://h.example/1?k=v", Line: 1, Details: &Details{Size: 5, Header: http.Header{"X-Token": {"t"}},
				Digest: sum(t, "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b")}},
			{Name: "a/2.bin", URL: "https://h.example/2", Line: 2, Details: &Details{Size: -1, Mirrors: []string{"https://m.example/2"}, ModTime: at}},
			{Name: "3.bin", URL: "https://h.example/dir/3.bin", Line: 3},
		}},
		{"fetchfs.json", JSON, []Entry{
			{Name: "train/x.bin", URL: "https://h.example/x", Line: 5, Details: &Details{Size: 10, ModTime: at}},
			{Name: "train/y.bin", URL: "https://h.example/y", Line: 6},
		}},
		{"array.json", JSON, []Entry{
			{Name: "p.bin", URL: "https://h.example/p.bin", Line: 1, Details: &Details{Size: 7}},
			{Name: "q.bin", URL: "https://h.example/q.bin", Line: 1},
		}},
		{"fetch.txt", BagIt, []Entry{
			{Name: "data/images/a.jpg", URL: "https://archive.example/a.jpg", Line: 1, Details: &Details{Size: 26768}},
			{Name: "data/images/100% b.jpg", URL: "https://archive.example/b%20c.jpg", Line: 2},
		}},
		{"tsvhttpdata.tsv", TSVHTTPData, []Entry{
			{Name: "obj1", URL: "https://bucket.example/buckets/obj1", Line: 2, Details: &Details{Size: 1357, Digest: sum(t, "md5:c0710d6b4f15dfa88f600b0e6b624077")}},
			{Name: "obj2", URL: "https://bucket.example/buckets/obj2", Line: 3, Details: &Details{Size: 2468}},
			{Name: "obj3", URL: "https://bucket.example/buckets/obj3", Line: 4},
		}},
		{"registry.txt", Pooch, []Entry{
			{Name: "c137.csv", URL: "https://data.example/c137.csv", Line: 2, Details: &Details{Size: -1, Digest: sum(t, "2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6")}},
			{Name: "with space.nc", URL: "https://data.example/with%20space.nc", Line: 3, Details: &Details{Size: -1, Digest: sum(t, "7b8b965ad4bca0e41ab51de7b31363a1")}},
			{Name: "cronen.csv", URL: "https://data.example/cronen.csv", Line: 4, Details: &Details{Size: -1, Digest: sum(t, "11f6ad8ec52a2984abaafd7c3b516503785c2072")}},
		}},
		{"v4.meta4", Metalink, []Entry{
			{Name: "iso/example.ext", URL: "https://first.example/example.ext", Line: 4, Details: &Details{Size: 14471447,
				Mirrors: []string{"http://second.example/example.ext", "http://last.example/example.ext"},
				Digest:  sum(t, "3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea"),
				Pieces: &digest.Pieces{Length: 7235724, Sums: []digest.Digest{
					sum(t, "169b5b823c62b64ca7e5f8456a13c8d5d06f4ece522a58bc2b8a784dcf3609b0"),
					sum(t, "f64551fcd6f07823cb87971cfb91446425da18286b3ab1ef935e0cbd7a69f68a")}}}},
			{Name: "other.bin", URL: "https://first.example/other.bin", Line: 19},
		}},
		{"v3.metalink", Metalink, []Entry{
			{Name: "old.iso", URL: "http://high.example/old.iso", Line: 4, Details: &Details{Size: 20,
				Mirrors: []string{"http://low.example/old.iso"}, Digest: sum(t, "7a81af3e591ac713f81ea1efe93dcf36157d8376")}},
		}},
	} {
		for _, opts := range []Options{{}, {Format: tt.dialect}} {
			l := sample(t, tt.file, opts)
			if l.Dialect != tt.dialect {
				t.Errorf("%s is taken for %s", tt.file, l.Dialect)
			}
			if len(l.Entries) != len(tt.entries) {
				t.Errorf("%s has %d entries, want %d", tt.file, len(l.Entries), len(tt.entries))
				continue
			}
			for i, got := range l.Entries {
				if want := tt.entries[i]; !reflect.DeepEqual(normal(got), normal(want)) {
					t.Errorf("%s: got\n%+v %+v, want\n%+v %+v", tt.file, got, got.Details, want, want.Details)
				}
			}
		}
	}
}

// normal makes entries comparable that say the same.
func normal(e Entry) Entry {
	if e.Details == nil {
		return e
	}
	d := *e.Details
	if len(d.Mirrors) == 0 {
		d.Mirrors = nil
	}
	e.Details = &d
	return e
}

func TestCount(t *testing.T) {
	for file, want := range map[string]Counts{
		"seed.tsv": {}, "aria2.txt": {Mirrors: 1, Digests: 1}, "columns.csv": {Sizes: 1, Bytes: 1048576, Digests: 1},
		"v4.meta4": {Mirrors: 1, Sizes: 1, Bytes: 14471447, Digests: 1},
	} {
		if got := sample(t, file, Options{}).Count(); got != want {
			t.Errorf("%s: %+v, want %+v", file, got, want)
		}
	}
}

func TestGzippedList(t *testing.T) {
	plain, packed := sample(t, "seed.tsv", Options{}), sample(t, "seed.tsv.gz", Options{})
	if !reflect.DeepEqual(plain, packed) {
		t.Error("the gzipped list is another one")
	}
}

// What looks like one form and is another.
func TestFormsAreToldApart(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Dialect
	}{
		{"https://h/x?a=1,2\nhttps://h/y?a=1,2", URLs},
		{"https://h/file.bin,v1.0/file.bin", Rclone},
		{"name\turl\na\thttps://h/a", Tab},
		{"url\tname\nhttps://h/a\ta", TSV},
		{"url,name\nhttps://h/a,a", CSV},
		{"a : https://h/a\nb\thttps://h/b", Mixed},
		{"https://h/a 5 data/b", BagIt},
		{"https://h/a.x 5 b.x", BagIt},
		{"https://h/a.x 5 b.x\nhttps://h/c.x d.x", Pget},
		{"https://h/a\thttps://m/a", Aria2},
		{"https://h/a\n out=b", Aria2},
		{" https://h/a?b=c", URLs},
		{"\n\n {\"url\":\"https://h/a\"}", JSON},
		{"\ufeff[{\"url\":\"https://h/a\"}]", JSON},
		{"", Empty},
		{"# nothing\n", Empty},
	} {
		l, err := Parse(strings.NewReader(tt.text), "list", Options{})
		if err != nil || l.Dialect != tt.want {
			t.Errorf("%q is taken for %s, want %s: %v", tt.text, l.Dialect, tt.want, err)
		}
	}
}

func TestProblemsOfEveryForm(t *testing.T) {
	for _, tt := range []struct {
		format     Dialect
		text, want string
		line       int
	}{
		{Aria2, "http://h/a\n out=../b", "component", 1},
		{Aria2, "http://h/a\n dir=/etc\n out=b", "absolute", 1},
		{Aria2, "http://h/a\n checksum=md5=12", "digest", 2},
		{Aria2, "http://h/a\n header=a b: c", "header field", 2},
		{Aria2, "http://h/a\n header=Range: bytes=0-", "dlfs alone decides about the header field \"Range\"", 2},
		{Aria2, "http://h/a\n header=a: c\x01secret", "control", 2},
		{Aria2, "http://h/a\n out=", "name is empty", 2},
		{Aria2, "http://h/a\n out", "NAME=VALUE", 2},
		{CSV, "name,url\na,http://h/a,b", "3 fields", 2},
		{CSV, "name,url\n\"a,http://h/a", "quote", 2},
		{CSV, "name,url,size\na,http://h/a,big", "size", 2},
		{CSV, "name,url,md5\na,http://h/a,zz", "hexadecimal", 2},
		{CSV, "name,url\na,", "no URL", 2},
		{JSON, "{\"url\":1}", "text", 1},
		{JSON, "\n{\"url\":\"http://h/a\",\"size\":-1}", "size", 2},
		{JSON, "{\"url\":\"http://h/a\",\"headers\":{\"a b\":\"c\"}}", "header field", 1},
		{JSON, "{\"url\":\"http://h/a\",\"mtime\":\"now\"}", "time", 1},
		{JSON, "{\"name\":\"a\"}", "no URL", 1},
		{JSON, "{\"url\":\"http://h/a\"", "not complete", 1},
		{JSON, "[{\"url\":\"http://h/a\"},\n5]", "neither", 2},
		{JSON, "{\"url\":\"http://h/a\"}\nx", "JSON is wrong", 2},
		{BagIt, "http://h/a 5", "LENGTH FILENAME", 1},
		{BagIt, "http://h/a x y", "size", 1},
		{BagIt, "http://h/a 5 a%0Ab", "control", 1},
		{TSVHTTPData, "http://h/a\t1\t2\t3", "three", 1},
		{TSVHTTPData, "http://h/a\t1\t?", "base64", 1},
		{Pooch, "a 12345678901234567890123456789012", "--base-url", 1},
		{Pooch, "a b c d", "HASH", 1},
		{Pooch, "a b http://h/a", "hexadecimal", 1},
		{Metalink, "<metalink><file name='a'>", "XML", 1},
		{Metalink, "<metalink><file name='a'><url>ftp://h/a</url></file></metalink>", "no http", 1},
		{Metalink, "<metalink><file><url>http://h/a</url></file></metalink>", "name is empty", 1},
		{Metalink, "<metalink>\n<file name='../a'><url>http://h/a</url></file></metalink>", "component", 2},
		{Metalink, "<metalink><file name='a'><size>x</size><url>http://h/a</url></file></metalink>", "size", 1},
		{Metalink, "<metalink><file name='a'><pieces length='0' type='md5'><hash>00</hash></pieces><url>http://h/a</url></file></metalink>", "length", 1},
		{Metalink, "<metalink><file name='a'><pieces length='x'/><url>http://h/a</url></file></metalink>", "number", 1},
	} {
		l, err := Parse(strings.NewReader(tt.text), "list", Options{Format: tt.format})
		errs, ok := err.(Errors)
		if !ok || l == nil {
			t.Errorf("%s %q: %v", tt.format, tt.text, err)
			continue
		}
		if len(errs) != 1 || errs[0].Line != tt.line || !strings.Contains(errs[0].Msg, tt.want) {
			t.Errorf("%s %q: %v, want line %d with %q", tt.format, tt.text, errs, tt.line, tt.want)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v tells a header's value", err)
		}
	}
}

func TestBaseURL(t *testing.T) {
	opts := Options{BaseURL: "https://h.example/dir/"}
	for text, want := range map[string][2]string{
		"a/b.bin":                          {"b.bin", "https://h.example/dir/a/b.bin"},
		"n\t../b.bin?x=%2F":                {"n", "https://h.example/b.bin?x=%2F"},
		"n\thttp://other/b":                {"n", "http://other/b"},
		"name\turl\nn\tc":                  {"n", "https://h.example/dir/c"},
		"a b.csv\t/root.bin":               {"a b.csv", "https://h.example/root.bin"},
		"c.csv " + strings.Repeat("a", 64): {"c.csv", "https://h.example/dir/c.csv"},
		`{"path":"p","url":"q"}`:           {"p", "https://h.example/dir/q"},
	} {
		l, err := Parse(strings.NewReader(text), "list", opts)
		if err != nil || len(l.Entries) != 1 || l.Entries[0].Name != want[0] || l.Entries[0].URL != want[1] {
			t.Errorf("%q: %+v, %v", text, l, err)
		}
	}
	if _, err := Parse(strings.NewReader(""), "list", Options{BaseURL: "ftp://h/"}); err == nil {
		t.Error("any base URL is taken")
	}
}

func TestNameFrom(t *testing.T) {
	const text = "https://h.example/a/b%20c.bin?x"
	for from, want := range map[NameFrom]string{"": "b c.bin", Basename: "b c.bin", Path: "a/b c.bin", Disposition: "b c.bin"} {
		l, err := Parse(strings.NewReader(text), "list", Options{NameFrom: from})
		if err != nil || l.Entries[0].Name != want {
			t.Fatalf("%s: %+v, %v", from, l, err)
		}
		if d := l.Entries[0].Details; (d != nil && d.Guessed) != (from == Disposition) {
			t.Errorf("%s: %+v", from, d)
		}
	}
	l, err := Parse(strings.NewReader("n\t"+text), "list", Options{NameFrom: Disposition})
	if err != nil || l.Entries[0].Details != nil {
		t.Error("a name of the list is a guess")
	}
}

func TestIncludeAndExclude(t *testing.T) {
	names := []string{"a.tar", "a.txt", "sub/b.tar", "sub/deep/c.tar", "sub/deep/c[1].txt"}
	for _, tt := range []struct {
		include, exclude []string
		want             string
	}{
		{nil, nil, "a.tar a.txt sub/b.tar sub/deep/c.tar sub/deep/c[1].txt"},
		{[]string{"*.tar"}, nil, "a.tar sub/b.tar sub/deep/c.tar"},
		{[]string{"sub/*"}, nil, "sub/b.tar"},
		{[]string{"sub/**"}, nil, "sub/b.tar sub/deep/c.tar sub/deep/c[1].txt"},
		{[]string{"**/c.tar"}, nil, "sub/deep/c.tar"},
		{[]string{"?.t[a-m]*", "**/c\\[1\\].txt"}, nil, "a.tar sub/b.tar sub/deep/c.tar sub/deep/c[1].txt"},
		{[]string{"*.t[!a]*"}, nil, "a.txt sub/deep/c[1].txt"},
		{[]string{"*.tar"}, []string{"sub/**"}, "a.tar"},
		{nil, []string{"**"}, ""},
	} {
		var text strings.Builder
		for _, n := range names {
			text.WriteString(n + "\thttp://h/" + n[:1] + "\n")
		}
		l, err := Parse(strings.NewReader(text.String()), "list", Options{Include: tt.include, Exclude: tt.exclude})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range l.Entries {
			got = append(got, e.Name)
		}
		if strings.Join(got, " ") != tt.want || l.LeftOut != len(names)-len(got) {
			t.Errorf("%q less %q: %q, %d left out", tt.include, tt.exclude, got, l.LeftOut)
		}
	}
	if _, err := Parse(strings.NewReader(""), "list", Options{Include: []string{"[a"}}); err == nil {
		t.Error("a broken pattern is taken")
	}
	if _, err := Parse(strings.NewReader("http://h/a"), "list", Options{Format: "excel"}); err == nil || !strings.Contains(err.Error(), "excel") {
		t.Errorf("unknown format: %v", err)
	}
}

func TestChecksumFiles(t *testing.T) {
	const md5, sha = "0cc175b9c0f1b6a831c399e269772661", "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
	text := sha + "  a b.tar\n" + md5 + " *bin/c\r\n" + `\` + md5 + `  back\\slash\nnewline` + "\n# c\n" +
		"SHA256 (d (1).txt) = " + sha + "\n" + md5 + "\t./e/f.gz\n" + md5 + "  a b.tar\n"
	sums, skipped, err := ParseChecksums(strings.NewReader(text), "SUMS")
	want := map[string]digest.Digest{"a b.tar": sum(t, sha), "bin/c": sum(t, md5), "back\\slash\nnewline": sum(t, md5), "d (1).txt": sum(t, sha), "e/f.gz": sum(t, md5)}
	if err != nil || skipped != 0 || !reflect.DeepEqual(sums, want) {
		t.Errorf("got %v, %d skipped, %v", sums, skipped, err)
	}
	signed := "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# a.bin: 5 bytes\nSHA256 (a.bin) = " + sha + "\nWHIRLPOOL (a.bin) = " + sha +
		"\n-----BEGIN PGP SIGNATURE-----\n\niQEzBAEBCAAdFiEE\n=abcd\n-----END PGP SIGNATURE-----\n"
	sums, skipped, err = ParseChecksums(strings.NewReader(signed), "SUMS")
	if err != nil || skipped != 7 || len(sums) != 1 || sums["a.bin"] != sum(t, sha) {
		t.Errorf("of a signed file: %v, %d skipped, %v", sums, skipped, err)
	}
	for _, wrong := range []string{"x", md5, "MD5 (a) = " + sha, "WHIRLPOOL (a) = " + sha, md5 + "  a\n" + strings.ToUpper(md5[:31]) + "0  a"} {
		if _, _, err := ParseChecksums(strings.NewReader(wrong), "SUMS"); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}

	l := sample(t, "columns.tsv", Options{})
	n, err := l.ApplyChecksums(map[string]digest.Digest{"sa_000020.tar": sum(t, sha), "sa_000021.tar": sum(t, "md5:92eb5ffee6ae2fec3ad71c777531578f"), "other": sum(t, md5)})
	if n != 2 || err != nil || l.Entries[0].Details.Digest != sum(t, sha) {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := l.ApplyChecksums(map[string]digest.Digest{"sa_000021.tar": sum(t, md5)}); err == nil {
		t.Error("a contradiction is taken")
	}
	plain := sample(t, "urls.txt", Options{})
	if n, err := plain.ApplyChecksums(map[string]digest.Digest{plain.Entries[0].Name: sum(t, sha)}); n != 1 || err != nil || plain.Entries[0].Details.Size != -1 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	samples, err := filepath.Glob("../testdata/lists/*")
	if err != nil || len(samples) < 10 {
		t.Fatal(samples, err)
	}
	for _, file := range samples {
		l := sample(t, filepath.Base(file), Options{})
		var out strings.Builder
		if err := Write(&out, l.Entries, func(name string) string { return "because of\n" + name }); err != nil {
			t.Fatal(err)
		}
		back, err := Parse(strings.NewReader(out.String()), "back", Options{})
		if err != nil || len(back.Entries) != len(l.Entries) {
			t.Fatalf("%s: %v\n%s", file, err, &out)
		}
		for i, e := range back.Entries {
			if e.Line = l.Entries[i].Line; !reflect.DeepEqual(normal(e), normal(l.Entries[i])) {
				t.Errorf("%s: %+v %+v came back as %+v %+v", file, l.Entries[i], l.Entries[i].Details, e, e.Details)
			}
		}
		if plain := l.Dialect == Tab; plain != strings.HasPrefix(out.String(), "# because of ") && plain {
			t.Errorf("%s is written as\n%s", file, &out)
		}
	}
}

func TestBrokenGzipIsAnError(t *testing.T) {
	packed, err := os.ReadFile("../testdata/lists/seed.tsv.gz")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{2, 4, len(packed) / 2, len(packed) - 1} {
		if l, err := Parse(strings.NewReader(string(packed[:n])), "list.gz", Options{}); err == nil || l != nil || !strings.HasPrefix(err.Error(), "list.gz: ") {
			t.Errorf("%d of %d bytes: %v, %v", n, len(packed), l, err)
		}
	}
}
