package listfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dlfs/listfile/digest"
)

// The values of a file that are objects and arrays.

// nested returns the function that takes an object or array inside the object of a
// file, by its key as plain returns it. It returns nil for a key whose objects say
// nothing of the file.
func (d *jsonDraft) nested(key string) func(raw json.RawMessage) error {
	switch key {
	case "datafile", "attributes", "properties": // of Dataverse, of JSON:API, of GeoJSON
		return d.merge
	case "lfs":
		return d.lfs
	case "links", "link":
		return d.links
	case "checksum", "checksums", "hash", "hashes", "digest", "digests":
		return d.sums
	}
	return nil
}

// merge takes the keys of an object inside the object of the file as if they were keys
// of the file, in alphabetical order, so that the result does not depend on the order
// of a Go map. An id is kept for the base URL, as Dataverse makes its URLs.
func (d *jsonDraft) merge(raw json.RawMessage) error {
	var values map[string]json.RawMessage
	if json.Unmarshal(raw, &values) != nil {
		return nil // something else of that name
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if plain(key) == "id" {
			d.draft.id = textOf(values[key])
			continue
		}
		if err := d.key(key, values[key]); err != nil {
			return err
		}
	}
	return nil
}

// lfs takes what Git LFS says of a file, as the API of Hugging Face has it: the SHA-256
// under oid, and the size.
func (d *jsonDraft) lfs(raw json.RawMessage) error {
	var said struct {
		OID  string `json:"oid"`
		Size *int64 `json:"size"`
	}
	if json.Unmarshal(raw, &said) != nil {
		return nil // something else of that name
	}
	if said.Size != nil && *said.Size >= 0 {
		d.details.Size = *said.Size
	}
	if said.OID == "" {
		return nil
	}
	return d.addDigest(parseDigest(digest.SHA256, strings.TrimPrefix(said.OID, "sha256:")))
}

// links takes the link to the bytes of a file: of download, content and self the first
// that is there, as a text or as an object with href. The APIs of OSF, InvenioRDM and
// Zenodo have such links.
func (d *jsonDraft) links(raw json.RawMessage) error {
	var said map[string]json.RawMessage
	if json.Unmarshal(raw, &said) != nil {
		return nil // links to something else
	}
	for _, key := range []string{"download", "content", "self"} {
		var url string
		if json.Unmarshal(said[key], &url) == nil && url != "" {
			return d.keep(jsonField{word: word{column: urlColumn, rank: 2}, key: "links." + key, value: url})
		}
		var link struct {
			Href string `json:"href"`
		}
		if json.Unmarshal(said[key], &link) == nil && link.Href != "" {
			return d.keep(jsonField{word: word{column: urlColumn, rank: 2}, key: "links." + key, value: link.Href})
		}
	}
	return nil
}

// sums takes checksums: {ALGORITHM: DIGEST}, {"type": ALGORITHM, "value": DIGEST}, or an
// array of the latter.
func (d *jsonDraft) sums(raw json.RawMessage) error {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		for _, one := range list {
			if err := d.sums(one); err != nil {
				return err
			}
		}
		return nil
	}
	var said map[string]string
	if json.Unmarshal(raw, &said) != nil {
		return nil // something else of that name
	}
	kind, value := "", ""
	for key, text := range said {
		switch plain(key) {
		case "type", "algorithm", "name":
			kind = text
		case "value", "checksum", "digest", "hash":
			value = text
		default:
			if a, known := algorithm(key); known {
				if err := d.addDigest(parseDigest(a, text)); err != nil {
					return err
				}
			}
		}
	}
	if a, known := algorithm(kind); known {
		return d.addDigest(parseDigest(a, value))
	}
	return nil
}

// wrongType is the error of a key whose value is not of the type that it must have.
func wrongType(key, want string) error {
	return fmt.Errorf("value of %s is not %s", quote(key), want)
}

// modTime takes the time of the last change: a text as RFC 3339 has it, or seconds since
// 1970.
func (d *jsonDraft) modTime(key string, raw json.RawMessage) error {
	text := textOf(raw)
	if isMissing(text) {
		return nil
	}
	t, err := parseTime(text)
	if err != nil {
		return errors.New(wrongType(key, "a time as in \"2006-01-02T15:04:05Z\", or seconds since 1970").Error())
	}
	d.details.ModTime = t
	return nil
}

// headers takes the fields that requests for this entry are to have: an object of texts, or of
// arrays of texts.
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

// UnmarshalJSON takes one text, or an array of texts (encoding/json.Unmarshaler).
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

// pieces takes the digests of the pieces of a file: an object of the length of a piece, in
// bytes, and the digests in order.
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

// holdsFiles reports whether a value is an array or an object, and there is a URL or
// the key of one in it, unless URLs are made of names.
func holdsFiles(raw json.RawMessage, anyURL bool) bool {
	return len(raw) > 0 && (raw[0] == '[' || raw[0] == '{') && (anyURL || bytes.Contains(raw, []byte("://")) || bytes.Contains(raw, []byte(`"url"`)) || bytes.Contains(raw, []byte(`:\/\/`)))
}

// isArrayOfObjects reports whether a value is an array whose first member is an object.
func isArrayOfObjects(raw json.RawMessage) bool {
	return len(raw) > 1 && raw[0] == '[' && bytes.HasPrefix(bytes.TrimLeft(raw[1:], " \t\r\n"), []byte("{"))
}

// allObjects reports whether all values of the keys are objects, as of files by name.
func allObjects(o *object, keys []string) bool {
	for _, key := range keys {
		if o.values[key][0] != '{' {
			return false
		}
	}
	return true
}
