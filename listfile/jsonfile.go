package listfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
)

// notFiles are the types of objects that hold no bytes of their own.
var notFiles = map[string]bool{"directory": true, "dir": true, "folder": true, "tree": true, "fileset": true}

// jsonDraft is the draft of an object, and how good the keys are that it is from.
type jsonDraft struct {
	draft
	p       *parser
	found   map[column]jsonField
	values  []jsonField // sizes and digests, in the order of their keys
	path    jsonField   // of the key path
	more    []string    // URLs of urls and mirrors
	dir     string
	unknown int    // keys that mean nothing here
	schema  string // of the object, as schema.org has them
	notFile bool
	isDir   bool // it is a directory
	listed  bool // it is from a program that lists directories, and says of each entry whether it is one
	several bool // more is from urls, and may be of several files
	blob    bool // it is an object of git, whose URL answers with JSON
}

// hasURL reports whether an object has a key that means a URL, with a value of more
// than four bytes, which excludes null and "".
func (p *parser) hasURL(o *object) bool {
	return slices.ContainsFunc(o.keys, func(key string) bool { return p.wordOf(key).column == urlColumn && len(o.values[key]) > 4 })
}

// file takes an object that is a file, or several (drafts), and accepts its entries. It
// reports true also for an object that is known to be no file, such as a directory;
// that is counted in List.Ignored. It reports false for an object without a URL. The
// error is a problem of the object.
func (p *parser) file(o *object) (bool, error) {
	d := &jsonDraft{p: p, draft: draft{details: Details{Size: -1}, line: o.line, dialect: JSON, apart: true}, found: map[column]jsonField{}}
	for _, key := range o.keys {
		if err := d.key(key, o.values[key]); err != nil {
			return true, err
		}
	}
	if d.notFile {
		p.list.Ignored++
		return true, nil
	}
	if d.isDir {
		p.list.Directories++
		return true, nil
	}
	drafts, err := d.drafts(o.at.name)
	if err == nil && len(drafts) > 0 {
		err = d.checkKind(o.alone)
	}
	if err != nil {
		return true, err
	}
	for i := range drafts {
		p.accept(&drafts[i])
	}
	return len(drafts) > 0, nil
}

// drafts returns what the object is: one file, several if it has several URLs and no
// name, none if it has no URL. key is the key that the object stands under, which is
// the name in an object of files by name.
//
// Keys such as name and path have no fixed meaning in JSON: portals put a URL under
// path, and a title under name. What is a URL by its value is therefore taken as the
// URL if no key says it, and a name without an extension gives way to a path.
func (d *jsonDraft) drafts(key string) ([]draft, error) {
	url, name := d.found[urlColumn], d.found[nameColumn]
	if d.blob && d.p.chosen == nil && strings.Contains(url.value, "/git/blobs/") {
		url = jsonField{}
	}
	// A path may be a URL. Beside a path, what is called name may be a mere label.
	switch noURL := url.value == "" && len(d.more) == 0; {
	case noURL && urlStart(name.value) == 0:
		url, name = name, jsonField{}
	case noURL && urlStart(d.path.value) == 0:
		url = d.path
		if path.Ext(name.value) == "" {
			name = jsonField{}
		}
	case d.path.value != "" && (baseOf(d.path.value) == name.value || path.Ext(name.value) == ""):
		name = d.path
	}
	d.found[urlColumn], d.isURL = url, url.word.column == urlColumn
	d.values = slices.DeleteFunc(d.values, func(f jsonField) bool { return d.listed && f.value == "-1" }) // rclone lsjson knows no size
	d.values = slices.DeleteFunc(d.values, func(f jsonField) bool { return f.word.group != "" && f.word.group != url.word.group })
	slices.SortStableFunc(d.values, func(a, b jsonField) int { return b.word.rank - a.word.rank }) // of sizes the last one counts
	if parts := splitURLs(url.value); len(parts) > 1 {
		if named := d.nameOf(name, key); looksLikeName(named) {
			return nil, errOneName(named, len(parts))
		}
		return d.each(len(parts), url)
	}
	for _, f := range d.values {
		if err := d.field(f.word, f.value); err != nil {
			return nil, err
		}
	}
	d.name = d.nameOf(name, key)
	if url.value != "" {
		d.urls = append(d.urls, url.value)
	}
	switch {
	case len(url.parts) > 1 && looksLikeName(d.name):
		if !areMirrors(d.name, url.parts) {
			return nil, errOneName(d.name, len(url.parts))
		}
		d.urls = url.parts
	case len(url.parts) > 1 || len(name.parts) > 1 && url.value == "":
		return d.split(url.parts, name.parts)
	case d.several && d.name == "" && len(d.more) > 1 && url.value == "":
		return d.split(d.more, nil)
	}
	if d.urls = append(d.urls, d.more...); d.several && d.p.chosen == nil && !d.saysWhole() && !areMirrors(d.name, d.urls) {
		return nil, errOneName(d.name, len(d.urls))
	}
	if d.p.complete(&d.draft); len(d.urls) == 0 && d.name == "" || len(d.urls) == 0 && checkName(d.name) == nil {
		return nil, nil
	}
	d.tell(url, name)
	return []draft{d.draft}, nil
}

// saysWhole reports whether the object says the size or the digest of one file, so that all its
// URLs are of that file.
func (d *jsonDraft) saysWhole() bool { return d.details.Size >= 0 || !d.details.Digest.IsZero() }

// errOneName is of a name beside URLs that may be of several files.
func errOneName(name string, urls int) error {
	return fmt.Errorf("the name %s stands beside %d URLs that may be of several files; write {\"name\": …, \"mirrors\": […]} if they are mirrors of one file, else one entry a URL", quote(name), urls)
}

// each makes n drafts of a file whose fields hold n values each, parted by semicolons:
// the k-th draft has the k-th URL, size and digest. The error says which field has
// another number of values.
func (d *jsonDraft) each(n int, url jsonField) ([]draft, error) {
	d.tell(url, jsonField{})
	drafts := make([]draft, n)
	for k := range drafts {
		one := draft{details: Details{Size: -1}, line: d.line, dialect: JSON, apart: true, isURL: true}
		for _, f := range append([]jsonField{url}, d.values...) {
			if err := one.part(f.word, f.value, k, n); err != nil {
				return nil, err
			}
		}
		drafts[k] = one
	}
	return drafts, nil
}

// tell sets List.Columns to the keys that were taken, as the first file of the list has
// them. Later files may have other keys; their columns are not shown.
func (d *jsonDraft) tell(url, name jsonField) {
	if d.p.list.Columns != "" {
		return
	}
	l := &layout{}
	for _, f := range append([]jsonField{url, name}, d.values...) {
		if f.key != "" && (f.word.column != nameColumn || f.value == d.name || d.dir != "" || f.key == url.key) {
			w := f.word
			if f.key == url.key {
				w.column = urlColumn
			}
			l.words, l.headings = append(l.words, w), append(l.headings, f.key)
		}
	}
	d.p.list.Columns = l.String()
}

// filesOfSchema are the types of schema.org and Croissant that are files.
var filesOfSchema = map[string]bool{
	"fileobject": true, "datadownload": true, "mediaobject": true, "imageobject": true, "videoobject": true, "audioobject": true, "file": true,
}

// checkKind refuses an object that describes something else than a file: its URL is
// most likely that of a page about the thing, and fetching the page would look like
// success. It goes by the type of schema.org, and, where the object is all of the
// document (alone), by what a file would have: a size, a digest, or an extension.
// Options.Columns overrule both.
func (d *jsonDraft) checkKind(alone bool) error {
	kind := plain(d.schema[strings.LastIndexAny(d.schema, ":/")+1:])
	switch {
	case d.p.chosen != nil:
		return nil
	case d.schema != "" && !filesOfSchema[kind]:
		return fmt.Errorf("the object describes a %s and names no files; give the URLs of its files, or say --columns=url=KEY", d.schema[strings.LastIndexAny(d.schema, ":/")+1:])
	case alone && d.unknown > 0 && d.details.Size < 0 && d.details.Digest.IsZero() && len(d.urls) == 1 && path.Ext(d.name) == "" && !standsAlone(d.urls[0]):
		return errors.New("the object may describe something else than a file, as neither its name nor its URL has an extension; say --columns=url=url,name=name if it is one")
	}
	return nil
}

// nameOf returns the name of a file: the value of its key of a name, below the
// directory label of Dataverse if there is one; or the key it stands under, if that has
// an extension. "" has the entry named after its URL. name counts only where there is a
// URL, or a base URL to make one.
func (d *jsonDraft) nameOf(name jsonField, key string) string {
	switch {
	case name.value != "" && (len(d.found[urlColumn].value) > 0 || len(d.more) > 0 || d.p.base != nil):
		if d.dir != "" {
			return d.dir + "/" + name.value
		}
		return name.value
	case path.Ext(key) != "" && !lists[plain(key)]:
		return key
	}
	return ""
}

// split makes a draft of each of several URLs, or of several paths if there is no URL.
// These files have no name of their own in the list: a path below a base URL is its
// name, all others are named after their URLs.
func (d *jsonDraft) split(urls, paths []string) (drafts []draft, _ error) {
	if len(urls) == 0 {
		urls = paths
	}
	for _, u := range urls {
		one := draft{urls: []string{u}, details: Details{Size: -1}, line: d.line, dialect: JSON, apart: true}
		if urlStart(u) != 0 && d.p.base != nil {
			one.name = u
		}
		drafts = append(drafts, one)
	}
	return drafts, nil
}

// namesOfURLs takes an object whose keys are names and whose values are URLs, or arrays
// of mirrors. It reports whether the object is one; all of its keys must be, otherwise
// nothing is accepted.
func (p *parser) namesOfURLs(o *object) bool {
	var urls [][]string
	for _, key := range o.keys {
		list := urlsOf(key, o.values[key])
		if list == nil {
			return false
		}
		urls = append(urls, list)
	}
	for i, key := range o.keys {
		p.accept(&draft{name: key, urls: urls[i], details: Details{Size: -1}, line: o.line, dialect: JSON, apart: true})
	}
	return len(urls) > 0
}

// urlsOf returns the URLs that stand under the name of a file, nil if none do. An array
// is of mirrors only if the name has an extension.
func urlsOf(name string, raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		if urlStart(one) != 0 || wordOf(name).column != otherColumn && path.Ext(name) == "" {
			return nil
		}
		return []string{one}
	}
	var urls []string
	if json.Unmarshal(raw, &urls) != nil || path.Ext(name) == "" || !areMirrors(name, urls) {
		return nil
	}
	return urls
}

// areMirrors reports whether every URL ends in that name, or in one name at hosts that
// differ. Otherwise the URLs may be of several files.
func areMirrors(name string, urls []string) bool {
	hosts := map[string]bool{}
	for _, text := range urls {
		u, err := url.Parse(escapePercent(text))
		if err != nil || urlStart(text) != 0 || baseOf(text) != baseOf(urls[0]) || hosts[u.Host] && baseOf(text) != baseOf(name) {
			return false
		}
		hosts[u.Host] = true
	}
	return true
}
