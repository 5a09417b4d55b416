// Package header tells which header fields of a request a user may set. Those who read
// them, in lists and on the command line, refuse the others with an error.
package header

import "net/http"

// Allowed reports whether users may set a field. dlfs alone decides how
// a message is framed (RFC 9112), which range and version is asked for, and how a body is
// encoded (RFC 9110).
func Allowed(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Accept-Encoding", "Connection", "Content-Length", "Expect", "If-Match", "If-Modified-Since",
		"If-None-Match", "If-Range", "If-Unmodified-Since", "Keep-Alive", "Proxy-Connection", "Range", "Te",
		"Trailer", "Transfer-Encoding", "Upgrade":
		return false
	}
	return true
}
