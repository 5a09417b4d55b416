package listfile

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	// Each error names a rule and the way out, and quotes nothing of the URL, which may be a secret.
	errURLEncoding = errors.New("URL is not valid UTF-8; percent-encode it")
	errURLSpace    = errors.New("white space inside the URL; write it as %20, and put nothing after the URL")
	errURLControl  = errors.New("control character inside the URL; remove it")
	errURLUnseen   = errors.New("URL holds a character that is not seen, as a zero-width space; remove it, or percent-encode it")
	errURLScheme   = errors.New("URL has no scheme; write http://HOST/PATH or https://HOST/PATH, or give --base-url")
	errURLHost     = errors.New("URL has no host; write http://HOST/PATH or https://HOST/PATH")
	errURLEscape   = errors.New("URL has a wrong percent-escape; write % itself as %25")
	errURLSyntax   = errors.New("URL does not parse; check its host and port")
	errURLNameless = errors.New("URL's path does not end in a name; write NAME<TAB>URL")
)

// checkURL parses a URL and returns the first rule that it breaks. None of its
// errors holds more of the URL than the scheme: an *url.Error quotes it all, and the
// error within may still quote a password with a slash in it as a port, so both are
// replaced and not wrapped.
func checkURL(raw string) (*url.URL, error) {
	if !isPlainASCII(raw) {
		switch {
		case !utf8.ValidString(raw):
			return nil, errURLEncoding
		case strings.ContainsFunc(raw, unicode.IsSpace):
			return nil, errURLSpace
		case strings.ContainsFunc(raw, unicode.IsControl):
			return nil, errURLControl
		case strings.ContainsFunc(raw, isUnseen):
			return nil, errURLUnseen
		}
	}
	// url.Parse would take "host:80/path" for a URL whose scheme is "host".
	scheme, _, found := strings.Cut(raw, "://")
	if !found {
		return nil, errURLScheme
	}
	if !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return nil, fmt.Errorf("scheme %s is not supported; use http or https", quote(scheme))
	}
	u, err := url.Parse(escapePercent(raw))
	if err != nil {
		if _, ok := errors.AsType[url.EscapeError](err); ok {
			return nil, errURLEscape
		}
		return nil, errURLSyntax
	}
	// u.Host may be ":80", which is not empty and has no host.
	if u.Hostname() == "" {
		return nil, errURLHost
	}
	return u, nil
}

// plainPath returns the path of a URL that is made of nothing but a scheme, a host, perhaps
// a port, a path without escapes and a query, as most are; false of any other. Of such a
// URL checkURL finds nothing wrong, and takes far longer.
func plainPath(raw string) (path string, plain bool) {
	rest, secure := strings.CutPrefix(raw, "https://")
	if !secure {
		if rest, plain = strings.CutPrefix(raw, "http://"); !plain {
			return "", false
		}
	}
	// An IPv6 address in brackets is not plain: checkURL reads it.
	host := 0
	for host < len(rest) && isHostByte(rest[host]) {
		host++
	}
	end := host
	if end < len(rest) && rest[end] == ':' {
		for end++; end < len(rest) && '0' <= rest[end] && rest[end] <= '9'; end++ {
		}
	}
	if host == 0 || end < len(rest) && rest[end] != '/' {
		return "", false
	}
	path, query, _ := strings.Cut(rest[end:], "?")
	// A percent sign makes the name differ from the path as written, and "#" begins a fragment.
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == '%' || c == '#' {
			return "", false
		}
	}
	for i := range len(query) { // escapes of a query are not undone, so that any will do
		if c := query[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return "", false
		}
	}
	return path, true
}

// isHostByte reports whether a byte may be in the name of a host or in an IPv4 address.
func isHostByte(c byte) bool {
	return isLetter(c) || '0' <= c && c <= '9' || c == '-' || c == '.'
}

// isUnseen reports whether a character is invisible, since it only formats others, such as
// a zero-width space (category Cf of Unicode).
func isUnseen(r rune) bool { return unicode.Is(unicode.Cf, r) }

// isPlainASCII reports whether a text is of visible ASCII characters alone, without spaces.
func isPlainASCII(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] >= 0x7f {
			return false
		}
	}
	return true
}

// escapePercent escapes each percent sign after the host that escapes nothing, as
// browsers do: a file may be called "100%.bin".
func escapePercent(raw string) string {
	if !strings.Contains(raw, "%") {
		return raw
	}
	// The host is left alone: an escape there is either right or an error of the URL.
	_, rest, _ := strings.Cut(raw, "://")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		return raw
	}
	// start is where the path, the query or the fragment begins in raw.
	start := len(raw) - len(rest) + end
	var b strings.Builder
	b.WriteString(raw[:start])
	for i := start; i < len(raw); i++ {
		b.WriteByte(raw[i])
		if raw[i] == '%' && !(i+2 < len(raw) && isHexDigit(raw[i+1]) && isHexDigit(raw[i+2])) {
			b.WriteString("25")
		}
	}
	return b.String()
}

// isHexDigit reports whether a byte is a hexadecimal digit, as in a percent-escape.
func isHexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// nameOf returns the name of an entry that has none, from the path of its URL, which
// has no percent-escapes: the last component, or with --name-from=path all of it. The
// error says that the path does not end in a name.
func (p *parser) nameOf(path string) (string, error) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	if p.opts.NameFrom == Path {
		name = strings.TrimPrefix(path, "/")
	}
	if name == "" || strings.HasSuffix(name, "/") {
		return "", errURLNameless
	}
	return name, nil
}
