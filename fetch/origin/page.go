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

// looksLikePage reports whether a body begins as web pages do.
func (w *watched) looksLikePage() bool {
	return strings.HasPrefix(http.DetectContentType(w.peek(512)), "text/html")
}
