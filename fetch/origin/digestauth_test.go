package origin

import (
	"net/http"
	"strings"
	"testing"

	"github.com/icholy/digest"

	"dlfs/fetch/origintest"
)

// wantsDigest has the origin give its files to who answers this challenge as that
// user alone.
func (x *fixture) wantsDigest(challenge, user, password string) *origintest.Fault {
	chal, err := digest.ParseChallenge(challenge)
	if err != nil {
		x.t.Fatal(err)
	}
	return origintest.Status(401, "WWW-Authenticate", challenge).When(func(r *http.Request) bool {
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

func TestLoginThatIsNotKnown(t *testing.T) {
	for challenge, want := range map[string]string{
		"Negotiate":            "Negotiate, which dlfs does not know",
		"NTLM":                 "NTLM, which dlfs does not know",
		`Basic realm="x"`:      "asks for a login (Basic)",
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
