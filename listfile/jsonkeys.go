package listfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"dlfs/listfile/digest"
)

// jsonField is a value of a meaning, and the key it is from.
type jsonField struct {
	word  word
	key   string
	value string
	parts []string // of a value that is an array
}

// chosenKey returns the meaning that Options.Columns give to a key, otherColumn if they
// do not name it.
func (p *parser) chosenKey(key string) column {
	for _, c := range p.chosen {
		if c.heading == key || plain(c.heading) == plain(key) {
			return c.word.column
		}
	}
	return otherColumn
}

// wordOf returns the meaning of a key: by Options.Columns alone if they are given, else
// by the table of headings (words.go).
func (p *parser) wordOf(key string) word {
	if p.chosen == nil {
		return wordOf(key)
	}
	for _, c := range p.chosen {
		if c.heading == key || plain(c.heading) == plain(key) {
			return c.word
		}
	}
	return word{}
}

// key takes a key of an object and its value. null is as if the key were missing. An
// object or array that says something of the file is taken apart (nested), keys of a
// fixed meaning are read here, and all others by the table of headings (word). The
// error says that a value is not of the type that its key needs.
func (d *jsonDraft) key(key string, raw json.RawMessage) error {
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	// Keys are compared without case, hyphens and underlines, as headings are.
	n := plain(key)
	// json.RawMessage has no white space before the value, so its first byte tells the type.
	if take := d.nested(n); take != nil && (raw[0] == '{' || raw[0] == '[') && d.p.chosen == nil {
		return take(raw)
	}
	switch n {
	case "type":
		if key == "@type" {
			d.schema = textOf(raw)
		}
		var kind string
		if json.Unmarshal(raw, &kind) == nil {
			kind = plain(kind[strings.LastIndexByte(kind, ':')+1:])
			d.notFile = d.notFile || notFiles[kind]
			d.blob = d.blob || kind == "blob"
		}
		return nil
	case "urls", "mirrors":
		if d.p.chosenKey(key) != otherColumn || raw[0] != '[' {
			break
		}
		var urls []string
		if json.Unmarshal(raw, &urls) != nil {
			return wrongType(key, "an array of texts")
		}
		d.more = append(d.more, urls...)
		d.several = d.several || n == "urls"
		return nil
	case "isdir", "isdirectory", "isfolder":
		d.listed = true
		d.isDir = d.isDir || bytes.Equal(raw, []byte("true"))
		return nil
	case "mtime":
		return d.modTime(key, raw)
	case "headers":
		return d.headers(key, raw)
	case "pieces":
		return d.pieces(raw)
	case "why": // of Write
		return nil
	case "directorylabel":
		d.dir = textOf(raw)
		return nil
	}
	return d.word(d.p.wordOf(key), key, raw)
}

// word takes the value of a key whose meaning is w. Sizes and digests are collected,
// since which of them counts depends on the URL, which may come later; of names and
// URLs the best is kept at once (keep). A key without a meaning, or one whose value is
// of no use, such as an object under "size", is passed over.
func (d *jsonDraft) word(w word, key string, raw json.RawMessage) error {
	if w.column == otherColumn {
		d.unknown++
		return nil
	}
	f := jsonField{word: w, key: key, value: textOf(raw)}
	if w.column != nameColumn {
		f.value = strings.Trim(f.value, blanks)
	}
	switch {
	case raw[0] == '"', w.column == sizeColumn && raw[0] != '{' && raw[0] != '[':
	case raw[0] == '[' && (w.column == urlColumn || w.column == nameColumn) && json.Unmarshal(raw, &f.parts) == nil && len(f.parts) > 0:
		f.value = f.parts[0]
	case w.column == idColumn:
		f.value = string(raw)
	case w.column == urlColumn || w.column == nameColumn || w.algorithm != digest.None:
		return wrongType(key, "a text")
	default:
		return nil
	}
	// Texts such as "null" and "-" mean a missing value, but a file may be named so.
	if isMissing(f.value) && w.column != nameColumn || f.value == "" {
		return nil
	}
	if w.column == digestColumn || w.column == sizeColumn {
		d.values = append(d.values, f)
		return nil
	}
	// A label, such as a title, is the name only where it looks like one of a file.
	if w.label && !looksLikeName(f.value) {
		return nil
	}
	// A path is kept by itself, too: it is the name where several objects have the same one.
	if w.column == nameColumn && plain(key) == "path" {
		d.path = f
	}
	return d.keep(f)
}

// keep keeps the value of the best key of a meaning, the one of the lowest rank. Of two
// keys of URLs with one rank the second is a mirror of the first if their names differ
// only in a number and the URLs look like mirrors; otherwise they are an error, which
// asks the user to choose.
func (d *jsonDraft) keep(f jsonField) error {
	before, there := d.found[f.word.column]
	switch {
	case !there || f.word.rank < before.word.rank:
		d.found[f.word.column] = f
	case f.word.column == urlColumn && f.word.rank == before.word.rank && f.value != before.value:
		if stem(f.key) != stem(before.key) {
			return fmt.Errorf("keys %s and %s may both be the URL; say with --columns=url=KEY which is to be fetched", quote(before.key), quote(f.key))
		}
		if d.p.chosen == nil && !areMirrors("", []string{before.value, f.value}) {
			return fmt.Errorf("keys %s and %s hold URLs of several files; say with --columns=url=KEY which is to be fetched", quote(before.key), quote(f.key))
		}
		d.more = append(d.more, f.value)
	}
	return nil
}

// textOf returns the value of a JSON string, or any other value as it is written in the
// list.
func textOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}
