package listfile

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"regexp"
	"strings"

	"golang.org/x/net/http/httpguts"

	"dlfs/listfile/digest"
	"dlfs/listfile/header"
)

// aria2 reads an input file of aria2c: a line of URLs of one file, TAB-separated, and
// after it, indented, one option a line (aria2c manual, "Input File"). The URLs of a
// line are mirrors, the first one is the best.
//
// An entry is complete only where the next one begins or the list ends, because its
// options stand below it. Of the options, dir and out make the name together, dir/out,
// in whatever order they stand. An entry without out is named after its URL; its dir is
// ignored.
func (p *parser) aria2(in io.Reader) error {
	var d *draft
	var dir string
	// finish takes the entry that has been read so far, and makes ready for the next one.
	finish := func() {
		if d == nil {
			return
		}
		if d.name != "" {
			d.name = path.Join(dir, d.name)
		}
		p.accept(d)
		d, dir = nil, ""
	}
	err := p.eachLine(in, func(text string, line int) {
		// eachLine calls with no empty line, so text has a first character.
		if strings.Contains(blanks, text[:1]) && d != nil {
			key, value, found := strings.Cut(strings.Trim(text, blanks), "=")
			if !found {
				p.fail(line, errors.New("option without a value; write NAME=VALUE"))
				return
			}
			if key == "dir" {
				dir = value
				return
			}
			if err := p.option(d, key, value); err != nil {
				p.fail(line, err)
			}
			return
		}
		finish()
		d = &draft{details: Details{Size: -1}, line: line, dialect: Aria2}
		for url := range strings.SplitSeq(strings.Trim(text, blanks), "\t") {
			if url = strings.Trim(url, blanks); url != "" {
				d.urls = append(d.urls, url)
			}
		}
	})
	finish()
	return err
}

// option takes one option of an entry: the name, the digest, or a header field. Options
// that say how aria2 is to do its work, such as split, are counted in List.Ignored.
func (p *parser) option(d *draft, key, value string) error {
	switch key {
	case "out":
		d.name = value
		if value == "" {
			return errEmptyName
		}
	case "checksum":
		sum, err := digest.Parse(value)
		if err != nil {
			return err
		}
		d.details.Digest = sum
	case "header":
		name, value, _ := strings.Cut(value, ":")
		return d.setHeader(name, value)
	case "referer":
		return d.setHeader("Referer", value)
	case "user-agent":
		return d.setHeader("User-Agent", value)
	default:
		p.list.Ignored++
	}
	return nil
}

// setHeader adds a field that is sent with the entry's requests. The error says that
// the name or the value is none (RFC 9110 sections 5.1 and 5.5), or that users may not
// set the field (package header). The value may be a secret, and no error quotes it.
func (d *draft) setHeader(name, value string) error {
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%s is no name of a header field; write NAME: VALUE", quote(name))
	}
	if !header.Allowed(name) {
		return fmt.Errorf("dlfs alone decides about the header field %s; remove it", quote(name))
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return fmt.Errorf("value of the header field %s holds a control character; remove it", quote(name))
	}
	if d.details.Header == nil {
		d.details.Header = http.Header{}
	}
	d.details.Header.Add(name, value)
	return nil
}

// isMirrors reports whether the URLs of a line end in one name, as mirrors of a file
// do. It is true of a line with a single URL.
func isMirrors(line string) bool {
	urls := strings.Split(strings.Trim(line, blanks), "\t")
	for _, url := range urls {
		if baseOf(strings.Trim(url, blanks)) != baseOf(urls[0]) {
			return false
		}
	}
	return true
}

// aria2Option is the beginning of a line with an option, and aria2URLs that of a line
// of at least two URLs with a TAB between them.
var (
	aria2Option = regexp.MustCompile(`^[ \t]+[a-z0-9][a-z0-9-]*=`)
	aria2URLs   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://\S+[ \t]*\t[ \t]*[A-Za-z][A-Za-z0-9+.-]*://`)
)
