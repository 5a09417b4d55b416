package listfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
)

// maxObject bounds an object of a JSON list, in bytes. Each key counts for keyCost
// bytes more, which is about what the map entry of a key takes in memory. maxNesting
// bounds how deep arrays and objects may stand in one another, because the reader calls
// itself for each.
const (
	maxObject  = 16 << 20
	keyCost    = 100
	maxNesting = 16
)

// lists are the keys under which portals put lists of files: arrays, or objects
// whose keys are names. They are spelled as plain returns them. An object with one
// of them is no file.
var lists = map[string]bool{
	"entries": true, "files": true, "data": true, "items": true, "results": true, "result": true, "resources": true, "assets": true,
	"distribution": true, "distributions": true, "dataset": true, "datasets": true, "graph": true, "records": true, "hits": true, "documents": true,
	"docs": true, "objects": true, "images": true, "tree": true, "siblings": true, "downloads": true, "features": true, "jobs": true,
	"latestversion": true, "datasetversion": true, "releases": true, "response": true, "payload": true, "artifacts": true, "packages": true,
}

// groups are those of lists whose members hold files, and need not have any.
var groups = map[string]bool{"jobs": true, "features": true, "dataset": true, "datasets": true, "releases": true, "hits": true, "graph": true}

// jsonList reads JSON values one after the other: files, and arrays and objects of
// them.
type jsonList struct {
	p      *parser
	in     *bounded
	lines  *lineCounter
	dec    *json.Decoder
	before int // lines before the text that is read
	depth  int // of arrays and objects
}

// place is where a value stands in the document. What an object without a URL means depends on
// it: a problem, or a part of the document that holds no files.
type place struct {
	name  string // the key it stands under, "" in an array
	list  bool   // it stands under one of lists, or at the top: its keys may be names
	group bool   // it is a member of one of groups, or of a list of unknown keys
}

// newJSONList reads a list of JSON from in. The memory for one object is bounded; a larger one
// ends the reading with errObject. Numbers keep their text, since a size may be larger than a
// float64 tells exactly.
func newJSONList(p *parser, in io.Reader) *jsonList {
	lines := &lineCounter{r: in}
	b := &bounded{r: lines, err: errObject}
	l := &jsonList{p: p, in: b, lines: lines, dec: json.NewDecoder(b)}
	l.dec.UseNumber()
	return l
}

// json reads a list of JSON Lines, or one of the arrangements that jsonList knows. What
// is no JSON is a problem of the line where the decoder stopped, and the rest of the
// list is lost, because the decoder cannot find the next value; the entries before it
// stay. Only an error of the reader below is returned.
func (p *parser) json(in *bufio.Reader, start []byte) error {
	comments := commentBytes(start) // as Write puts before it
	if _, err := in.Discard(comments); err != nil {
		return err
	}
	l := newJSONList(p, in)
	l.before = bytes.Count(start[:comments], []byte("\n"))
	err := l.values()
	switch {
	case err == nil:
	case l.in.failed != nil:
		return l.in.failed
	case errors.Is(err, errObject), errors.Is(err, io.ErrUnexpectedEOF):
		p.stop(l.line(), fmt.Errorf("%w; the JSON is not complete", err))
	case errors.Is(err, errShape), errors.Is(err, errInVain), errors.Is(err, errRepeated):
		p.stop(l.line(), err)
	default:
		p.stop(l.line(), fmt.Errorf("JSON is wrong: %s", printable(err.Error())))
	}
	return nil
}

var (
	// errObject ends the reading, since the rest of such an object cannot be skipped.
	// errShape is of a value where only files may stand.
	errObject = fmt.Errorf("object is longer than %d bytes", maxObject)
	errShape  = errors.New("neither an object nor an array of objects")
)

// line returns the 1-based line of the list that the decoder has reached.
func (l *jsonList) line() int { return l.before + l.lines.at(l.dec.InputOffset()) }

// token returns the next token. The memory for it is bounded anew, by maxObject.
func (l *jsonList) token() (json.Token, error) {
	l.in.left = maxObject
	return l.dec.Token()
}

// values reads values to the end of the list: one array or object, or several one after
// the other, which is JSON Lines. The end of the list inside a value is
// io.ErrUnexpectedEOF.
func (l *jsonList) values() error {
	for {
		l.dec.More() // moves on to the next value, for the line
		t, err := l.token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = l.value(t, place{list: true})
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
}

// value reads the value that begins with the token t. A text below an array or object
// is a URL. A number, true, false, null, or a text at the top is errShape.
func (l *jsonList) value(t json.Token, at place) error {
	if l.depth++; l.depth > maxNesting {
		return errShape
	}
	defer func() { l.depth-- }()
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			return l.array(at)
		}
		return l.object(at)
	case string:
		if l.depth > 1 {
			l.p.reached = l.line()
			l.p.accept(&draft{urls: []string{t}, details: Details{Size: -1}, line: l.p.reached, dialect: JSON, apart: true})
			return nil
		}
	}
	return errShape
}

// array reads the members of an array, each as a value of its own, up to the closing
// bracket. Where the array need hold no files (place.group), its members need not
// either.
func (l *jsonList) array(at place) error {
	for l.dec.More() {
		t, err := l.token()
		if err == nil {
			err = l.value(t, place{group: at.group})
		}
		if err == nil {
			err = l.p.inVain()
		}
		if err != nil {
			return err
		}
	}
	_, err := l.token() // the ]
	return err
}

// object is an object as far as it is read.
type object struct {
	at     place
	line   int                        // where it begins
	keys   []string                   // those remembered, in the order of the document
	values map[string]json.RawMessage // by key, of those remembered
	size   int                        // bytes of keys and values, with keyCost for each key
	isList bool                       // a list of files stands under one of its keys, and was read
	alone  bool                       // it is the only value of the document
	empty  bool                       // the list of isList has no members
}

// object reads an object: a list of files, a file, or both. Lists below the known keys
// are read at once, member by member, so that a list of any length needs little memory.
// The other keys are remembered until the object ends, and judge then decides what they
// are. judge is not asked about an object with a list if the list had files or no
// members, or if the object has no URL of its own.
func (l *jsonList) object(at place) error {
	o := &object{at: at, line: l.line(), values: map[string]json.RawMessage{}}
	l.p.reached = o.line
	before := l.p.seen
	first := l.depth == 1 && before == 0
	for l.dec.More() {
		if err := l.member(o); err != nil {
			return err
		}
	}
	if _, err := l.token(); err != nil { // the }
		return err
	}
	if o.isList && (l.p.seen > before || o.empty || !l.p.hasURL(o)) {
		return nil
	}
	if first {
		l.in.left = maxObject
		o.alone = !l.dec.More()
	}
	return l.judge(o)
}

// member reads a key of an object and its value, which is either a list of files,
// and is read as one, or remembered.
func (l *jsonList) member(o *object) error {
	t, err := l.token()
	if err != nil {
		return err
	}
	key, _ := t.(string)
	if n := plain(key); o.isListKey(n) && l.p.chosenKey(key) == otherColumn {
		t, err := l.token()
		if err != nil {
			return err
		}
		if _, nested := t.(json.Delim); nested {
			o.isList, o.empty = true, !l.dec.More()
			return l.value(t, place{name: key, list: true, group: groups[n]})
		}
		raw, err := json.Marshal(t)
		if err != nil {
			return err
		}
		return l.remember(o, key, raw)
	}
	var raw json.RawMessage
	l.in.left = maxObject
	if err := l.dec.Decode(&raw); err != nil {
		return err
	}
	if isArrayOfObjects(raw) && plain(key) == "urls" { // as PyPI has them
		o.isList = true
		return l.below(raw, o.line, place{name: key})
	}
	return l.remember(o, key, raw)
}

// isListKey reports whether a list may stand under a key, which is spelled as plain
// returns it. In an object of files by name, keys are names: under "files", "assets"
// and "jobs" a key such as "data" is a file of that name, and only "entries" (Zenodo)
// is a list there.
func (o *object) isListKey(key string) bool {
	switch plain(o.at.name) {
	case "files", "assets", "jobs":
		return lists[key] && (!o.at.list || key == "entries")
	}
	return lists[key]
}

// remember keeps a key and its value until the whole object has been read. The sum of an
// object's keys and values is bounded by maxObject. A key that comes again with another
// value is a problem, because one of the two would be lost (RFC 8259 section 4).
func (l *jsonList) remember(o *object, key string, raw json.RawMessage) error {
	if o.size += len(key) + len(raw) + keyCost; o.size > maxObject {
		return errObject
	}
	first, twice := o.values[key]
	switch {
	case !twice:
		o.keys = append(o.keys, key)
		o.values[key] = raw
	case !bytes.Equal(first, raw):
		l.p.fail(l.line(), fmt.Errorf("key %s stands twice in one object, with values that differ; rename one of them or remove it", quote(key)))
	}
	return nil
}

// below reads a value that was remembered, as if it stood in the list at that place.
// Lines are counted from that of the object, so that the line of an entry is too small
// by the lines of the keys before the value.
func (l *jsonList) below(raw json.RawMessage, line int, at place) error {
	inner := newJSONList(l.p, bytes.NewReader(raw))
	inner.before, inner.depth = line-1, l.depth
	t, err := inner.token()
	if err != nil {
		return err
	}
	return inner.value(t, at)
}

// judge decides what an object is that holds none of lists, after all of it has been read: a
// file; or, where keys may be names, names and URLs; or names and files, or one list under an
// unknown key. What is none of these is a problem, unless objects of its place need not be files.
func (l *jsonList) judge(o *object) error {
	l.p.reached = o.line
	if len(o.keys) == 0 && (o.at.list || o.at.group) {
		return nil
	}
	switch isFile, err := l.p.file(o); {
	case err != nil:
		l.p.fail(o.line, err)
		return nil
	case isFile:
		return nil
	}
	if o.at.list && l.p.namesOfURLs(o) {
		return nil
	}
	nested := slices.DeleteFunc(slices.Clone(o.keys), func(key string) bool { return !holdsFiles(o.values[key], l.p.base != nil) })
	switch {
	case !o.at.list && o.at.group:
		l.p.list.Ignored++
		return nil
	case !o.at.list || len(nested) == 0:
		l.p.fail(o.line, errNoURLIn(o))
		return nil
	case o.at.name == "" && len(nested) > 1 && !allObjects(o, nested):
		l.p.fail(o.line, fmt.Errorf("lists stand under the keys %s; cut out the one that is meant", columnList(nested)))
		return nil
	}
	for _, key := range nested {
		if path.Ext(key) != "" && o.values[key][0] == '[' {
			l.p.fail(o.line, fmt.Errorf("the list under %s may be of mirrors of that file, or of files; write {\"name\": …, \"mirrors\": […]} for mirrors", quote(key)))
			continue
		}
		if err := l.below(o.values[key], o.line, place{name: key, group: o.at.group}); err != nil {
			return err
		}
	}
	return nil
}

// errNoURLIn is the error of an object without a URL. It names the keys, so that the
// user sees which of them to give with --columns.
func errNoURLIn(o *object) error {
	return fmt.Errorf("no URL in this object, whose keys are %s; say with --columns=url=KEY which has it, or give --base-url for URLs made of the names", columnList(o.keys))
}
