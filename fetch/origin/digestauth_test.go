package origin

import (
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/icholy/digest"

	"dlfs/fetch/origintest"
)

// wantsDigest has the origin give its files to who answers this challenge as that
// user alone.
func (x *fixture) wantsDigest(challenge, user, password string) *origintest.Fault {
	return x.wantsDigestOf(challenge, challenge, user, password)
}

// wantsDigestOf is wantsDigest of an origin that sends the challenge in this field.
func (x *fixture) wantsDigestOf(field, challenge, user, password string) *origintest.Fault {
	chal, err := digest.ParseChallenge(challenge)
	if err != nil {
		x.t.Fatal(err)
	}
	return origintest.Status(401, "WWW-Authenticate", field).When(func(r *http.Request) bool {
		got, err := digest.ParseCredentials(r.Header.Get("Authorization"))
		if err != nil {
			return true
		}
		want, err := digest.Digest(chal, digest.Options{
			Method: r.Method, URI: r.RequestURI, Count: got.Nc, Username: user, Password: password, Cnonce: got.Cnonce,
		})
		return err != nil || got.Response != want.Response || got.URI != r.RequestURI
	})
}

func TestDigestAuthentication(t *testing.T) {
	for _, challenge := range []string{
		`Digest realm="x", nonce="abc", qop="auth", algorithm=MD5`,
		`Digest realm="x", nonce="abc"`,
		`Digest realm="x", nonce="abc", qop="auth", algorithm=SHA-256, opaque="o"`,
		`Digest realm="x, Digest realm=y", nonce="abc", qop="auth,auth-int"`,
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			refuse := x.wantsDigest(challenge, "me", "secret")
			x.Inject(refuse)
			x.url = "http://me:secret@origin/a.tar?x=1"
			v, _, err := x.probe(true)
			if v.Size != size || err != nil {
				t.Fatalf("%s: %v, %v", challenge, v, err)
			}
			_, p, err := x.get(&v, 1000, 1000)
			x.wantBytes(p, 1000, err)
			wantHit(t, refuse)
		})
	}
	bubble(t, func(t *testing.T, x *fixture) { // a wrong password is asked about once
		x.Inject(x.wantsDigest(`Digest realm="x", nonce="abc", qop="auth"`, "me", "secret"))
		x.url = "http://me:wrong@origin/a.tar"
		_, _, err := x.get(nil, 0, 1000)
		if e := wantKind(t, err, NeedsURL); !strings.Contains(e.Error(), "Digest") || strings.Contains(e.Error(), "wrong") {
			t.Error(e)
		}
		x.wantRequests(2)
	})
}

// A field may hold several challenges. One of them is of Digest.
func TestDigestAmongOtherChallenges(t *testing.T) {
	const own = `Digest realm="a \", Basic b=", nonce="abc", qop="auth"`
	for _, field := range []string{
		`Basic realm="x, y", ` + own,
		`Negotiate, ` + own,
		`Digest realm="x", nonce="n", algorithm=unknown, ` + own + `, Basic realm="z"`,
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			refuse := x.wantsDigestOf(field, own, "me", "secret")
			x.Inject(refuse)
			x.url = "http://me:secret@origin/a.tar"
			_, p, err := x.get(nil, 0, 1000)
			x.wantBytes(p, 1000, err)
			wantHit(t, refuse)
		})
	}
}

// A session of Digest hashes the nonces along with the password (RFC 7616 section 3.4.2).
func TestDigestOfASession(t *testing.T) {
	for challenge, sum := range map[string]func(string) string{
		`Digest realm="x", nonce="abc", qop="auth", algorithm=MD5-sess`:     func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) },
		`Digest realm="x", nonce="abc", qop="auth", algorithm=SHA-256-sess`: func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) },
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			refuse := origintest.Status(401, "WWW-Authenticate", challenge).When(func(r *http.Request) bool {
				got, err := digest.ParseCredentials(r.Header.Get("Authorization"))
				if err != nil {
					return true
				}
				a1 := sum(sum("me:x:secret") + ":abc:" + got.Cnonce)
				return got.Response != sum(a1+":abc:00000001:"+got.Cnonce+":auth:"+sum(r.Method+":"+r.RequestURI)) ||
					!strings.HasSuffix(challenge, "="+got.Algorithm)
			})
			x.Inject(refuse)
			x.url = "http://me:secret@origin/a.tar"
			_, p, err := x.get(nil, 0, 1000)
			x.wantBytes(p, 1000, err)
			wantHit(t, refuse)
		})
	}
}

func TestLoginThatIsNotKnown(t *testing.T) {
	for challenge, want := range map[string]string{
		"Negotiate":       "Negotiate, which dlfs does not know",
		"NTLM":            "NTLM, which dlfs does not know",
		`Basic realm="x"`: "asks for a login (Basic)",
		`Basic realm="x", Digest realm="y", nonce="n"`: "asks for a login (Basic, Digest)",
		`Digest realm="x"`:     "Digest",
		"":                     "401 Unauthorized",
		"<b>\x01</b> nonsense": "401 Unauthorized",
		`Digest nonce="n", qop="auth-int", algorithm=unknown`: "Digest of a form that is not known",
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.Inject(origintest.Status(401, "WWW-Authenticate", challenge))
			_, _, err := x.get(nil, 0, 1000)
			if e := wantKind(t, err, NeedsURL); !strings.Contains(e.Error(), want) {
				t.Errorf("%s: %v", challenge, e)
			}
		})
	}
}
