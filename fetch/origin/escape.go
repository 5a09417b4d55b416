package origin

import "strings"

// Lists and servers write URLs as people do, with spaces, umlauts, "|", "{" and a
// percent sign that escapes nothing. Requests are made as browsers make them: what
// a URL may not have is percent-encoded, of text that is UTF-8, and nothing else
// is changed (RFC 3986 section 2.1, WHATWG URL section 4.4).

// escapeURL returns a URL, or what a Location has instead of one, percent-encoded
// where it must be. Its host stays as it is.
func escapeURL(raw string) string {
	before, rest := splitAuthority(raw)
	if clean(before) && clean(rest) {
		return raw
	}
	if at := strings.LastIndexByte(before, '@'); at >= 0 {
		return escape(before[:at]) + before[at:] + escape(rest)
	}
	return before + escape(rest)
}

// splitAuthority cuts a URL before its path. A reference that has no authority is
// all path.
func splitAuthority(raw string) (before, rest string) {
	start := 0
	if scheme, _, ok := strings.Cut(raw, "://"); ok && !strings.ContainsAny(scheme, "/?#") {
		start = len(scheme) + len("://")
	} else if strings.HasPrefix(raw, "//") {
		start = len("//")
	} else {
		return "", raw
	}
	end := strings.IndexAny(raw[start:], "/?#")
	if end < 0 {
		return raw, ""
	}
	return raw[:start+end], raw[start+end:]
}

// clean reports whether nothing in s has to be escaped.
func clean(s string) bool {
	for i := range len(s) {
		if mustEscape(s, i) {
			return false
		}
	}
	return true
}

// escape percent-encodes the bytes that mustEscape names (RFC 3986, section 2.1), and leaves
// all others, also what is encoded already.
func escape(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; mustEscape(s, i) {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// mustEscape reports whether no request can have the byte at i as it is.
func mustEscape(s string, i int) bool {
	c := s[i]
	if c == '%' {
		return i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2])
	}
	return c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0
}

// isHex reports whether a byte is a hexadecimal digit.
func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
