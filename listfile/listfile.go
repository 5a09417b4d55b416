// Package listfile reads a list file: the names of the files to show and the
// URLs that hold their bytes. It is where text from outside first enters dlfs,
// so it is strict: a line is understood whole or it is a problem with a line
// number and a way out, and nothing is dropped or repaired in silence.
//
// # The list
//
// A list is UTF-8 text, gzipped or not. Its form is told by its content:
//
//	tab          NAME<TAB>URL
//	colon        NAME : URL, NAME: URL or NAME URL
//	urls         URL, named after its path
//	pget         URL NAME                             (pget, git-annex addurl)
//	aria2        URL<TAB>URL… and indented options    (aria2c --input-file)
//	csv, tsv     a header names the columns
//	rclone       URL,PATH without a header            (rclone copyurl --urls)
//	json         objects, one a line or in an array
//	bagit        URL LENGTH FILENAME                  (fetch.txt, RFC 8493 section 2.2.3)
//	tsvhttpdata  URL<TAB>SIZE<TAB>MD5                 (TsvHttpData-1.0)
//	pooch        NAME [ALGORITHM:]HASH [URL]          (pooch registry)
//	metalink     XML                                  (RFC 5854, and version 3)
//
// Lines of the first four may be mixed in one list. The columns of csv and tsv
// and the keys of json are name (file_name, filename, path), url (cdn_link, link,
// href), size (bytes), md5, sha1, sha256 and sha512; others are ignored. json
// knows also urls, mtime and headers. Of the options of aria2, out, dir, checksum,
// header, referer and user-agent mean something here.
//
// # The rules of every form
//
//   - Lines end in LF or CRLF, the last one may end in neither. A byte order
//     mark at the start is skipped, and in forms of lines so are blank lines and
//     lines that begin with #.
//   - A URL is http or https, has a host and holds no space. Where a form knows
//     several for one entry they are mirrors, the best first. With a base URL
//     they may be relative.
//   - A name is a relative path of components parted by /, none of them empty,
//     "." or "..", none above 255 bytes, 4000 bytes in all. It is UTF-8, holds
//     no control character and no backslash, and does not lie in .dlfs. An entry
//     without one is named after its URL.
//   - An entry that repeats an earlier name and URL is folded into it. One name
//     with two URLs is a problem, and so is a name that is both a file and a
//     directory.
//
// In lists of lines the first line is a header, and skipped too, exactly when it
// holds no "scheme://". With a TAB before the URL the name is all that stands
// before the first TAB. Without one it is all that stands before the run of
// spaces and colons that precedes the first "scheme://", so "a b: c : http://h/x"
// names "a b: c".
//
// # The contract
//
// Every problem of a list is reported, in line order, as [Errors]; of a thousand
// and more the rest is counted. What did parse is returned beside them, so that a caller may show both. An error never
// quotes a URL or a header's value, because those carry secrets, nor prints a
// character that a terminal would obey.
package listfile

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"dlfs/fetch/digest"
)

// Entry is one file of a list. Its strings are cut from one copy of its line.
type Entry struct {
	Name    string   // slash-separated relative path, valid for io/fs.ValidPath
	URL     string   // http or https with a host, as the list spells it; may hold secrets
	Line    int      // 1-based line in the list; of folded lines, the first
	Details *Details // what most lists do not say; nil if nothing of it
}

// Details is what a list may say of an entry beside its name and URL.
type Details struct {
	Mirrors []string       // further URLs of the same bytes, the best first
	Size    int64          // bytes, -1 if not said
	Digest  digest.Digest  // of the bytes; the strongest, if several were said
	Pieces  *digest.Pieces // of pieces of the bytes; nil if not said
	Header  http.Header    // to be sent with this entry's requests; may hold secrets
	ModTime time.Time      // zero if not said
	Guessed bool           // the name is what the URL suggests, "" if it suggests none; the origin may know better
	Refused error          // why the entry cannot be fetched; nil if it can
}

// URLs returns the entry's URLs, the best first.
func (e *Entry) URLs() []string {
	if e.Details == nil {
		return []string{e.URL}
	}
	return append([]string{e.URL}, e.Details.Mirrors...)
}

// List is a parsed list file. It belongs to the caller, who may change it; the
// package keeps no reference to it.
type List struct {
	Dialect    Dialect // the form of the list
	Entries    []Entry // in the order of the list, no two of the same name; guessed ones may be, until Rename
	Header     int     // 1-based line of the header, 0 if there is none
	Folded     int     // lines that repeated an earlier line's name and URL
	SharedURLs int     // entries whose URL an earlier entry has too
	LeftOut    int     // entries that Options.Include and Exclude left out
	Ignored    int     // options and columns that mean nothing here
}

// Counts is how many entries of a list say what.
type Counts struct {
	Mirrors int   // entries with more than one URL
	Sizes   int   // entries with a size
	Bytes   int64 // sum of those
	Digests int   // entries with a digest, of the whole or of pieces
}

// Count looks at every entry.
func (l *List) Count() (c Counts) {
	for i := range l.Entries {
		d := l.Entries[i].Details
		if d == nil {
			continue
		}
		if len(d.Mirrors) > 0 {
			c.Mirrors++
		}
		if d.Size >= 0 {
			c.Sizes++
			c.Bytes += d.Size
		}
		if !d.Digest.IsZero() || d.Pieces != nil {
			c.Digests++
		}
	}
	return c
}

// NameFrom is what an entry without a name is named after.
type NameFrom string

// The ways to name.
const (
	Basename    NameFrom = "basename"            // the last component of the URL's path
	Path        NameFrom = "path"                // the whole path of the URL
	Disposition NameFrom = "content-disposition" // as Basename, until the origin is asked: Details.Guessed
)

// Options for Parse. The zero value is useful.
type Options struct {
	// Format is the form of the list. If empty, its content tells.
	Format Dialect

	// BaseURL is what relative URLs are relative to. If empty, there are none.
	BaseURL string

	// NameFrom names entries that have no name. If empty, Basename.
	NameFrom NameFrom

	// Include and Exclude are patterns of names: * and ? stand for characters
	// of a component, ** for any number of components. An entry is kept if it
	// matches one of Include, or there is none, and none of Exclude.
	Include, Exclude []string
}

// maxUnpacked is how long a gzipped list may be when unpacked. Its lines (maxLine) and
// its names (maxKnown) are bounded, too, so that no list fills the memory.
const maxUnpacked = 8 << 30

// Parse reads a list from r, to its end unless that is of no use. The argument
// file is only what errors call the list, such as its path or "stdin".
//
// If parts of the list are wrong, the error is [Errors] with every problem, and
// the list returned with it holds the entries that are right: it is never nil
// and keeps every promise of [List], but it is not what its author meant. If r
// fails, or the options are wrong, the list is nil.
//
// Parse blocks as r does. It holds one line or object at most besides what it
// returns and, until it returns, an index of the names and URLs. It may be called
// concurrently with different readers.
func Parse(r io.Reader, file string, opts Options) (*List, error) {
	p, err := newParser(file, opts)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(r, sniffBytes)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("%s: unpack: %w", printable(file), err)
		}
		in = bufio.NewReaderSize(&bounded{r: z, left: maxUnpacked, err: errUnpacked}, sniffBytes)
	}
	if bom, _ := in.Peek(len(byteOrderMark)); string(bom) == string(byteOrderMark) {
		in.Discard(len(byteOrderMark)) // has been peeked at
	}
	start, err := in.Peek(sniffBytes)
	if err != nil && !errors.Is(err, io.EOF) && len(start) == 0 {
		return nil, fmt.Errorf("%s: read: %w", printable(file), err)
	}
	if err := p.parse(in, start); err != nil {
		return nil, fmt.Errorf("%s: read line %d: %w", printable(file), p.reached+1, err)
	}
	if p.list.Dialect == "" {
		p.list.Dialect = Empty
	}
	return p.list, p.problems()
}

// problems returns all problems in line order, nil if there are none.
func (p *parser) problems() error {
	if len(p.errs) == 0 {
		return nil
	}
	// An entry of several lines is judged at its end.
	slices.SortStableFunc(p.errs, func(a, b *SyntaxError) int { return cmp.Compare(a.Line, b.Line) })
	if p.untold > 0 {
		p.errs = append(p.errs, &SyntaxError{File: p.file, Line: p.errs[len(p.errs)-1].Line, Msg: fmt.Sprintf("and %d more problems", p.untold)})
	}
	return p.errs
}

var errUnpacked = fmt.Errorf("the list unpacks to more than %d GiB", maxUnpacked>>30)

// parser gathers the entries and the problems of one list.
type parser struct {
	file    string
	opts    Options
	base    *url.URL // nil without Options.BaseURL
	keep    selection
	list    *List
	errs    Errors
	untold  int // problems beyond maxProblems
	index   *index
	full    bool // the index took no more
	begun   bool // a line that is neither blank nor a comment has been seen
	reached int  // the last line read
}

func newParser(file string, opts Options) (*parser, error) {
	p := &parser{file: file, opts: opts, list: &List{}, index: newIndex()}
	p.opts.NameFrom = cmp.Or(opts.NameFrom, Basename)
	var err error
	if opts.BaseURL != "" {
		if p.base, err = checkURL(opts.BaseURL); err != nil {
			return nil, fmt.Errorf("base URL: %w", err)
		}
	}
	if opts.Format != "" && !slices.Contains(Dialects(), opts.Format) {
		return nil, fmt.Errorf("format %q is not known; use one of %v", opts.Format, Dialects())
	}
	p.keep, err = newSelection(opts.Include, opts.Exclude)
	return p, err
}

// maxProblems is how many problems of a list are told, lest a file that is no
// list fill the memory with them.
const maxProblems = 1000

// fail records a problem of a line.
func (p *parser) fail(line int, err error) {
	if len(p.errs) == maxProblems {
		p.untold++
		return
	}
	p.errs = append(p.errs, &SyntaxError{File: p.file, Line: line, Msg: err.Error()})
}
