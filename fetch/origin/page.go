package origin

import (
	"errors"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
)

var errPage = errors.New("origin answers with a web page (a login page?)")

// pageNames are the extensions of files that may well be web pages.
var pageNames = []string{"", ".html", ".htm", ".xhtml", ".shtml", ".php", ".asp", ".aspx", ".jsp", ".cgi"}

// isPage reports whether a response calls itself a web page though the file is
// not named like one. It may be one nevertheless, or the type be wrong.
func (r *Resource) isPage(resp *http.Response) bool {
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		return false // errors come with pages
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return (kind == "text/html" || kind == "application/xhtml+xml") &&
		!slices.Contains(pageNames, strings.ToLower(path.Ext(r.opts.Name)))
}

// packedNames are the extensions of files that are gzipped themselves.
var packedNames = []string{".gz", ".tgz", ".taz", ".svgz", ".emz", ".bgz"}

// ownCoding takes the word gzip from a response that only says by it what the
// file is. Many a server labels x.tar.gz so, and sends it as it is; were it
// compressed on the way, it would not come in ranges with a length of their own.
func (r *Resource) ownCoding(resp *http.Response) {
	coding := strings.TrimPrefix(strings.ToLower(resp.Header.Get("Content-Encoding")), "x-")
	if coding == "gzip" && resp.StatusCode == http.StatusPartialContent && resp.ContentLength >= 0 &&
		slices.Contains(packedNames, strings.ToLower(path.Ext(r.opts.Name))) {
		resp.Header.Del("Content-Encoding")
	}
}

// looksLikePage reports whether a body begins as web pages do.
func (w *watched) looksLikePage() bool {
	return strings.HasPrefix(http.DetectContentType(w.peek(512)), "text/html")
}
