package listfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"dlfs/fetch/digest"
)

// maxObject bounds an object of a JSON list, in bytes, where each key counts for
// keyCost more; and maxNesting how deep arrays may stand in arrays.
const (
	maxObject  = 16 << 20
	keyCost    = 100
	maxNesting = 4
)

// jsonList reads JSON values one after the other: objects that are entries, and
// arrays of them, which may stand under "entries" or "files" of an object.
type jsonList struct {
	p     *parser
	in    *bounded
	lines *lineCounter
	dec   *json.Decoder
	depth int // of arrays
}

// json reads a list of JSON Lines, or one of the arrangements jsonList knows.
func (p *parser) json(in io.Reader) error {
	lines := &lineCounter{r: in}
	b := &bounded{r: lines, err: errObject}
	l := &jsonList{p: p, in: b, lines: lines, dec: json.NewDecoder(b)}
	err := l.values()
	switch {
	case err == nil:
	case b.failed != nil:
		return b.failed
	case errors.Is(err, errObject), errors.Is(err, io.ErrUnexpectedEOF):
		p.fail(l.line(), fmt.Errorf("%w; the JSON is not complete", err))
	case errors.Is(err, errShape):
		p.fail(l.line(), err)
	default:
		p.fail(l.line(), fmt.Errorf("JSON is wrong: %s", printable(err.Error())))
	}
	return nil
}

var (
	errObject = fmt.Errorf("object is longer than %d bytes", maxObject)
	errShape  = errors.New("neither an object nor an array of objects")
)

// line is where the decoder is.
func (l *jsonList) line() int { return l.lines.at(l.dec.InputOffset()) }

func (l *jsonList) token() (json.Token, error) {
	l.in.left = maxObject
	return l.dec.Token()
}

// values reads values to the end.
func (l *jsonList) values() error {
	for {
		l.dec.More() // moves on to the next value, for the line
		t, err := l.token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = l.value(t)
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
}

// value reads the value that begins with t.
func (l *jsonList) value(t json.Token) error {
	switch t {
	case json.Delim('['):
		if l.depth++; l.depth > maxNesting {
			return errShape
		}
		defer func() { l.depth-- }()
		return l.array()
	case json.Delim('{'):
		return l.object()
	}
	return errShape
}

func (l *jsonList) array() error {
	for l.dec.More() {
		t, err := l.token()
		if err == nil {
			err = l.value(t)
		}
		if err != nil {
			return err
		}
	}
	_, err := l.token() // the ]
	return err
}

// object reads an object: a list, if it has a list's key, else an entry.
func (l *jsonList) object() error {
	line := l.line()
	l.p.reached = line
	fields, size := map[string]json.RawMessage{}, 0
	isList := false
	for l.dec.More() {
		key, err := l.token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		if name == "entries" || name == "files" {
			isList = true
			t, err := l.token()
			if err == nil && t != json.Delim('[') {
				err = errShape
			}
			if err == nil {
				err = l.value(t)
			}
			if err != nil {
				return err
			}
			continue
		}
		var raw json.RawMessage
		if err := l.dec.Decode(&raw); err != nil {
			return err
		}
		if size += len(name) + len(raw) + keyCost; size > maxObject {
			return errObject
		}
		fields[name] = raw
	}
	if _, err := l.token(); err != nil { // the }
		return err
	}
	if isList {
		return nil
	}
	d := &draft{details: Details{Size: -1}, line: line, dialect: JSON}
	for key, raw := range fields {
		if err := d.key(key, raw); err != nil {
			l.p.fail(line, err)
			return nil
		}
	}
	l.p.accept(d)
	return nil
}

// key takes a key of an object and its value.
func (d *draft) key(key string, raw json.RawMessage) error {
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	switch strings.ToLower(key) {
	case "urls", "mirrors":
		var urls []string
		if json.Unmarshal(raw, &urls) != nil {
			return wrongType(key, "an array of texts")
		}
		d.urls = append(d.urls, urls...)
		return nil
	case "mtime":
		if json.Unmarshal(raw, &d.details.ModTime) != nil {
			return wrongType(key, "a time as in \"2006-01-02T15:04:05Z\"")
		}
		return nil
	case "headers":
		return d.headers(key, raw)
	case "pieces":
		return d.pieces(raw)
	}
	if c, _ := columnOf(key); c == sizeColumn {
		n, err := parseSize(string(bytes.Trim(raw, `"`)))
		d.details.Size = n
		return err
	} else if c == otherColumn {
		return nil
	} else if c == urlColumn {
		var url string
		if json.Unmarshal(raw, &url) != nil {
			return wrongType(key, "a text")
		}
		d.urls = append([]string{url}, d.urls...)
		return nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return wrongType(key, "a text")
	}
	if text == "" {
		return nil
	}
	return d.field(key, text)
}

func wrongType(key, want string) error {
	return fmt.Errorf("value of %s is not %s", quote(key), want)
}

func (d *draft) headers(key string, raw json.RawMessage) error {
	var fields map[string]jsonTexts
	if json.Unmarshal(raw, &fields) != nil {
		return wrongType(key, "an object of texts")
	}
	for name, values := range fields {
		for _, value := range values {
			if err := d.setHeader(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// jsonTexts is a text or an array of them.
type jsonTexts []string

func (t *jsonTexts) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*t = jsonTexts{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(t))
}

// jsonPieces is how Write says piece digests.
type jsonPieces struct {
	Length int64    `json:"length"`
	Sums   []string `json:"sums"`
}

func (d *draft) pieces(raw json.RawMessage) error {
	var said jsonPieces
	if json.Unmarshal(raw, &said) != nil {
		return wrongType("pieces", "an object of length and sums")
	}
	pieces := &digest.Pieces{Length: said.Length}
	for _, text := range said.Sums {
		sum, err := digest.Parse(text)
		if err != nil {
			return err
		}
		pieces.Sums = append(pieces.Sums, sum)
	}
	if pieces.Length <= 0 || len(pieces.Sums) == 0 {
		return wrongType("pieces", "a length above 0 and its sums")
	}
	d.details.Pieces = pieces
	return nil
}

// lineCounter tells in which line a byte offset is, for offsets that grow.
type lineCounter struct {
	r        io.Reader
	read     int64
	newlines []int64 // offsets after those passed
	passed   int
}

func (c *lineCounter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			c.newlines = append(c.newlines, c.read+int64(i))
		}
	}
	c.read += int64(n)
	return n, err
}

// at returns the 1-based line of an offset not before the last one asked for.
func (c *lineCounter) at(offset int64) int {
	n := 0
	for n < len(c.newlines) && c.newlines[n] < offset {
		n++
	}
	c.newlines = c.newlines[n:]
	c.passed += n
	return c.passed + 1
}

// modTime is a time as an entry's mtime says it.
func modTime(t time.Time) string { return t.Format(time.RFC3339Nano) }
