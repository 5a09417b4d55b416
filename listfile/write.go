package listfile

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Write writes a list that Parse reads back as the same entries, to be edited and
// run again: NAME<TAB>URL, where that says it all, with why an entry stands there
// as a comment above it; else JSON Lines, with why under the key "why". The list
// holds the URLs' secrets.
func Write(w io.Writer, entries []Entry, why func(name string) string) error {
	b := bufio.NewWriter(w)
	plain := true
	for i := range entries {
		plain = plain && entries[i].Details == nil && isLine(&entries[i])
	}
	var err error
	for i := range entries {
		e := &entries[i]
		if plain {
			err = writeLine(b, e, why(e.Name))
		} else {
			err = writeObject(b, e, why(e.Name))
		}
		if err != nil {
			return err
		}
	}
	return b.Flush()
}

// lineOf is an entry as a line, without its ending.
func lineOf(e *Entry) string { return e.Name + "\t" + e.URL }

// isLine reports whether an entry's line is read back as that entry, and neither
// as a comment nor as the start of another dialect.
func isLine(e *Entry) bool {
	line := lineOf(e)
	f, err := split(line)
	return err == nil && f == fields{name: e.Name, url: e.URL, dialect: Tab} &&
		!strings.ContainsAny(line[:1], "#{[<\"'") && !strings.HasPrefix(line, string(byteOrderMark)) &&
		isMixed(line) // so a list of such lines is, too
}

// isMixed reports whether a list that begins with that line is read line by line.
func isMixed(line string) bool {
	s := newOpening([]byte(line))
	return notAList([]byte(line)) == "" && !isJSON([]byte(line)) && len(s.lines) == 1 && s.lines[0].text != condaMark &&
		!isShape(tokens(line), hasTab(line)) && !s.every(isPooch) && !s.every(isChecksum) && !s.some(isClearsigned) && !s.some(aria2Option.MatchString)
}

// writeLine writes an entry as a line of text, after a comment that says why, if that is
// given. Control characters in the comment become spaces.
func writeLine(b *bufio.Writer, e *Entry, why string) error {
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
		b.WriteString("# " + why + "\n") // a failure is Flush's to tell
	}
	_, err := b.WriteString(lineOf(e) + "\n")
	return err
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
		if d.Guessed {
			j.Name = ""
		}
	}
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	return enc.Encode(j)
}
