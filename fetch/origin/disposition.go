package origin

import (
	"mime"
	"strings"
	"unicode/utf8"
)

// fileNameOf returns the name that a Content-Disposition header gives the file, ""
// if it gives none. It reads what RFC 6266 defines and, as browsers do, what
// servers send beyond that: values without quotes that hold spaces, quotes that do
// not end, and a filename in Latin-1, UTF-8, percent-encoded UTF-8 or the encoded
// words of RFC 2047. filename* counts before filename (section 4.3), and only the
// last component of a path is taken. The name may still be no name for a file here.
func fileNameOf(header string) string {
	params := dispositionParams(header)
	name, ok := extendedValue(params["filename*"])
	if !ok {
		name, ok = continued(params)
	}
	if !ok {
		name = plainValue(params["filename"])
	}
	// Some servers send the path of the file, also with the backslashes of Windows.
	return name[strings.LastIndexAny(name, `/\`)+1:]
}

// dispositionParams returns the parameters of the header by their names in lower
// case; of one that stands there twice, the first. The type before them may be
// missing.
func dispositionParams(header string) map[string]string {
	params := map[string]string{}
	for rest := header; rest != ""; {
		name, after, hasValue := cutParam(rest)
		if rest = after; !hasValue {
			continue
		}
		var value string
		value, rest = paramValue(rest)
		if name = strings.ToLower(strings.TrimSpace(name)); params[name] == "" {
			params[name] = value
		}
	}
	return params
}

// cutParam cuts the name of the next parameter off. hasValue says that rest begins
// with its value.
func cutParam(s string) (name, rest string, hasValue bool) {
	i := strings.IndexAny(s, ";=")
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], s[i] == '='
}

// paramValue cuts the value of a parameter off. One in quotes ends with the next
// quote, or with the header if there is none; a backslash is part of the value
// unless it stands before a quote or another one, since it is in many a path.
func paramValue(s string) (value, rest string) {
	s = strings.TrimLeft(s, " \t")
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ";")
		return strings.TrimSpace(value), rest
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			_, rest, _ = strings.Cut(s[i+1:], ";")
			return b.String(), rest
		case c == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

// extendedValue decodes CHARSET'LANGUAGE'VALUE (RFC 8187 section 3.2). It is not ok
// if s is not of that form, or in another charset than UTF-8 and Latin-1.
func extendedValue(s string) (value string, ok bool) {
	parts := strings.SplitN(s, "'", 3)
	if len(parts) < 3 {
		return "", false
	}
	value = unescape(parts[2])
	switch strings.ToLower(parts[0]) {
	case "utf-8", "utf8":
		return value, utf8.ValidString(value)
	case "iso-8859-1", "latin1":
		return fromLatin1(value), true
	}
	return "", false
}

// continued joins a filename that is divided into parameters filename*0,
// filename*1 and so on (RFC 2231 section 3).
func continued(params map[string]string) (string, bool) {
	var b strings.Builder
	// Only the first part can have the charset; the parts that end with "*" are percent-encoded.
	encoded := strings.Contains(params["filename*0*"], "'")
	for n := 0; ; n++ {
		// Ten parts are enough: no name that a filesystem takes is longer than they are.
		key := "filename*" + string(rune('0'+n))
		part, ok := params[key]
		if escaped, is := params[key+"*"]; is {
			part, ok = escaped, true
		} else if encoded {
			part = strings.ReplaceAll(part, "%", "%25") // it is not escaped, unlike others
		}
		if !ok || n > 9 {
			break
		}
		b.WriteString(part)
	}
	if encoded {
		return extendedValue(b.String())
	}
	return b.String(), b.Len() > 0
}

// plainValue decodes a filename that does not say how it is encoded.
func plainValue(s string) string {
	if !utf8.ValidString(s) {
		return fromLatin1(s)
	}
	// Encoded words are no part of RFC 6266, but servers that build mail send them.
	if strings.Contains(s, "=?") {
		if decoded, err := new(mime.WordDecoder).DecodeHeader(s); err == nil {
			return decoded
		}
	}
	if decoded := unescape(s); utf8.ValidString(decoded) {
		return decoded
	}
	return s
}

// unescape replaces each %XX by its byte, and leaves what is not of that form.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := strings.IndexByte(hexDigits, lower(s[i+1])), strings.IndexByte(hexDigits, lower(s[i+2]))
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

const hexDigits = "0123456789abcdef"

// lower returns c in lower case if it is a letter of ASCII.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// fromLatin1 reads each byte as one character of ISO 8859-1.
func fromLatin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}
