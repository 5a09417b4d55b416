package listfile

import (
	"bytes"
	"regexp"
	"strings"
	"unicode/utf8"
)

// strangers are files that are known by how they begin, and are no lists dlfs reads:
// each with what it is and what to do. Text is compared in lower case.
var strangers = []struct{ begin, what string }{
	{"pk\x03\x04", "this is a zip archive (or a spreadsheet, which is one), not a list; unpack it, or save the table as CSV"},
	{"par1", "this is a Parquet file; convert it to CSV, for example with: duckdb -c \"COPY 'FILE' TO 'list.csv'\""},
	{"7z\xbc\xaf", "this is a 7z archive, not a list; unpack it"},
	{"rar!", "this is a RAR archive, not a list; unpack it"},
	{"%pdf-", "this is a PDF document, not a list; copy the URLs into a text file"},
	{"sqlite format 3", "this is an SQLite database, not a list; export a table as CSV"},
	{"\xd0\xcf\x11\xe0", "this is an old Office document, not a list; save the table as CSV"},
	{"\x7felf", "this is a program, not a list"},
	{"<!doctype html", "this is an HTML page, not a list; look at it in a browser, it may ask for a login; else save its links as text, one URL a line"},
	{"<html", "this is an HTML page, not a list; look at it in a browser, it may ask for a login; else save its links as text, one URL a line"},
	{"<head", "this is an HTML page, not a list; look at it in a browser, it may ask for a login; else save its links as text, one URL a line"},
	{"#extm3u", "this is a playlist (M3U), not a list of files; copy the URLs of the files into a text file, one a line"},
	{"[playlist]", "this is a playlist (PLS), not a list of files; copy the URLs of the files into a text file, one a line"},
	{"[desktop entry]", "this is a shortcut to one URL (.desktop), not a list; write its URL into a text file"},
	{"lzip", "the list is packed with lzip; unpack it"},
	{"\x04\x22\x4d\x18", "the list is packed with lz4; unpack it"},
	{"[internetshortcut]", "this is a shortcut to one URL (.url), not a list; write its URL into a text file"},
}

// elements are XML documents that are known by an element near their start. The order
// matters: the first that matches is told, and "<?xml" is therefore the last.
var elements = []struct{ element, what string }{
	{"<listbucketresult", "this is the listing of an S3 bucket (ListBucketResult), not a list; write the bucket's URL and each Key as one URL a line"},
	{"<enumerationresults", "this is the listing of an Azure container, not a list; write each Url of it on a line"},
	{"<urlset", "this is a sitemap, not a list; write each <loc> of it on a line"},
	{"<sitemapindex", "this is an index of sitemaps, not a list; take the sitemaps and write each <loc> on a line"},
	{"<rss", "this is an RSS feed, not a list; write the URL of each enclosure on a line"},
	{"<feed", "this is an Atom feed, not a list; write the URLs of its links on lines"},
	{"<html", "this is an HTML page, not a list; look at it in a browser, it may ask for a login; else save its links as text, one URL a line"},
	{"<playlist", "this is a playlist (XSPF), not a list of files; write each <location> of it on a line"},
	{"<multistatus", "this is the listing of a WebDAV directory, not a list; write the URL of each file on a line"},
	{"<d:multistatus", "this is the listing of a WebDAV directory, not a list; write the URL of each file on a line"},
	{"<catalog", "this is a THREDDS catalog, not a list; write the URL of each file on a line"},
	{"<plist", "this is a shortcut to one URL (.webloc), not a list; write its URL into a text file"},
	{"<mpd", "this is a playlist (DASH), not a list of files; take a program for videos"},
	{"<asx", "this is a playlist (ASX), not a list of files; copy the URLs of the files into a text file, one a line"},
	{"<?xml", "this is an XML document that is no Metalink, so no list; write NAME<TAB>URL lines"},
}

// notAList returns what a file is that is no list, and what to do; "" if it may be a
// list. start is the beginning of the file; the first 4096 bytes are looked at, in
// lower case. It is called before a form is guessed, because a page of HTML, for one,
// also has lines with URLs in them.
func notAList(start []byte) string {
	lower := lowerASCII(bytes.TrimLeft(start[:min(len(start), 4096)], " \t\r\n"))
	for _, s := range strangers {
		if bytes.HasPrefix(lower, []byte(s.begin)) {
			return s.what
		}
	}
	if torrent.Match(lower) && (bytes.Contains(start, []byte("8:announce")) || bytes.Contains(start, []byte("4:info"))) {
		return "this is a torrent, not a list; give it to a BitTorrent client, or take a Metalink or a list of URLs"
	}
	// XML is looked through for its outermost elements, before which a prolog and comments may stand.
	if bytes.HasPrefix(lower, []byte("<")) && !isMetalink(start) {
		for _, e := range elements {
			if bytes.Contains(lower, []byte(e.element)) {
				return e.what
			}
		}
	}
	if bytes.HasPrefix(start, []byte("#!")) && !bytes.Contains(start, []byte(esgfHead)) {
		return "this is a script, not a list; write its URLs into a text file, one a line"
	}
	// The test for binary data comes last, so that a form with a name is told by its name.
	if isBinary(start) {
		return "this is binary data, not a list; a list is text"
	}
	return ""
}

// torrent is how the dictionary of a torrent begins.
var torrent = regexp.MustCompile(`^d[0-9]{1,2}:[a-z]`)

// lowerASCII returns a copy whose capital letters are small. Other bytes stay.
func lowerASCII(text []byte) []byte {
	lower := bytes.Clone(text)
	for i, b := range lower {
		if 'A' <= b && b <= 'Z' {
			lower[i] = b + 'a' - 'A'
		}
	}
	return lower
}

// isBinary reports whether a file is no text: more than a tenth of the characters in
// its first 4096 bytes are control characters or no UTF-8. A list in another encoding
// has fewer of them, except in UTF-16, which is recognized by itself. A file with "://"
// in these bytes is not called binary, so that its wrong bytes are told by line.
func isBinary(start []byte) bool {
	if isUTF16(start) || len(start) == 0 {
		return false
	}
	start = start[:min(len(start), 4096)]
	if bytes.Contains(start, []byte("://")) {
		return false // a list with a wrong byte, which its line tells
	}
	odd := 0
	for text := start; len(text) > 0; {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 || r < ' ' && !strings.ContainsRune("\t\r\n\f\x1b", r) {
			odd++
		}
		text = text[size:]
	}
	return odd*10 > len(start)
}
