package listfile

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A column that a program printed beside the URLs names no files, and each flag that the error
// names reads the list.
func TestColumnsOfProgramsAreNoNames(t *testing.T) {
	flag := regexp.MustCompile(`--(columns|format)=([a-z0-9=,]+)`)
	for about, text := range map[string]string{
		"sizes":                      "1.2 MB\tURL1\n3.4 MB\tURL2\n",
		"sizes of du":                "1.2M\tURL1\n4.0K\tURL2\n",
		"sizes of one line":          "12.3M\tURL1\n",
		"sizes in brackets":          "[12.3M] URL1\n[2K] URL2\n",
		"sizes with a colon":         "12 GiB : URL1\n3 GiB : URL2\n",
		"sizes after the URL":        "URL1\t1.2M\nURL2\t4K\n",
		"sizes after a comma":        "URL1,1.2M\nURL2,4K\n",
		"numbers with commas":        "1,234\tURL1\n5,678\tURL2\n",
		"percentages":                "[100%] URL1\n[7%] URL2\n",
		"speeds":                     "3.4MB/s\tURL1\n200 KiB/s\tURL2\n",
		"status":                     "OK\tURL1\nFAILED\tURL2\n",
		"status on every line":       "done : URL1\ndone : URL2\n",
		"status in brackets":         "[ok] URL1\n[fail] URL2\n",
		"status after the URL":       "URL1\tOK\nURL2\tERROR\n",
		"status after a comma":       "URL1,OK\nURL2,FAILED\n",
		"marks":                      "✓\tURL1\n✗\tURL2\n",
		"codes of HTTP":              "200\tURL1\n404\tURL2\n",
		"codes of HTTP behind":       "URL1 200\nURL2 404\n",
		"codes of HTTP in words":     "200 OK URL1\n404 Not Found URL2\n",
		"methods":                    "GET URL1\nHEAD URL2\n",
		"levels of a log":            "INFO: URL1\nWARN: URL2\n",
		"one word again and again":   "train\tURL1\ntrain\tURL2\ntrain\tURL3\n",
		"times of day":               "12:00:01 URL1\n12:00:02 URL2\n",
		"times":                      "2024-01-01T12:00:00Z\tURL1\n2024-01-01T12:00:01Z\tURL2\n",
		"dates":                      "2024-01-01 URL1\n2024-01-02 URL2\n",
		"gsutil ls -l":               "  1234  2024-01-01T12:00:00Z  URL1\n  5678  2024-01-01T12:00:00Z  URL2\n",
		"ls -l":                      "-rw-r--r-- 1 a b 12 Jan  1 12:00 URL1\ndrwxr-xr-x 1 a b 3 Jan  1 2023 URL2\n",
		"cat -n":                     "     1\tURL1\n     2\tURL2\n",
		"grep -n":                    "1:URL1\n7:URL2\n",
		"grep -n in files":           "a.txt:1:URL1\na.txt:7:URL2\n",
		"uniq -c":                    "      3 URL1\n      1 URL2\n",
		"media types":                "video/mp4\tURL1\ntext/plain\tURL2\n",
		"counters":                   "[1/2] URL1\n[2/2] URL2\n",
		"counters in words":          "1 of 2: URL1\n2 of 2: URL2\n",
		"durations":                  "12ms\tURL1\n1.5 ms\tURL2\n",
		"a log":                      "2024-01-01 12:00:00,123 INFO URL1\n2024-01-01 12:00:00,124 INFO URL2\n",
		"a log with brackets":        "[2024-01-01 12:00:00] GET URL1\n[2024-01-01 12:00:01] GET URL2\n",
		"syslog":                     "Jan  1 12:00:00 host prog[1]: URL1\nJan 11 12:00:01 host prog[1]: URL2\n",
		"bold names of Markdown":     "**a** URL1\n**b** URL2\n",
		"items":                      "- a: URL1\n- b: URL2\n",
		"a status and a size":        "OK 12.3M URL1\nOK 1.2 MB URL2\n",
		"a size and a status":        "12.3M done URL1\n4K failed URL2\n",
		"a name and a size":          "a.bin 12.3M URL1\nb.bin 1.2 GB URL2\n",
		"a size and a name":          "12.3M a.bin URL1\n4 MB b.bin URL2\n",
		"a size and a name behind":   "URL1 12.3M a.bin\nURL2 4K b.bin\n",
		"options":                    "--index-url URL1\n-i URL2\n",
		"keys of YAML":               "- path: URL1\n- path: URL2\n",
		"words before the same name": "URL1 saved to one.bin\nURL2 saved to two.bin\n",
	} {
		text = strings.NewReplacer("URL1", "http://h/a/one.bin", "URL2", "http://h/b/two.bin", "URL3", "http://h/c/three.bin").Replace(text)
		l, err := Parse(strings.NewReader(text), "list", Options{})
		if len(l.Entries) > 0 || err == nil {
			t.Errorf("%s: taken as %s: %+v", about, l.Dialect, l.Entries)
			continue
		}
		flags := flag.FindAllStringSubmatch(err.Error(), -1)
		if len(flags) == 0 {
			t.Errorf("%s: no flag in %v", about, err)
		}
		for _, f := range flags {
			opts := Options{Format: Dialect(f[2])}
			if f[1] == "columns" {
				opts = Options{Columns: f[2]}
			}
			l, err := Parse(strings.NewReader(text), "list", opts)
			if len(l.Entries) == 0 {
				t.Errorf("%s with %s: %v", about, f[0], err)
			}
			if f[1] == "columns" && !slices.Equal(names(l), []string{"one.bin", "two.bin", "three.bin"}[:strings.Count(text, "\n")]) {
				t.Errorf("%s with %s: %q", about, f[0], names(l))
			}
		}
	}
}

// Lines of programs' sources and of documents are read, or refused in words that tell what they are.
func TestLinesOfSources(t *testing.T) {
	for _, k := range []kind{
		{about: "an array of a program", text: "\t\"http://h/a.bin\",\n\t\"http://h/b.bin\",\n", want: "a.bin http://h/a.bin\nb.bin http://h/b.bin\n"},
		{about: "items with letters", text: "a) http://h/a.bin\nb) http://h/b.bin\n", want: "a.bin http://h/a.bin\nb.bin http://h/b.bin\n"},
		{about: "a dash", text: "a - http://h/1\nb – http://h/2\n", want: "a http://h/1\nb http://h/2\n"},
		{about: "an arrow", text: "a <- http://h/1\nb <- http://h/2\n", want: "a http://h/1\nb http://h/2\n"},
		{about: "TOML", text: "a = \"http://h/1\"\n\"b\" = \"http://h/2\"\n", want: "a http://h/1\nb http://h/2\n"},
		{about: "a link of Markdown", text: "* [a](http://h/1)\n* [b](http://h/2)\n", want: "a link of Markdown"},
		{about: "links of Markdown", text: "[a](http://h/1)\n[b](http://h/2)\n", want: "a link of Markdown"},
		{about: "labels of Markdown", text: "[a]: http://h/1\n[b]: http://h/2\n", want: "a link of Markdown"},
		{about: "a variable of a shell", text: "export A=http://h/1\n", want: "gives a URL to a variable"},
		{about: "a variable of JavaScript", text: "const a = \"http://h/1\"\n", want: "gives a URL to a variable"},
		{about: "a section of an INI file", text: "[files]\na=http://h/1\n", want: "gives a URL to a variable"},
		{about: "a command after a prompt", text: "$ wget http://h/1\n", want: "a command of wget"},
		{about: "a command in a Dockerfile", text: "RUN curl http://h/1\n", want: "a command of curl"},
	} {
		k.check(t)
	}
}

// names are the names of a list's entries.
func names(l *List) (all []string) {
	for _, e := range l.Entries {
		all = append(all, e.Name)
	}
	return all
}

// What looks like such a column but may be names is names.
func TestNamesThatLookLikeColumns(t *testing.T) {
	for _, text := range []string{
		"ok\thttp://h/good\nfailed\thttp://h/bad\n",
		"ok.txt\thttp://h/1.txt\nfailed.txt\thttp://h/2.txt\n",
		"ok\thttp://h/ok\nerror\thttp://h/error\n",
		"200\thttp://h/a.bin\n201\thttp://h/b.bin\n202\thttp://h/c.bin\n",
		"1\thttp://h/a.bin\n2\thttp://h/b.bin\n",
		"2024-01-01\thttp://h/a.bin\n2024-01-02\thttp://h/b.bin\n",
		"image/0001\thttp://h/a.png\nimage/0002\thttp://h/b.png\n",
		"[draft] one\thttp://h/a.bin\n[draft] two\thttp://h/b.bin\n",
		"1.2M.bin\thttp://h/a.bin\n12:30 news.mp3\thttp://h/b.bin\n",
		"train\thttp://h/a.bin\ntest\thttp://h/b.bin\n",
		"OK\thttp://h/a.bin\n",
		"1.m\thttp://h/a.bin\n2.k\thttp://h/b.bin\n12b\thttp://h/c.bin\n",
		"a 4K\thttp://h/a.bin\n100% b\thttp://h/b.bin\n",
	} {
		l, err := Parse(strings.NewReader(text), "list", Options{})
		var want []string
		for line := range strings.Lines(text) {
			name, _, _ := strings.Cut(line, "\t")
			want = append(want, name)
		}
		if err != nil || !slices.Equal(names(l), want) {
			t.Errorf("%q: %q, %v", text, names(l), err)
		}
	}
}

// Several URLs under one name are mirrors only where that is said or seen.
func TestSeveralURLsUnderOneName(t *testing.T) {
	for _, k := range []kind{
		{about: "urls that end apart", text: `{"name":"n","urls":["http://h/a","http://m/b"]}`, want: `the name "n" stands beside 2 URLs`},
		{about: "urls that end alike", text: `{"name":"n","urls":["http://h/a","http://m/a"]}`, want: "n http://h/a or http://m/a\n"},
		{about: "urls and a size", text: `{"name":"n","urls":["http://h/a","http://m/b"],"size":5}`, want: "n http://h/a or http://m/b size 5\n"},
		{about: "mirrors", text: `{"name":"n","mirrors":["http://h/a","http://m/b"]}`, want: "n http://h/a or http://m/b\n"},
		{about: "url and urls", text: `{"name":"n","url":"http://h/a","urls":["http://h/b"]}`, want: "may be of several files"},
		{about: "urls of a file under its name", text: `{"n.bin":{"urls":["http://h/a","http://h/b"]}}`, want: "may be of several files"},
		{about: "an array of url", text: `{"name":"n.bin","url":["http://h/a","http://h/b"]}`, want: "may be of several files"},
		{about: "an array of mirrors as url", text: `{"name":"n.bin","url":["http://h/n.bin","http://m/n.bin"]}`, want: "n.bin http://h/n.bin or http://m/n.bin\n"},
		{about: "URLs with a semicolon", text: `{"name":"n.bin","url":"http://h/a;http://h/b"}`, want: "may be of several files"},
		{about: "a cell of URLs with a semicolon", text: "name,url\nn.bin,http://h/a;http://h/b\n", want: `the name "n.bin" stands beside 2 URLs`},
		{about: "a cell of URLs with a space", text: "name,url\nn,http://h/a http://h/b\n", want: "two URLs in one field"},
		{about: "a cell of URLs with a comma", text: "name,url\nn,\"http://h/a,http://h/b\"\n", want: "two URLs in one field"},
		{about: "a URL in a query", text: "name,url\nn,\"http://h/a?of=b,http://h/b\"\n", want: "n http://h/a?of=b,http://h/b\n"},
		{about: "rclone lsjson", opts: Options{BaseURL: "http://b.example/dir/"}, want: "d/a.bin http://b.example/dir/d/a.bin\nb.bin http://b.example/dir/b.bin size 3\n",
			text: `[{"Path":"d","Name":"d","Size":-1,"IsDir":true},{"Path":"d/a.bin","Name":"a.bin","Size":-1,"IsDir":false},{"Path":"b.bin","Name":"b.bin","Size":3,"IsDir":false}]`},
	} {
		k.check(t)
	}
	l, err := Parse(strings.NewReader(`[{"Path":"d","Size":-1,"IsDir":true},{"url":"http://h/a"}]`), "list", Options{})
	if err != nil || l.Directories != 1 {
		t.Errorf("%d directories, %v", l.Directories, err)
	}
}
