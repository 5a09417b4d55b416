package origin

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// Some object stores, map servers and programming interfaces answer 200 and send a document that
// describes an error: <Error><Code>AccessDenied</Code>… or {"error": "expired"}. Such a document
// in the place of a file is refused if all of this holds:
//
//   - The answer is short, and its type is XML, JSON or plain text, or it has none.
//   - The extension of the file's name is not that of a kind which holds such documents.
//   - The list does not say that the file has just this size.
//   - The whole body is XML whose root element is an error, or a JSON object that tells an
//     error and has no members but those that errors have.

// maxErrorDoc is how long an error document is, in bytes, at most.
const maxErrorDoc = 64 << 10

// These are the extensions of files that may be XML, JSON, or any text.
var (
	xmlNames = strings.Fields(`.xml .xsd .xsl .xslt .wsdl .svg .kml .gml .gpx .rss .atom .rdf .owl .dae .plist .xmp
		.mpd .meta4 .metalink .vrt .qgs .opf .sbml .mzml`)
	jsonNames = strings.Fields(`.json .jsonl .ndjson .json5 .jsonld .geojson .topojson .ipynb .har .gltf .avsc
		.webmanifest .map`)
	textNames = strings.Fields(`.txt .text .log .out .err .md .yaml .yml .js .ts .py .meta .cfg .conf`)
)

// mayBeErrorDoc reports whether the header of an answer is one that an error document may have,
// in the place of a file that is none. The body is not looked at.
func (r *Resource) mayBeErrorDoc(resp *http.Response) bool {
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		return false
	}
	n := resp.ContentLength
	return n <= maxErrorDoc && (n <= 0 || n != r.opts.Size) && !r.isNamedPage()
}

// isTypedErrorDoc reports the same of an answer that says that it is XML or JSON.
func (r *Resource) isTypedErrorDoc(resp *http.Response) bool {
	kind := documentKind(resp)
	return (kind == "xml" || kind == "json") && r.mayBeErrorDoc(resp) && !r.isNamedDocument(kind, kind)
}

// documentKind returns which kind of document an answer says that it is: "xml", "json", "text"
// for plain text or no type, "" for anything else.
func documentKind(resp *http.Response) string {
	said := resp.Header.Get("Content-Type")
	if said == "" {
		return "text"
	}
	kind, _, _ := mime.ParseMediaType(said) // an error leaves it empty
	_, sub, _ := strings.Cut(kind, "/")
	switch sub = sub[strings.LastIndexByte(sub, '+')+1:]; {
	case sub == "xml", sub == "json":
		return sub
	case kind == "text/plain":
		return "text"
	}
	return ""
}

// isNamedDocument reports whether the file is named like one that is a document of this kind,
// "xml" or "json". said is what the answer calls it.
func (r *Resource) isNamedDocument(kind, said string) bool {
	ext := r.extension()
	switch {
	case slices.Contains(textNames, ext):
		return said == "text"
	case kind == "xml":
		return slices.Contains(xmlNames, ext)
	}
	return slices.Contains(jsonNames, ext)
}

// errorDoc returns the error of an answer that is an error document in the place of the file,
// nil if it is none. It reads ahead as much of the body as tells.
func (r *Resource) errorDoc(x *exchange, a answer) error {
	said := documentKind(x.resp)
	if said == "" || a.off != 0 || a.end <= 0 || a.version.Size > maxErrorDoc || !r.mayBeErrorDoc(x.resp) ||
		r.opts.Size > 0 && a.version.Size == r.opts.Size {
		return nil
	}
	body := &readAhead{w: x.body}
	kind, tells := "", ""
	switch body.skipSpace() {
	case '<':
		kind = "xml"
	case '{':
		kind = "json"
	}
	switch {
	case kind == "" || r.isNamedDocument(kind, said):
	case kind == "xml":
		tells = xmlError(io.LimitReader(body, maxErrorDoc))
	default:
		tells = jsonError(io.LimitReader(body, maxErrorDoc), said == "json" && r.extension() != "")
	}
	if tells == "" {
		return nil
	}
	err := fmt.Errorf("origin answers with an error document in the place of the file: %s", tells)
	if r.extension() == "" {
		err = fmt.Errorf("%w; if the document is meant, list it with a name that ends in .%s", err, kind)
	}
	return &Error{Status: x.resp.StatusCode, Err: err, retry: retry{most: fewRetries, lasting: NeedsURL}}
}

// readAhead reads a body without taking from it what is read.
type readAhead struct {
	w   *watched
	off int // how much was read
}

func (b *readAhead) Read(p []byte) (n int, err error) {
	if b.off == len(b.w.ahead) {
		buf := make([]byte, 4<<10)
		n, err = b.w.next(buf) // an error is met again by the next Read of the body
		b.w.ahead = append(b.w.ahead, buf[:n]...)
	}
	n = copy(p, b.w.ahead[b.off:])
	b.off += n
	if n > 0 {
		err = nil
	}
	return n, err
}

// skipSpace reads up to the first byte that is no white space and no part of a byte order mark,
// and returns that byte, which is still to be read; 0 if none comes within a few.
func (b *readAhead) skipSpace() byte {
	var p [1]byte
	for range 32 {
		if _, err := io.ReadFull(b, p[:]); err != nil {
			return 0
		}
		if strings.IndexByte(" \t\r\n\xef\xbb\xbf", p[0]) < 0 {
			b.off--
			return p[0]
		}
	}
	return 0
}
