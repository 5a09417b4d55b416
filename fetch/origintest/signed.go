package origintest

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// RedirectSigned sends the client to a path of this origin with a signature
// that is good for life, as object stores do. The raw query has bytes that
// change meaning when encoded again. See RequireSigned.
func RedirectSigned(code int, to string, life time.Duration) *Fault {
	return newFault(stageAnswer, (*plan).unanswered, func(p *plan) {
		expires := time.Now().Add(life).UnixNano()
		p.refuse(code, []string{"Location", (&url.URL{Path: to}).EscapedPath() + "?" + signedQuery(to, expires)})
	}, "RedirectSigned(%d, %q, %v)", code, to, life)
}

// RequireSigned answers 403 with an expired signature, and 400 with a query
// that is not byte by byte one of RedirectSigned for this path. Select the
// target of the redirect with On.
func RequireSigned() *Fault {
	return newFault(stageAnswer, func(p *plan) bool {
		return p.unanswered() && signatureStatus(p.req.URL) != 200
	}, func(p *plan) {
		p.replace(signatureStatus(p.req.URL))
	}, "RequireSigned()")
}

// signedQuery returns a raw query. A signature is no secret here: it only has
// to differ for another path or expiry.
func signedQuery(path string, expires int64) string {
	var sum uint64
	for _, b := range []byte(path) {
		sum = mix(sum + golden + uint64(b))
	}
	return fmt.Sprintf("sig=%016x%%2F+~%%c3%%A9&Expires=%d", mix(sum+uint64(expires)), expires)
}

func signatureStatus(u *url.URL) int {
	_, digits, _ := strings.Cut(u.RawQuery, "&Expires=")
	expires, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil || u.RawQuery != signedQuery(u.Path, expires):
		return 400
	case time.Now().UnixNano() >= expires:
		return 403
	}
	return 200
}
