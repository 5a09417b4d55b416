package listfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Write writes a list that Parse reads back as the same entries, to be edited and
// run again: NAME<TAB>URL, where that says it all, with why an entry stands there
// as a comment above it; else JSON Lines, with why under the key "why". The list
// holds the URLs' secrets.
func Write(w io.Writer, entries []Entry, why func(name string) string) error {
	if lines := writeLines(entries, why); lines != nil {
		_, err := w.Write(lines)
		return err
	}
	b := bufio.NewWriter(w)
	for i := range entries {
		if err := writeObject(b, &entries[i], why(entries[i].Name)); err != nil {
			return err
		}
	}
	return b.Flush()
}

// writeLines returns a list of lines NAME<TAB>URL, or nil if Parse reads other entries
// from the lines: of many names and URLs a line means something else.
func writeLines(entries []Entry, why func(name string) string) []byte {
	var lines bytes.Buffer
	for i := range entries {
		if entries[i].Details != nil {
			return nil
		}
		writeLine(&lines, &entries[i], why(entries[i].Name))
	}
	// Reading the lines back is the whole test: the rules of Parse are not repeated here.
	back, err := Parse(bytes.NewReader(lines.Bytes()), "", Options{})
	if err != nil || !slices.EqualFunc(back.Entries, entries, isSameLine) {
		return nil
	}
	return lines.Bytes()
}

// isSameLine reports whether two entries have the same name and URL, and no details.
func isSameLine(a, b Entry) bool {
	return a.Name == b.Name && a.URL == b.URL && a.Details == nil && b.Details == nil
}

// writeLine writes an entry as a line of text, after a comment that says why, if that is
// given. Control characters in the comment become spaces.
func writeLine(b *bytes.Buffer, e *Entry, why string) {
	if why != "" {
		why = strings.Map(func(r rune) rune {
			switch {
			case r < ' ':
				return ' '
			case r == utf8.RuneError: // many of them would make the list look binary
				return '?'
			}
			return r
		}, why)
		b.WriteString("# " + why + "\n")
	}
	b.WriteString(e.Name + "\t" + e.URL + "\n")
}

// jsonEntry is an entry in full.
type jsonEntry struct {
	Name    string      `json:"name,omitempty"`
	URL     string      `json:"url"`
	Mirrors []string    `json:"mirrors,omitempty"`
	Size    *int64      `json:"size,omitempty"`
	MTime   string      `json:"mtime,omitempty"`
	MD5     string      `json:"md5,omitempty"`
	SHA1    string      `json:"sha1,omitempty"`
	SHA256  string      `json:"sha256,omitempty"`
	SHA512  string      `json:"sha512,omitempty"`
	Pieces  *jsonPieces `json:"pieces,omitempty"`
	Headers http.Header `json:"headers,omitempty"`
	Why     string      `json:"why,omitempty"`
}

// writeObject writes an entry as a JSON object on a line of its own, with all that the list
// said of it, so that Parse reads the same entry again.
func writeObject(b *bufio.Writer, e *Entry, why string) error {
	j := jsonEntry{Name: e.Name, URL: e.URL, Why: why}
	if d := e.Details; d != nil {
		j.Mirrors, j.Headers = d.Mirrors, d.Header
		if d.Size >= 0 {
			j.Size = &d.Size
		}
		if !d.ModTime.IsZero() {
			j.MTime = modTime(d.ModTime)
		}
		hex := map[string]*string{"md5": &j.MD5, "sha1": &j.SHA1, "sha256": &j.SHA256, "sha512": &j.SHA512}
		if field := hex[d.Digest.Algorithm.String()]; field != nil {
			*field = d.Digest.Hex()
		}
		if d.Pieces != nil {
			j.Pieces = &jsonPieces{Length: d.Pieces.Length}
			for _, sum := range d.Pieces.Sums {
				j.Pieces.Sums = append(j.Pieces.Sums, sum.String())
			}
		}
		// The name was made from the URL. Without it Parse makes the same name, under the same rules.
		if d.Guessed {
			j.Name = ""
		}
	}
	enc := json.NewEncoder(b)
	// & < > stay as they are in URLs, which a user may copy from the list.
	enc.SetEscapeHTML(false)
	return enc.Encode(j)
}

// modTime returns a time as Write puts it under the key mtime: RFC 3339, with fractions
// of a second.
func modTime(t time.Time) string { return t.Format(time.RFC3339Nano) }
