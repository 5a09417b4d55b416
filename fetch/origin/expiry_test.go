package origin

import (
	"strings"
	"testing"
	"time"
)

func TestExpiryOfSignedURLs(t *testing.T) {
	const (
		sample = "2023-05-05T03:31:52Z"
		unix   = "1700003600" // 2023-11-14T23:13:20Z
		then   = "2023-11-14T23:13:20Z"
	)
	tests := []struct {
		name, query string
		want        string // "" if none is to be found
	}{
		{"fbcdn", "ccb=10-5&oh=00_Af95&oe=645478A8&_nc_sid=0fdd51", sample},
		{"fbcdn in lower case", "oe=645478a8", sample},
		{"CloudFront", "Policy=x&Expires=" + unix + "&Signature=a~b&Key-Pair-Id=K", then},
		{"S3 version 2", "AWSAccessKeyId=A&Expires=" + unix + "&Signature=a%2Fb", then},
		{"Azure", "sv=2020-08-04&se=2023-11-14T23%3A13%3A20Z&sr=b&sp=r&sig=x", then},
		{"Azure, not escaped", "se=2023-11-14T23:13:20Z", then},
		{"Azure, with a fraction", "se=2023-11-14T23:13:20.1234567Z", then},
		{"Azure, without seconds", "se=2023-11-14T23:13Z", "2023-11-14T23:13:00Z"},
		{"Azure, a day", "se=2023-11-14", "2023-11-14T00:00:00Z"},
		{"S3 version 4", "X-Amz-Algorithm=A&X-Amz-Date=20231114T221320Z&X-Amz-Expires=3600&X-Amz-Signature=f", then},
		{"S3 version 4, lower case, the other way round", "x-amz-expires=3600&x-amz-date=20231114T221320Z", then},
		{"Google", "X-Goog-Date=20231114T221320Z&X-Goog-Expires=3600", then},
		{"dates and seconds of two services", "X-Goog-Date=20231114T221320Z&X-Amz-Expires=3600", ""},
		{"Akamai", "hdnts=exp=" + unix + "~acl=/*~hmac=ab", then},
		{"Akamai, escaped", "hdntl=exp%3D" + unix + "~acl%3D%2F*~hmac%3Dab", then},
		{"Akamai, with a start", "hdnea=st=1700000000~exp=" + unix + "~acl=/*", then},
		{"Akamai, bare", "exp=" + unix + "~acl=/*~hmac=ab", then},
		{"seconds alone", "exp=" + unix, then},
		{"the earliest of several", "Expires=1800000000&oe=645478A8&exp=" + unix, sample},
		{"before the fragment", "oe=645478A8#oe=1", sample},
		{"only in the fragment", "a=b#&oe=645478A8", ""},

		{"none", "a=b&c", ""},
		{"empty", "", ""},
		{"empty values", "oe=&Expires=&se=&exp&X-Amz-Date&X-Amz-Expires=", ""},
		{"no hex", "oe=utf-8", ""},
		{"too early", "oe=ab&Expires=900000000&exp=1", ""},
		{"too late", "Expires=7258118400", ""},
		{"the last that is believed", "Expires=7258118399", "2199-12-31T23:59:59Z"},
		{"overflow", "Expires=99999999999999999999&oe=FFFFFFFFFFFFFFFFFF&X-Amz-Date=20231114T221320Z&X-Amz-Expires=99999999999", ""},
		{"negative", "Expires=-" + unix, ""},
		{"another case", "expires=" + unix + "&OE=645478A8&SE=2023-11-14", ""},
		{"no date", "X-Amz-Date=yesterday&X-Amz-Expires=3600", ""},
		{"wrongly escaped", "se=2023-11-14T23%3", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := Expires("https://host/a.tar?" + tt.query)
			if ok != (tt.want != "") || ok && got.Format(time.RFC3339) != tt.want {
				t.Errorf("%s: got %v, %v; want %q", tt.query, got, ok, tt.want)
			}
		})
	}
	if _, ok := Expires("https://host/oe=645478A8"); ok {
		t.Error("believed a path")
	}
}

func FuzzExpires(f *testing.F) {
	f.Add("https://h/a?oe=645478A8&hdnts=st=1~exp=1700003600~acl=/*#x")
	f.Add("https://h/a?X-Amz-Date=20231114T221320Z&X-Amz-Expires=3600&se=2023-11-14T23%3A13Z")
	f.Fuzz(func(t *testing.T, rawURL string) {
		got, ok := Expires(rawURL)
		if ok && (got.Year() < 2000 || got.Year() >= 2200) {
			t.Errorf("believed %v", got)
		}
		if !ok && !got.IsZero() {
			t.Errorf("got %v with false", got)
		}
		if _, query, _ := strings.Cut(rawURL, "?"); query == "" && ok {
			t.Error("found something in a URL without a query")
		}
	})
}

func TestLastExpiry(t *testing.T) {
	const early, late, never = "https://h/a?Expires=1700003600", "https://i/a?Expires=1800000000", "https://j/a"
	for _, test := range []struct {
		name string
		urls []string
		want int64 // 0: it is not known
	}{
		{"no URL", nil, 0},
		{"one", []string{early}, 1700003600},
		{"the last of two", []string{early, late}, 1800000000},
		{"in either order", []string{late, early}, 1800000000},
		{"a mirror that does not say", []string{early, late, never}, 0},
		{"a first URL that does not say", []string{never, early}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := LastExpiry(test.urls)
			if ok != (test.want != 0) || got.IsZero() == ok || ok && got.Unix() != test.want {
				t.Errorf("got %v, %v, want %d", got, ok, test.want)
			}
		})
	}
}

// It is called once for each line of a list.
func BenchmarkExpires(b *testing.B) {
	for _, u := range []string{
		"https://host.example/m1/v/t6/An_1a4f948ebe5d7768a2aff3c873b23b61433f3f24.tar",
		"https://host.example/m1/a.tar?ccb=10-5&oh=00_Af9557db50ba0811e9e58f817f066c611a8e5206cb&oe=645478A8&_nc_sid=0fdd51",
	} {
		b.Run("", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Expires(u)
			}
		})
	}
}
