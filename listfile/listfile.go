package listfile

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"dlfs/listfile/digest"
)

// Entry is one file of a list. Its name and URL share their memory with those of other
// entries.
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

// Said returns what the list says of the entry, also where Details is nil. The slices and
// maps in it are the entry's.
func (e *Entry) Said() Details {
	if e.Details == nil {
		return Details{Size: -1}
	}
	return *e.Details
}

// URLs returns the entry's URLs, the best first.
func (e *Entry) URLs() []string { return append([]string{e.URL}, e.Said().Mirrors...) }

// List is a parsed list file. It belongs to the caller, who may change it; the
// package keeps no reference to it.
type List struct {
	Dialect     Dialect // the form of the list; Mixed if its lines have several
	Columns     string  // what its columns were taken for, as "url=HEADING name=HEADING"; "" if it has none
	Entries     []Entry // in the order of the list, no two of the same name; guessed ones may be, until Rename
	Header      int     // 1-based line of the header, 0 if there is none
	Folded      int     // lines that repeated an earlier line's name and URL
	SharedURLs  int     // entries whose URL an earlier entry has too
	LeftOut     int     // entries that Options.Include and Exclude left out
	Ignored     int     // options, columns and lines that mean nothing here
	Directories int     // objects that are directories, in a list of what a directory holds
	NoScheme    int     // URLs without a scheme that http:// was put before
	NoChecksum  int     // lines of a checksum file that are no checksums; not set here
	Bad         Errors  // what is left out because it is wrong, if the caller goes on in spite of it; not set here
}

// Counts is how many entries of a list say what.
type Counts struct {
	Mirrors int   // entries with more than one URL
	Sizes   int   // entries with a size
	Bytes   int64 // sum of those; 2^63 - 1 if it is more
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
			c.Bytes += min(d.Size, math.MaxInt64-c.Bytes)
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

	// BaseURL is what relative URLs are relative to, and what names are appended
	// to where there is no URL. If empty, there are none. "http://" and "https://"
	// alone are the scheme of URLs that have none.
	BaseURL string

	// Columns says which columns of a table, or keys of objects, hold what, as
	// "url=HEADING,name=HEADING,size=2,sha256=3"; numbers count from 1. If empty,
	// the headings tell.
	Columns string

	// NameFrom names entries that have no name. If empty, Basename.
	NameFrom NameFrom

	// Include and Exclude are patterns of names: * and ? stand for characters
	// of a component, ** for any number of components. An entry is kept if it
	// matches one of Include, or there is none, and none of Exclude.
	Include, Exclude []string
}

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
	packed := bufio.NewReaderSize(r, sampleBytes)
	in, done, err := unpack(packed)
	defer done()
	if err != nil {
		return nil, fmt.Errorf("%s: unpack: %w", printable(file), err)
	}
	if in == packed {
		p.progress.total = lengthOf(r)
	}
	if bom, _ := in.Peek(len(byteOrderMark)); string(bom) == string(byteOrderMark) {
		in.Discard(len(byteOrderMark)) // has been peeked at
	}
	start, err := in.Peek(sampleBytes)
	if err != nil && !errors.Is(err, io.EOF) && len(start) == 0 {
		return nil, fmt.Errorf("%s: read: %w", printable(file), err)
	}
	if err := p.parse(in, start); err != nil {
		return nil, fmt.Errorf("%s: read line %d: %w", printable(file), p.reached+1, err)
	}
	if p.list.Dialect == "" {
		p.list.Dialect = Empty
	}
	p.list.SharedURLs = p.index.sharedURLs()
	return p.list, p.faults.err()
}

// parser gathers the entries and the problems of one list. One goroutine uses it, from
// newParser to the end of the list. The methods that read a form call accept for each entry and
// fail for each problem; they return an error only if the reader below fails.
type parser struct {
	faults
	opts       Options
	base       *url.URL // nil without Options.BaseURL
	baseScheme string   // of Options.BaseURL, if that is no more than a scheme
	chosen     []chosen // Options.Columns
	keep       selection
	list       *List
	index      *index
	draft      draft // of the line being read, where that is all there is to an entry
	texts      texts // of the entries
	progress   progress
	full       bool // the index took no more; what follows is not looked at, and errFull is told once
	begun      bool // a line that is neither blank nor a comment has been seen, so that no header follows
	signed     bool // a line of a PGP signature has been seen; lines that are no checksums belong to it
	seen       int  // how many drafts were made, right or wrong
	repeated   int  // how many entries in a row the list had already; a list without an end repeats itself
	reached    int  // 1-based number of the last line read, which errors name
}

// newParser checks the options, and returns a parser of one list. The argument file is what
// errors call the list.
func newParser(file string, opts Options) (*parser, error) {
	list := &List{}
	p := &parser{faults: faults{file: file}, opts: opts, list: list, index: newIndex(list)}
	p.opts.NameFrom = cmp.Or(opts.NameFrom, Basename)
	var err error
	if p.chosen, err = parseColumns(opts.Columns); err != nil {
		return nil, fmt.Errorf("columns: %w", err)
	}
	switch opts.BaseURL {
	case "":
	case "http://", "https://":
		p.baseScheme = opts.BaseURL
	default:
		if p.base, err = checkURL(opts.BaseURL); err != nil {
			return nil, fmt.Errorf("base URL: %w", err)
		}
	}
	if opts.Format != "" && !slices.Contains(Dialects(), opts.Format) {
		return nil, fmt.Errorf("format %q is not known; use one of %s", opts.Format, dialectNames())
	}
	p.keep, err = newSelection(opts.Include, opts.Exclude)
	return p, err
}

// fail records a problem that costs one line or one object. Reading goes on behind it.
func (p *parser) fail(line int, err error) {
	p.faults.add(line, err, OneLine)
}

const (
	// mostInVain is how many problems a list may have before its first entry. After them the
	// text is taken for something that is no list, and is read no further.
	mostInVain = 1000

	// mostRepeated is how many entries in a row may repeat earlier ones. More of them come
	// from a reader without an end, such as a pipe from yes(1).
	mostRepeated = 2_000_000
)

var (
	errInVain   = fmt.Errorf("%d lines and no entry among them; this is no list, or not in the form it seems to have", mostInVain)
	errRepeated = fmt.Errorf("the last %d lines repeat earlier ones, as if the list had no end; cut the list there", mostRepeated)
)

// inVain returns the reason to stop reading, nil if there is none. Readers of forms ask it after
// each line or object, so that a wrong file of many gigabytes is not read to its end.
func (p *parser) inVain() error {
	switch {
	case max(p.total, p.list.Ignored, p.list.Directories) >= mostInVain && len(p.list.Entries) == 0 && p.list.LeftOut == 0:
		return errInVain
	case p.repeated >= mostRepeated:
		return errRepeated
	}
	return nil
}

// stop records a problem that costs the rest of the list. The caller returns, because what
// follows cannot be understood or is of no use.
func (p *parser) stop(line int, err error) { p.faults.add(line, err, Rest) }

// dialectNames are the names of the dialects, for a message.
func dialectNames() string {
	var names []string
	for _, d := range Dialects() {
		names = append(names, string(d))
	}
	return strings.Join(names, ", ")
}
