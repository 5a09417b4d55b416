package listfile

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"dlfs/listfile/digest"
)

// maxFileElement bounds one file of a Metalink, in bytes: a hash for each MiB of
// a terabyte fits.
const maxFileElement = 256 << 20

// metalinkFile is a file element of Metalink 4 (RFC 5854), or of version 3,
// which has resources, verification and preferences instead.
type metalinkFile struct {
	Name   string         `xml:"name,attr"`
	Size   string         `xml:"size"`
	Hashes []metalinkHash `xml:"hash"`
	Pieces []metalinkPart `xml:"pieces"`
	URLs   []metalinkURL  `xml:"url"`

	OldHashes []metalinkHash `xml:"verification>hash"`
	OldPieces []metalinkPart `xml:"verification>pieces"`
	OldURLs   []metalinkURL  `xml:"resources>url"`
}

// metalinkHash is a <hash> element: a digest of the whole file.
type metalinkHash struct {
	Type string `xml:"type,attr"`
	Sum  string `xml:",chardata"`
}

// metalinkPart is a <pieces> element: digests of the pieces of a file, each Length bytes long
// but the last.
type metalinkPart struct {
	Type   string   `xml:"type,attr"`
	Length int64    `xml:"length,attr"`
	Sums   []string `xml:"hash"`
}

// metalinkURL is one URL of a file. Version 4 (RFC 5854) orders them by priority, version 3 by
// preference.
type metalinkURL struct {
	Priority   int    `xml:"priority,attr"`   // 1 is the best, 0 is not said
	Preference int    `xml:"preference,attr"` // 100 is the best
	Location   string `xml:",chardata"`
}

// metalink reads a Metalink document. Each file element is decoded as a whole and
// becomes an entry; all other elements are passed over. A number that is none costs one
// file; XML that is wrong costs the rest of the document, because the decoder cannot go
// on. The error is the one of in.
func (p *parser) metalink(in io.Reader) error {
	b := &bounded{r: in, err: errToken}
	tokens := &boundedXML{dec: xml.NewDecoder(b), in: b, most: maxFileElement}
	dec := xml.NewTokenDecoder(tokens)
	line := func() int { n, _ := tokens.dec.InputPos(); return n }
	for {
		tokens.begin = tokens.dec.InputOffset()
		t, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if start, ok := t.(xml.StartElement); ok && err == nil && start.Name.Local == "file" {
			p.reached = line()
			var f metalinkFile
			at := p.reached
			if err = dec.DecodeElement(&f, &start); err == nil {
				p.metalinkEntry(&f, at)
				continue
			}
		}
		switch {
		case err == nil:
		case b.failed != nil:
			return b.failed
		case errors.Is(err, errToken), errors.Is(err, errFileElement), errors.Is(err, errDeep):
			p.fail(line(), err)
			return nil
		case strings.HasPrefix(err.Error(), "strconv"):
			p.fail(line(), errors.New("a number of this file is none"))
		default:
			p.fail(line(), errors.New("XML is wrong, or not complete"))
			return nil
		}
	}
}

// maxDepth is how deep elements may lie in one another. A Metalink's are five
// deep, and the decoder remembers every one that is open.
const maxDepth = 64

var (
	errToken       = fmt.Errorf("tag or text is longer than %d bytes", maxLine)
	errFileElement = fmt.Errorf("file element is longer than %d bytes", maxFileElement)
	errDeep        = fmt.Errorf("elements lie in one another more than %d deep", maxDepth)
)

// boundedXML reads tokens of a document and fails where it would have the decoder
// remember too much: of one token, of the tokens since begin, or of elements in
// elements.
type boundedXML struct {
	dec   *xml.Decoder
	in    *bounded // what dec reads, some of it ahead of the token
	begin int64    // offset in the document
	most  int64    // bytes from begin on
	depth int
}

// Token returns the next token. It bounds the length of a tag or a text, how deep elements lie
// in one another, and the length of a file element, so that a hostile list needs no more memory
// than its length.
func (x *boundedXML) Token() (xml.Token, error) {
	x.in.left = maxLine
	t, err := x.dec.Token()
	switch t.(type) {
	case xml.StartElement:
		x.depth++
	case xml.EndElement:
		x.depth--
	}
	switch {
	case err != nil:
		return t, err
	case x.depth > maxDepth:
		return nil, errDeep
	case x.dec.InputOffset()-x.begin > x.most:
		return nil, errFileElement
	}
	return t, nil
}

// metalinkEntry takes one file of a metalink in. A file that is wrong is a problem of its
// line, and the others are read on.
func (p *parser) metalinkEntry(f *metalinkFile, line int) {
	d := &draft{name: f.Name, details: Details{Size: -1}, line: line, dialect: Metalink}
	if err := d.metalink(f); err != nil {
		p.fail(line, err)
		return
	}
	p.accept(d)
}

// metalink takes a file element of either version of the form. URLs are sorted by their
// priority, the best first; those of other schemes than http and https are left out.
func (d *draft) metalink(f *metalinkFile) (err error) {
	if d.name == "" {
		return errEmptyName
	}
	if size := strings.TrimSpace(f.Size); size != "" {
		if d.details.Size, err = parseSize(size); err != nil {
			return err
		}
	}
	for _, h := range append(f.Hashes, f.OldHashes...) {
		if a, ok := digest.ParseAlgorithm(h.Type); ok {
			if err := d.addDigest(digest.FromHex(a, strings.TrimSpace(h.Sum))); err != nil {
				return err
			}
		}
	}
	for _, part := range append(f.Pieces, f.OldPieces...) {
		if err := d.metalinkPieces(part); err != nil {
			return err
		}
	}
	urls := append(f.URLs, f.OldURLs...)
	slices.SortStableFunc(urls, func(a, b metalinkURL) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), -cmp.Compare(a.Preference, b.Preference))
	})
	for _, u := range urls {
		url := strings.TrimSpace(u.Location)
		if lower := strings.ToLower(url); strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://") {
			d.urls = append(d.urls, url)
		}
	}
	if len(d.urls) == 0 {
		return errors.New("no http or https URL of this file")
	}
	return nil
}

// rank returns a number by which URLs are sorted, the best first: the priority, and
// 2^30 where the document does not give one.
func rank(u metalinkURL) int {
	if u.Priority <= 0 {
		return 1 << 30
	}
	return u.Priority
}

// metalinkPieces takes piece digests if they are of the strongest algorithm so far.
// Those of an unknown algorithm are passed over; a length that is not above 0, or a
// digest that does not parse, is a problem of the file.
func (d *draft) metalinkPieces(part metalinkPart) error {
	a, ok := digest.ParseAlgorithm(part.Type)
	if !ok || d.details.Pieces != nil && d.details.Pieces.Sums[0].Algorithm >= a || len(part.Sums) == 0 {
		return nil
	}
	if part.Length <= 0 {
		return errors.New("length of the pieces is not above 0")
	}
	pieces := &digest.Pieces{Length: part.Length, Sums: make([]digest.Digest, len(part.Sums))}
	for i, text := range part.Sums {
		var err error
		if pieces.Sums[i], err = digest.FromHex(a, strings.TrimSpace(text)); err != nil {
			return err
		}
	}
	d.details.Pieces = pieces
	return nil
}

// isMetalink reports whether a list begins with a tag and has the root element of a Metalink.
func isMetalink(start []byte) bool {
	text := bytes.TrimLeft(start, " \t\r\n")
	return bytes.HasPrefix(text, []byte("<")) && bytes.Contains(text, []byte("<metalink"))
}
