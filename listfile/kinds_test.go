package listfile

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const (
	md5A  = "0cc175b9c0f1b6a831c399e269772661"
	sha1A = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"
	shaA  = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
)

// told prints what a list says: an entry a line, as NAME URL, and its mirrors, size
// and digest as far as it has them.
func told(l *List) string {
	var b strings.Builder
	for i := range l.Entries {
		e := &l.Entries[i]
		fmt.Fprintf(&b, "%s %s", e.Name, e.URL)
		if d := e.Details; d != nil {
			for _, m := range d.Mirrors {
				b.WriteString(" or " + m)
			}
			if d.Size >= 0 {
				fmt.Fprintf(&b, " size %d", d.Size)
			}
			if !d.Digest.IsZero() {
				fmt.Fprintf(&b, " %s %.4s", d.Digest.Algorithm, d.Digest.Hex())
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// kind is a list, and what it says or the error it is.
type kind struct {
	about, text string
	want        string // of told, or a part of the error
	opts        Options
}

func (k *kind) check(t *testing.T) {
	t.Run(k.about, func(t *testing.T) {
		t.Helper()
		l, err := Parse(strings.NewReader(k.text), "list", k.opts)
		if err != nil {
			if bad, ok := errors.AsType[Errors](err); !ok || !strings.Contains(err.Error(), k.want) || strings.Contains(k.want, "\n") {
				t.Fatalf("got the error %v (%T), want\n%s", err, bad, k.want)
			}
			return
		}
		if got := told(l); got != k.want {
			t.Errorf("%s %q: got\n%swant\n%s", l.Dialect, l.Columns, got, k.want)
		}
	})
}

var base = Options{BaseURL: "http://b.example/dir"}

// TestWhatIsNotToldIsNotTaken: where plain URLs explain a list, or explain it as well,
// no other form is taken without a word.
func TestWhatIsNotToldIsNotTaken(t *testing.T) {
	for _, k := range []kind{
		{about: "a space in URLs", text: "http://h/My File 1.bin\nhttp://h/My File 2.bin\n", want: "--format=pget"},
		{about: "a size in larger units", text: "http://h/a.zip 12 MB\n", want: "one URL with a space in it"},
		{about: "a size in bytes", text: "http://h/a.zip 12 bytes\nhttp://h/b.zip 3 bytes\n", want: "one URL with a space in it"},
		{about: "a number and a word", text: "http://h/a.zip 12 files\n", want: "one URL with a space in it"},
		{about: "an option after a URL", text: "http://h/a.bin -o x.bin\n", want: "after the URL is no name"},
		{about: "an arrow after a URL", text: "http://h/a.bin -> x.bin\n", want: "after the URL is no name"},
		{about: "a parameter after a URL", text: "<http://h/a.bin>; rel=\"item\"\n", want: "list:1: "},
		{about: "a rounded size after a URL", text: "http://h/a.zip\t1.2MB\nhttp://h/b.zip\t2.3MB\n", want: "after the URL is no name"},
		{about: "a rounded size before a URL", text: "1.2 MB http://h/a.zip\n", want: "is a size and no name"},
		{about: "a space in one URL of many", text: "http://h/a.bin\nhttp://h/b c.bin\n", want: "list:2: the line is one URL with a space in it"},
		{about: "a space in a query", text: "http://h/a.bin?q=x y&sig=SECRET\n", want: "white space inside the URL"},
		{about: "URLs with numbers after a space", text: "http://h/Episode 1\nhttp://h/Episode 2\n", want: "one URL with a space"},
		{about: "spaces are wanted", text: "http://h/My File 1.bin\n", want: "My File 1.bin http://h/My%20File%201.bin\n", opts: Options{Format: URLs}},
		{about: "pget is wanted", text: "http://h/My File.bin\n", want: "File.bin http://h/My\n", opts: Options{Format: Pget}},
		{about: "pget by its extensions", text: "http://h/1.bin a.bin\nhttp://h/2.bin b.bin\n", want: "a.bin http://h/1.bin\nb.bin http://h/2.bin\n"},
		{about: "pget with a TAB", text: "http://h/1\ta\nhttp://h/2\tb c\n", want: "a http://h/1\nb c http://h/2\n"},
		{about: "sizes of images in URLs", text: "http://h/w_4,h_3/a.jpg\nhttp://h/w_4,h_3/b.jpg\n", want: "a.jpg http://h/w_4,h_3/a.jpg\nb.jpg http://h/w_4,h_3/b.jpg\n"},
		{about: "IIIF", text: "http://h/1/full/600,/0/a.jpg\nhttp://h/2/full/600,/0/b.jpg\n", want: "a.jpg http://h/1/full/600,/0/a.jpg\nb.jpg http://h/2/full/600,/0/b.jpg\n"},
		{about: "a comma in a query", text: "http://h/a?bbox=1,2,3,4\nhttp://h/b?bbox=1,2,3,5\n", want: "a http://h/a?bbox=1,2,3,4\nb http://h/b?bbox=1,2,3,5\n"},
		{about: "numbers after a comma", text: "http://h/tile/1,2\nhttp://h/tile/2,3\n", want: "1,2 http://h/tile/1,2\n2,3 http://h/tile/2,3\n"},
		{about: "a semicolon in URLs", text: "http://h/a.bin;v=1\nhttp://h/b.bin;v=1\n", want: "a.bin;v=1 http://h/a.bin;v=1\nb.bin;v=1 http://h/b.bin;v=1\n"},
		{about: "a bar in URLs", text: "http://h/a?x=1|2\nhttp://h/b?x=1|2\n", want: "a http://h/a?x=1|2\nb http://h/b?x=1|2\n"},
		{about: "URL, NAME and SIZE by TABs", text: "http://h/1\ta.bin\t5\nhttp://h/2\tb.bin\t6\n", want: "a.bin http://h/1 size 5\nb.bin http://h/2 size 6\n"},
		{about: "labels that are no names", text: "url,label\nhttp://h/1.jpg,cat\nhttp://h/2.jpg,St. Louis\n", want: "1.jpg http://h/1.jpg\n2.jpg http://h/2.jpg\n"},
		{about: "labels that are names", text: "url,label\nhttp://h/1,cat.jpg\nhttp://h/2,dog.jpg\n", want: "cat.jpg http://h/1\ndog.jpg http://h/2\n"},
		{about: "a label in JSON", text: `[{"url":"http://h/1.jpg","label":"cat"},{"url":"http://h/2","label":"dog.jpg"}]`, want: "1.jpg http://h/1.jpg\ndog.jpg http://h/2\n"},
		{about: "NAME,URL", text: "a.bin,http://h/1\nb.bin,http://h/2\n", want: "a.bin http://h/1\nb.bin http://h/2\n"},
		{about: "NAME;SIZE;URL;MD5", text: "a.bin;5;http://h/1;" + md5A + "\nb.bin;6;http://h/2;" + md5A + "\n", want: "a.bin http://h/1 size 5 md5 0cc1\nb.bin http://h/2 size 6 md5 0cc1\n"},
		{about: "NAME,URL of a URL with a comma", text: "a.bin,\"http://h/1,2\"\nb.bin,http://h/2\n", want: "a.bin http://h/1,2\nb.bin http://h/2\n"},
		{about: "NAME,URL and a number that may be of the URL", text: "a.bin,http://h/1,5\nb.bin,http://h/2,6\n", want: "--columns"},
		{about: "NAME,URL of one name", text: "a.bin,http://h/1\na.bin,http://h/2\n", want: "--columns"},
		{about: "NAME,URL of words that are no file names", text: "a,http://h/1\nb,http://h/2\n", want: "--columns"},
		{about: "URL,PATH or a comma", text: "http://h/1,a.bin\nhttp://h/2,b.bin\n", want: "--format=urls or --format=rclone"},
		{about: "URL,PATH by its names", text: "http://h/a.bin,x/a.bin\nhttp://h/b.bin,y/b.bin\n", want: "x/a.bin http://h/a.bin\ny/b.bin http://h/b.bin\n"},
		{about: "URL,PATH is wanted", text: "http://h/1,a.bin\n", want: "a.bin http://h/1\n", opts: Options{Format: Rclone}},
		{about: "URL;NAME without a heading", text: "http://h/1.bin;a.bin\nhttp://h/2.bin;b.bin\n", want: "--columns=url=1,name=2"},
		{about: "URL|NAME|SIZE without a heading", text: "http://h/1.bin|a.bin|5\nhttp://h/2.bin|b.bin|6\n", want: "--columns=url=1,name=2,size=3"},
		{about: "plain URLs are wanted", text: "http://h/1,a.bin\n", want: "1,a.bin http://h/1,a.bin\n", opts: Options{Format: URLs}},
		{about: "a first line without a scheme", text: "127.0.0.1:80/a.bin\nhttp://h/b.bin\n", want: "list:1: no URL"},
		{about: "a first line of a host", text: "www.h.example/a.bin\nhttp://h/b.bin\n", want: "list:1: no URL"},
		{about: "a first line of a path", text: "dir/a.bin\nhttp://h/b.bin\n", want: "list:1: no URL"},
		{about: "a first line of another scheme", text: "magnet:?xt=urn:btih:1\nhttp://h/b.bin\n", want: "list:1: no URL"},
		{about: "a first line of a word", text: "None\nhttp://h/b.bin\n", want: "list:1: no URL"},
		{about: "a heading of one column", text: "image_url\nhttp://h/b.bin\n", want: "b.bin http://h/b.bin\n"},
		{about: "URL SIZE", text: "http://h/a.bin 5\nhttp://h/b.bin 6\n", want: "a.bin http://h/a.bin size 5\nb.bin http://h/b.bin size 6\n"},
		{about: "URL TAB SIZE", text: "http://h/a\t5\nhttp://h/b\t6\n", want: "a http://h/a size 5\nb http://h/b size 6\n"},
		{about: "DIGEST URL", text: md5A + "  http://h/a.bin\n", want: "a.bin http://h/a.bin md5 0cc1\n"},
		{about: "SIZE URL", text: "5 http://h/a.bin\n6 http://h/b.bin\n", want: "--columns=size=1,url=2 or --format=colon"},
		{about: "URL SIZE DATE", text: "http://h/a.bin 5 2020-01-01\nhttp://h/b.bin 5 2020-01-02\n", want: "the line is one URL with a space in it"},
		{about: "NAME URL SIZE", text: "a.bin\thttp://h/1\t5\nb.bin\thttp://h/2\t6\n", want: "a.bin http://h/1 size 5\nb.bin http://h/2 size 6\n"},
		{about: "NAME SIZE URL under a header", text: "Filename Size URL\na.bin 5 http://h/1\n", want: "a.bin http://h/1 size 5\n"},
		{about: "URL DIGEST", text: "http://h/a.bin " + shaA + "\n", want: "a.bin http://h/a.bin sha256 ca97\n"},
		{about: "URL ALGORITHM:DIGEST", text: "http://h/a.bin sha256:" + shaA + "\n", want: "a.bin http://h/a.bin sha256 ca97\n"},
		{about: "files on one line", text: "http://h/a.bin\thttp://h/b.bin\n", want: "--format=aria2"},
		{about: "mirrors on one line", text: "http://h/a.bin\thttp://m/x/a.bin\n", want: "a.bin http://h/a.bin or http://m/x/a.bin\n"},
		{about: "a text without URLs", text: "hello\nworld\n", want: "this is no list"},
	} {
		k.check(t)
	}
}

// TestCleanLines: what people and programs put around URLs is no part of them.
func TestCleanLines(t *testing.T) {
	for _, k := range []kind{
		{about: "quotes", text: "\"http://h/a\"\n'http://h/b'\n<http://h/c>\n", want: "a http://h/a\nb http://h/b\nc http://h/c\n"},
		{about: "quotes and commas of a program", text: "  \"http://h/a\",\n  \"http://h/b\"\n", want: "a http://h/a\nb http://h/b\n"},
		{about: "a quoted name", text: "\"b c.bin\" http://h/a.bin\n", want: "b c.bin http://h/a.bin\n"},
		{about: "all quoted", text: "'b c.bin'\t'http://h/a.bin'\n", want: "b c.bin http://h/a.bin\n"},
		{about: "a quoted URL and a name", text: "\"http://h/a.bin\" b c.bin\n", want: "b c.bin http://h/a.bin\n"},
		{about: "numbers of items", text: "1. http://h/a\n2. http://h/b\n", want: "a http://h/a\nb http://h/b\n"},
		{about: "markers of items", text: "- http://h/a\n* http://h/b\n• http://h/c\n[3] http://h/d\n- [x] http://h/e\n", want: "a http://h/a\nb http://h/b\nc http://h/c\nd http://h/d\ne http://h/e\n"},
		{about: "a marker and quotes", text: "- \"http://h/a\"\n", want: "a http://h/a\n"},
		{about: "a marker and angle brackets", text: "* <http://h/a>\n- <http://h/b>\n", want: "a http://h/a\nb http://h/b\n"},
		{about: "a log of wget", text: "--2024-01-01 00:00:00--  http://h/a\n", want: "list:1: this is a line of wget's log"},
		{about: "an equals sign", text: "a.bin = http://h/1\nb.bin => http://h/2\n", want: "a.bin http://h/1\nb.bin http://h/2\n"},
		{about: "a comma and a space", text: "a.bin, http://h/1\n", want: "a.bin http://h/1\n"},
		{about: "a package of Python", text: "b @ https://h/b-1.whl\n", want: "b-1.whl https://h/b-1.whl\n"},
		{about: "two URLs with a comma", text: "http://h/a,http://h/b\n", want: "list:1: two URLs on this line"},
		{about: "a command", text: "wget -c http://h/a\n", want: "list:1: the line is a command of wget"},
		{about: "a label", text: "URL: http://h/a\nLink: http://h/b\n", want: "a http://h/a\nb http://h/b\n"},
		{about: "a trailing comma", text: "http://h/a,\n", want: "list:1: URL ends in \",\""},
		{about: "a trailing semicolon after a name", text: "n\thttp://h/a;\n", want: "list:1: URL ends in \";\""},
		{about: "a comment after the URL", text: "http://h/a # the first\n", want: "list:1: white space inside the URL"},
		{about: "a no-break space", text: "http://h/a\u00a0\n", want: "list:1: white space inside the URL"},
		{about: "a no-break space before", text: "\u00a0http://h/a\n", want: "list:1: "},
		{about: "a zero-width space", text: "http://h/a\u200b\n", want: "list:1: URL holds a character that is not seen"},
		{about: "a zero-width space in a name", text: "a\u200b.bin\thttp://h/a\n", want: "list:1: name \"a\\u200b.bin\" holds U+200B"},
		{about: "a byte order mark inside", text: "http://h/a\n\ufeffhttp://h/b\n", want: "list:2: "},
		{about: "a space in a quoted URL", text: "\"http://h/a b\"\n", want: "a b http://h/a%20b\n"},
		{about: "half a quote", text: "http://h/a\"\n", want: "list:1: URL ends in \"\\\"\""},
		{about: "an arrow", text: "→ http://h/a\n>> http://h/b\n", want: "a http://h/a\nb http://h/b\n"},
		{about: "a number after a TAB", text: "http://h/a\t0.5\n", want: "\"0.5\" after the URL is no name"},
		{about: "a link of Markdown", text: "[a](http://h/a.bin)\n", want: "list:1: "},
	} {
		k.check(t)
	}
}

// TestTables: tables as people and programs write them.
func TestTables(t *testing.T) {
	for _, k := range []kind{
		{about: "words of people", text: "Image ID,Original URL,Original Size,Original MD5\n1,http://h/a.jpg,5," + md5A + "\n", want: "a.jpg http://h/a.jpg size 5 md5 0cc1\n"},
		{about: "semicolons", text: "File Name;Download URL;File Size\na;http://h/1;5\n", want: "a http://h/1 size 5\n"},
		{about: "Markdown", text: "| name | url |\n|---|:--|\n| a | http://h/1 |\n", want: "a http://h/1\n"},
		{about: "bars", text: "name | url | sha256\na | http://h/1 | " + shaA + "\n", want: "a http://h/1 sha256 ca97\n"},
		{about: "a comment as the heading", text: "#file_name\tdownload_url\tmd5sum\na\thttp://h/1\t" + md5A + "\n", want: "a http://h/1 md5 0cc1\n"},
		{about: "quotes", text: "\"filename\"\t\"link\"\n\"a b\"\t\"http://h/1\"\n", want: "a b http://h/1\n"},
		{about: "Excel", text: "\ufeffsep=;\r\nName;URL\r\na;http://h/1\r\n", want: "a http://h/1\n"},
		{about: "old Macs", text: "name,url\ra,http://h/1\rb,http://h/2\r", want: "a http://h/1\nb http://h/2\n"},
		{about: "R with names of rows", text: "\"name\"\t\"url\"\n\"1\"\t\"a\"\t\"http://h/1\"\n\"2\"\t\"b\"\t\"http://h/2\"\n", want: "a http://h/1\nb http://h/2\n"},
		{about: "pandas with an index", text: ",name,url,size,md5\n0,a,http://h/1,100.0,\n1,,http://h/b,1e3,NaN\n", want: "a http://h/1 size 100\nb http://h/b size 1000\n"},
		{about: "a space in a URL", text: "name,url\na,http://h/a b\n", want: "a http://h/a%20b\n"},
		{about: "a row that is no heading", text: "a.bin\tNone\nb.bin\thttp://h/b\n", want: "list:1: no URL"},
		{about: "a wrong quote", text: "name,url\na\"b,http://h/1\nc,http://h/2\n", want: "list:2: bare"},
		{about: "no values", text: "name,url,size,sha256,checksum\nNA,http://h/a,NA,null,-\n", want: "a http://h/a\n"},
		{about: "a checksum that tells its algorithm", text: "url,checksum\nhttp://h/a,sha1:" + sha1A + "\nhttp://h/b," + md5A + "\nhttp://h/c,crc32:00000000\n", want: "a http://h/a sha1 86f7\nb http://h/b md5 0cc1\nc http://h/c\n"},
		{about: "the best of several URLs", text: "url,download_url,name\nhttp://h/page,http://h/a.bin,a\n", want: "a http://h/a.bin\n"},
		{about: "URLs as good as one another", text: "image_url,video_url,name\nhttp://h/1,http://h/2,a\n", want: "may both be the URL; say with --columns"},
		{about: "URLs that are mirrors", text: "name,url1,url2\na,http://h/1,http://m/1\n", want: "a http://h/1 or http://m/1\n"},
		{about: "URLs that are of several files", text: "name,url_1,url_2\na,http://h/a_R1.gz,http://h/a_R2.gz\n", want: "hold URLs of several files; say with --columns"},
		{about: "URLs that end alike at one host in columns", text: "id,url1,url2\n1,http://h/x/1.gz,http://h/y/1.gz\n", want: "hold URLs of several files"},
		{about: "URLs of several files that are called mirrors", text: "id,url1,url2\n1,http://h/x/1.gz,http://h/y/1.gz\n", want: "1.gz http://h/x/1.gz or http://h/y/1.gz\n", opts: Options{Columns: "url=url1,url=url2"}},
		{about: "a URL twice in a row", text: "url1,url2,name\nhttp://h/1,http://h/1,a\nhttp://h/2,,b\n", want: "a http://h/1\nb http://h/2\n"},
		{about: "a file of two sizes", text: "url,size\nhttp://h/1,5\nhttp://h/1,6\n", want: "list:3: name \"1\" already stands on line 2 with the same URL and another size or digest"},
		{about: "a file of two digests", text: "url,md5\nhttp://h/1," + md5A + "\nhttp://h/1,d41d8cd98f00b204e9800998ecf8427e\n", want: "another size or digest"},
		{about: "a file twice", text: "url,size\nhttp://h/1,5\nhttp://h/1,5\nhttp://h/1,\n", want: "1 http://h/1 size 5\n"},
		{about: "a URL column of unknown name", text: "Titel,Quelle\nx,http://h/a.bin\ny,http://h/b.bin\n", want: "a.bin http://h/a.bin\nb.bin http://h/b.bin\n"},
		{about: "two URL columns of unknown names", text: "Quelle,Lizenz\nhttp://h/a.bin,http://l/1\n", want: "both hold URLs; say with --columns"},
		{about: "columns are chosen", text: "Titel,Quelle,Lizenz\nx,http://h/a.bin,http://l/1\n", want: "x http://h/a.bin\n", opts: Options{Columns: "url=Quelle,name=titel"}},
		{about: "columns are chosen by numbers", text: "http://h/1,a,5," + md5A + "\nhttp://h/2,b,6,\n", want: "a http://h/1 size 5 md5 0cc1\nb http://h/2 size 6\n", opts: Options{Columns: "url=1,name=2,size=3,md5=4"}},
		{about: "columns between spaces are chosen", text: "x http://h/1 a\ny http://h/2 b\n", want: "a http://h/1\nb http://h/2\n", opts: Options{Columns: "url=2,name=3"}},
		{about: "columns between spaces, commas inside", text: "a,b http://h/1\nc,d http://h/2\n", want: "a,b http://h/1\nc,d http://h/2\n", opts: Options{Columns: "url=2,name=1"}},
		{about: "a column that is not there", text: "a,b\n1,http://h/1\n", want: "there is no column \"z\"; the columns are \"a\", \"b\"", opts: Options{Columns: "url=z"}},
		{about: "ENA", text: "run_accession\tfastq_ftp\tfastq_md5\tfastq_bytes\tsubmitted_ftp\tsubmitted_md5\nE1\th.uk/v/E1_1.gz;h.uk/v/E1_2.gz\t" + md5A + ";" + md5A + "\t5;6\th.uk/v/s\t" + md5A + "\n",
			want: "E1_1.gz http://h.uk/v/E1_1.gz size 5 md5 0cc1\nE1_2.gz http://h.uk/v/E1_2.gz size 6 md5 0cc1\n"},
		{about: "ENA, https", text: "run_accession\tfastq_ftp\nE1\th.uk/v/E1_1.gz\n", want: "E1_1.gz https://h.uk/v/E1_1.gz\n", opts: Options{BaseURL: "https://"}},
		{about: "ENA, a digest is missing", text: "run_accession\tfastq_ftp\tfastq_md5\nE1\th.uk/v/1;h.uk/v/2\t" + md5A + "\n", want: "list:2: 2 URLs, but 1 values"},
		{about: "GDC", text: "id\tfilename\tmd5\tsize\tstate\nu-1\ta.bam\t" + md5A + "\t5\tvalidated\n", want: "a.bam http://b.example/dir/u-1 size 5 md5 0cc1\n", opts: base},
		{about: "GDC without a base", text: "id\tfilename\tmd5\tsize\tstate\nu-1\ta.bam\t" + md5A + "\t5\tvalidated\n", want: "--base-url=https://api.gdc.cancer.gov/data/"},
		{about: "names and sizes", text: "path,size\na/b c.bin,5\n", want: "a/b c.bin http://b.example/dir/a/b%20c.bin size 5\n", opts: base},
		{about: "names and sizes without a base", text: "path,size\na/b c.bin,5\n", want: "no column holds URLs"},
		{about: "a rounded size", text: "url,size\nhttp://h/a,1.2 GB\n", want: "a http://h/a\n"},
	} {
		k.check(t)
	}
}

// TestFieldsAndChecksums: lists without a heading, each of a program.
func TestFieldsAndChecksums(t *testing.T) {
	for _, k := range []kind{
		{about: "apt-get --print-uris", text: "'http://h/a_1%3a2.deb' a_1%3a2.deb 5 MD5Sum:" + md5A + "\n'http://h/b.deb' b.deb 6 SHA256:" + shaA + "\n'http://h/c.deb' c.deb 7 \n",
			want: "a_1%3a2.deb http://h/a_1%3a2.deb size 5 md5 0cc1\nb.deb http://h/b.deb size 6 sha256 ca97\nc.deb http://h/c.deb size 7\n"},
		{about: "ESGF", text: "'a.nc' 'http://h/1' 'SHA256' '" + shaA + "'\n'b.nc' 'http://h/2' 'MD5' '" + md5A + "'\n", want: "a.nc http://h/1 sha256 ca97\nb.nc http://h/2 md5 0cc1\n"},
		{about: "ESGF in its script", text: "#!/bin/bash\n# ESG\nversion=1.3\ndownload_files=\"$(cat <<EOF--dataset.file.url.chksum_type.chksum\n'a.nc' 'http://h/1' 'SHA256' '" + shaA + "'\nEOF--dataset.file.url.chksum_type.chksum\n)\"\nsearch_url='http://h/search'\n",
			want: "a.nc http://h/1 sha256 ca97\n"},
		{about: "another script", text: "#!/bin/sh\nwget http://h/a.bin\n", want: "this is a script"},
		{about: "SHA256SUMS", text: shaA + "  a.bin\n" + shaA + " *./d/b.bin\n", want: "a.bin http://b.example/dir/a.bin sha256 ca97\nd/b.bin http://b.example/dir/d/b.bin sha256 ca97\n", opts: base},
		{about: "SHA256SUMS without a base", text: shaA + "  a.bin\n", want: "a list of checksums has no URLs; give --base-url"},
		{about: "checksums of BSD", text: "SHA256 (a b) = " + shaA + "\n", want: "a b http://b.example/dir/a%20b sha256 ca97\n", opts: base},
		{about: "signed checksums", text: "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA1\n\n" + shaA + "  a.bin\n-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n", want: "a.bin http://b.example/dir/a.bin sha256 ca97\n", opts: base},
		{about: "conda", text: "# platform: linux-64\n@EXPLICIT\nhttps://h/a-1.conda#" + md5A + "\nhttps://h/b-1.conda\n", want: "a-1.conda https://h/a-1.conda#" + md5A + " md5 0cc1\nb-1.conda https://h/b-1.conda\n"},
		{about: "conda with SHA-256", text: "@EXPLICIT\nhttps://h/a-1.conda#sha256:" + shaA + "\n", want: "a-1.conda https://h/a-1.conda#sha256:" + shaA + " sha256 ca97\n"},
		{about: "URL#DIGEST", text: "https://h/a#" + md5A + "\n", want: "a https://h/a#" + md5A + " md5 0cc1\n"},
		{about: "URL#ALGORITHM=DIGEST", text: "https://h/a.whl#sha256=" + shaA + "\nhttps://h/b#top\n", want: "a.whl https://h/a.whl#sha256=" + shaA + " sha256 ca97\nb https://h/b#top\n"},
	} {
		k.check(t)
	}
}

// TestPortals: the JSON that portals serve.
func TestPortals(t *testing.T) {
	for _, k := range []kind{
		{about: "texts", text: `["http://h/a","http://h/b"]`, want: "a http://h/a\nb http://h/b\n"},
		{about: "names and URLs", text: `{"x/a.bin":"http://h/1","b":"http://h/2"}`, want: "x/a.bin http://h/1\nb http://h/2\n"},
		{about: "urls without a name", text: `{"urls":["http://h/a","http://h/b"]}`, want: "a http://h/a\nb http://h/b\n"},
		{about: "urls of one name", text: `{"urls":["http://h/1/a","http://h/2/a"]}`, want: "already stands"},
		{about: "a list in data", text: `{"data":{"items":[{"name":"a","url":"http://h/1"}]},"next":"http://h/?page=2"}`, want: "a http://h/1\n"},
		{about: "a list under a key nobody knows", text: `{"count":2,"photos":[{"title":"x","src_url":1,"href":"http://h/a.jpg"}]}`, want: "a.jpg http://h/a.jpg\n"},
		{about: "Internet Archive", text: `{"server":"s","files":[{"name":"sub/a b.zip","size":"5","mtime":"1461471083","md5":"` + md5A + `","crc32":"x"}],"dir":"/1/x"}`, want: "sub/a b.zip http://b.example/dir/sub/a%20b.zip size 5 md5 0cc1\n", opts: base},
		{about: "Zenodo", text: `{"id":1,"links":{"self":"http://z/1"},"metadata":{"title":"t"},"files":[{"id":"u","key":"a.zip","size":5,"checksum":"md5:` + md5A + `","links":{"self":"http://h/a.zip/content"}}]}`, want: "a.zip http://h/a.zip/content size 5 md5 0cc1\n"},
		{about: "InvenioRDM", text: `{"files":{"enabled":true,"entries":{"a.zip":{"key":"a.zip","size":5,"checksum":"md5:` + md5A + `","links":{"self":"http://h/s","content":"http://h/c"}}}}}`, want: "a.zip http://h/c size 5 md5 0cc1\n"},
		{about: "figshare", text: `{"title":"t","url":"http://f/1","files":[{"id":1,"name":"a.zip","size":5,"is_link_only":false,"download_url":"http://h/1","supplied_md5":"","computed_md5":"` + md5A + `","mimetype":"x"}]}`, want: "a.zip http://h/1 size 5 md5 0cc1\n"},
		{about: "Dataverse", text: `{"status":"OK","data":{"id":1,"latestVersion":{"files":[{"label":"a.tab","directoryLabel":"d","dataFile":{"id":42,"filename":"a.tab","filesize":5,"md5":"` + md5A + `","checksum":{"type":"MD5","value":"` + md5A + `"}}}]}}}`, want: "d/a.tab http://b.example/dir/42 size 5 md5 0cc1\n", opts: base},
		{about: "datapackage.json", text: `{"name":"p","resources":[{"name":"a","path":"http://h/a.csv","bytes":5,"hash":"` + md5A + `"},{"name":"b","path":["data/b1.csv","data/b2.csv"]}]}`,
			want: "a.csv http://h/a.csv size 5 md5 0cc1\ndata/b1.csv http://b.example/dir/data/b1.csv\ndata/b2.csv http://b.example/dir/data/b2.csv\n", opts: Options{BaseURL: "http://b.example/dir/"}},
		{about: "Croissant", text: `{"@type":"sc:Dataset","name":"d","url":"http://h/landing","distribution":[{"@type":"cr:FileObject","@id":"a","name":"a.csv","contentUrl":"http://h/1","contentSize":"5 B","sha256":"` + shaA + `"},{"@type":"cr:FileSet","@id":"s","includes":"*.csv"}],"recordSet":[{"@type":"cr:RecordSet","name":"r"}]}`, want: "a.csv http://h/1 size 5 sha256 ca97\n"},
		{about: "STAC item", text: `{"type":"Feature","id":"x","links":[{"rel":"self","href":"http://h/self"}],"assets":{"data":{"href":"http://h/B01.tif","file:size":5,"file:checksum":"1220` + shaA + `"},"thumbnail":{"href":"http://h/t.png","type":"image/png"}}}`,
			want: "B01.tif http://h/B01.tif size 5 sha256 ca97\nt.png http://h/t.png\n"},
		{about: "STAC items", text: `{"type":"FeatureCollection","features":[{"type":"Feature","assets":{"a":{"href":"http://h/1.tif"}},"links":[]},{"type":"Feature","assets":{}}],"links":[{"href":"http://h/next"}]}`, want: "1.tif http://h/1.tif\n"},
		{about: "Hugging Face", text: `[{"type":"directory","path":"d","oid":"x"},{"type":"file","path":"d/a.parquet","size":5,"oid":"` + sha1A + `","lfs":{"oid":"` + shaA + `","size":5,"pointerSize":1}},{"type":"file","path":"b.md","size":2,"oid":"` + sha1A + `"}]`, want: "d/a.parquet http://b.example/dir/d/a.parquet size 5 sha256 ca97\nb.md http://b.example/dir/b.md size 2\n", opts: base},
		{about: "GitHub releases", text: `[{"url":"http://api/1","name":"v2","assets":[]},{"url":"http://api/2","name":"v1","tarball_url":"http://api/t","assets":[{"url":"http://api/3","name":"a.gz","size":5,"digest":"sha256:` + shaA + `","browser_download_url":"http://h/a.gz","uploader":{"url":"http://api/u"}}]}]`, want: "a.gz http://h/a.gz size 5 sha256 ca97\n"},
		{about: "Wikimedia", text: `{"jobs":{"x":{"status":"done","files":{"a.bz2":{"url":"/x/a.bz2","size":5,"md5":"` + md5A + `"}}},"y":{"status":"waiting"}},"version":"0.8"}`, want: "a.bz2 http://b.example/x/a.bz2 size 5 md5 0cc1\n", opts: base},
		{about: "PyPI", text: `{"info":{"name":"p","package_url":"http://p/"},"urls":[{"filename":"a.whl","url":"http://h/1","size":5,"digests":{"md5":"` + md5A + `","sha256":"` + shaA + `"}}]}`, want: "a.whl http://h/1 size 5 sha256 ca97\n"},
		{about: "CKAN", text: `{"success":true,"result":{"name":"d","url":"http://h/page","tags":[{"name":"t"}],"resources":[{"name":"a.csv","url":"http://h/1","size":null,"hash":""}]}}`, want: "a.csv http://h/1\n"},
		{about: "URLs that end alike under a name", text: `{"a.bin":["http://h/1","http://m/1"],"b.bin":"http://h/2"}`, want: "a.bin http://h/1 or http://m/1\nb.bin http://h/2\n"},
		{about: "URLs that end in the name", text: `{"a.bin":["http://h/x/a.bin","http://h/y/a.bin"]}`, want: "a.bin http://h/x/a.bin or http://h/y/a.bin\n"},
		{about: "URLs that end alike at one host", text: `{"a.bin":["http://h/x/1","http://h/y/1"]}`, want: "mirrors"},
		{about: "a list of URLs under a name", text: `{"a.bin":["http://h/1","http://m/2"]}`, want: "mirrors"},
		{about: "a list of URLs under a word", text: `{"train":["http://h/1","http://m/1"],"test":["http://h/2"]}`, want: "cut out the one that is meant"},
		{about: "a landing page", text: `{"@context":"x","@type":"Dataset","name":"d","url":"http://h/landing"}`, want: "describes a Dataset"},
		{about: "a description", text: `{"name":"d","url":"http://h/landing","description":"x"}`, want: "may describe something else than a file"},
		{about: "GeoJSON", text: `{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"url":"http://h/1","fileName":"a.tif","bytes":5}}]}`, want: "a.tif http://h/1 size 5\n"},
		{about: "ENA", text: `[{"run_accession":"E","fastq_ftp":"h.uk/v/1.gz;h.uk/v/2.gz","submitted_bytes":"9","fastq_md5":"` + md5A + ";" + md5A + `","fastq_bytes":"5;6"}]`, want: "1.gz http://h.uk/v/1.gz size 5 md5 0cc1\n2.gz http://h.uk/v/2.gz size 6 md5 0cc1\n"},
		{about: "Wikimedia without a base", text: `{"jobs":{"x":{"status":"done","files":{"a.bz2":{"url":"/x/a.bz2","size":5}}}}}`, want: "give --base-url"},
		{about: "a tree of git", text: `{"sha":"x","url":"http://api/x","tree":[{"path":"a/b","type":"blob","sha":"s","size":5,"url":"http://api/git/blobs/s"},{"path":"a","type":"tree","url":"http://api/git/trees/s"}]}`, want: "a/b http://b.example/dir/a/b size 5\n", opts: base},
		{about: "a name twice in an object", text: `{"a.bin":"http://h/1","a.bin":"http://h/2"}`, want: `key "a.bin" stands twice in one object`},
		{about: "a name twice in an object of files", text: `{"a.bin":{"url":"http://h/1"},"a.bin":{"url":"http://h/2"}}`, want: `key "a.bin" stands twice`},
		{about: "a URL twice in a file", text: `[{"url":"http://h/1","url":"http://h/2"}]`, want: `key "url" stands twice`},
		{about: "keys of several files", text: `[{"id":1,"url1":"http://h/a_R1.gz","url2":"http://h/a_R2.gz"}]`, want: "hold URLs of several files; say with --columns"},
		{about: "keys of mirrors", text: `[{"name":"a","url1":"http://h/1","url2":"http://m/1"}]`, want: "a http://h/1 or http://m/1\n"},
		{about: "keys of mirrors are chosen", text: `[{"name":"a","url1":"http://h/1","url2":"http://h/2"}]`, want: "a http://h/1 or http://h/2\n", opts: Options{Columns: "name=name,url=url1,url=url2"}},
		{about: "a key twice that says the same", text: `[{"url":"http://h/1","url":"http://h/1"}]`, want: "1 http://h/1\n"},
		{about: "a key is chosen", text: `[{"ref":"http://h/a","page_url":"http://h/p"}]`, want: "a http://h/a\n", opts: Options{Columns: "url=ref"}},
		{about: "no URL", text: `[{"foo":1,"bar":2}]`, want: `whose keys are "foo", "bar"`},
		{about: "a name alone", text: `{"name":"a"}`, want: "no URL"},
	} {
		k.check(t)
	}
}

// TestNoLists: what is no list is told in one sentence, and read no further.
func TestNoLists(t *testing.T) {
	for text, want := range map[string]string{
		"PK\x03\x04\x14\x00": "zip archive", "PAR1\x15\x04": "Parquet", "<!DOCTYPE html>\n<a href=\"http://h/a\">": "HTML page", " <HTML><body>": "HTML page",
		"#EXTM3U\n#EXTINF:1,\nhttp://h/a.mp3": "playlist", "[playlist]\nFile1=http://h/a": "playlist",
		"<?xml version=\"1.0\"?>\n<urlset><url><loc>http://h/a</loc></url></urlset>": "sitemap", "[InternetShortcut]\nURL=http://h/a": "shortcut",
		"<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"http://s3\"><Contents><Key>a</Key>": "S3 bucket",
		"d8:announce35:http://tracker/announce":                                                 "torrent", "%PDF-1.4": "PDF", "SQLite format 3\x00": "SQLite", "\x7fELF\x02": "program",
		"\x00\x01\x02\x03\x04\x05\x06\x07": "binary data", "<?xml version=\"1.0\"?><x/>": "no Metalink",
	} {
		l, err := Parse(strings.NewReader(text), "list", Options{})
		bad, ok := errors.AsType[Errors](err)
		if !ok || len(bad) != 1 || bad.Cost() != Rest || !strings.Contains(err.Error(), want) || len(l.Entries) != 0 {
			t.Errorf("%q: %v, want one problem with %q", text, err, want)
		}
	}
}
