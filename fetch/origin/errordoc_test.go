package origin

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"dlfs/fetch/origintest"
)

const (
	deniedXML  = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Request has expired</Message><RequestId>7</RequestId></Error>"
	problem    = `{"type":"about:blank","title":"Gone","status":410,"detail":"expired"}`
	xmlType    = "application/xml"
	jsonType   = "application/json"
	binaryType = "application/octet-stream"
)

// document puts a document of a type at the origin under a name, which x then asks for.
func (x *fixture) document(name, kind, body string) {
	f := origintest.Text(body)
	f.ContentType = kind
	x.Put("/"+name, f)
	x.url, x.opts.Name = x.base+"/"+name, name
}

// An error document with status 200 is not the file. What it tells is in the error.
func TestErrorDocumentIsNotTheFile(t *testing.T) {
	for _, c := range []struct{ name, kind, body, tells string }{
		{"a.tar", xmlType, deniedXML, "AccessDenied: Request has expired"},
		{"IM0001", "text/xml; charset=utf-8", deniedXML, "name that ends in .xml"},
		{"a.json", xmlType, deniedXML, "AccessDenied"},
		{"a.txt", xmlType, deniedXML, "AccessDenied"},
		{"a.csv", "text/plain", "\ufeff" + deniedXML, "AccessDenied"},
		{"a.tif", xmlType, `<ows:ExceptionReport xmlns:ows="u"><ows:Exception exceptionCode="NoApplicableCode"><ows:ExceptionText>no such layer</ows:ExceptionText></ows:Exception></ows:ExceptionReport>`, "no such layer"},
		{"a.tif", xmlType, `<ServiceExceptionReport><ServiceException code="LayerNotDefined">no map</ServiceException></ServiceExceptionReport>`, "no map"},
		{"a.nc", xmlType, `<?xml version="1.0" encoding="iso-8859-1"?><error/>`, "<error>"},
		{"a.gz", jsonType, `{"error":"link expired"}`, "link expired"},
		{"a.xml", jsonType, `{"error":"link expired"}`, "link expired"},
		{"IM0001", jsonType, ` {"error":{"code":403,"message":"Daily\n\u001blimit","errors":[{"domain":"usageLimits"}]}} `, "Daily limit"},
		{"a.bin", "application/problem+json", problem, "expired"},
		{"a.bin", jsonType, `{"message":"Forbidden"}`, "Forbidden"},
		{"a.bin", jsonType, `{"success":false,"data":null,"error_code":1}`, "a JSON object"},
		{"a.bin", "text/plain", `{"status":"error","message":"quota"}`, "quota"},
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.document(c.name, c.kind, c.body)
			for call, ask := range map[string]func() error{
				"Get":      func() error { _, _, err := x.get(nil, 0, 1<<20); return err },
				"GetWhole": func() error { _, _, err := x.getWhole(nil); return err },
				"Probe":    func() error { _, _, err := x.probe(c.kind != "text/plain"); return err },
			} {
				e := wantKind(t, ask(), NeedsURL)
				if !strings.Contains(e.Error(), "error document") || !strings.Contains(e.Error(), c.tells) {
					t.Errorf("%s of %s as %s: %v", call, c.name, c.body, e)
				}
			}
		})
	}
}

// A document is the file if the name or the list says so, or if it does not say that
// something failed.
func TestDocumentsThatAreMeant(t *testing.T) {
	for _, c := range []struct {
		name, kind, body string
		listed           bool // with its size
	}{
		{"a.xml", xmlType, deniedXML, false},
		{"a.KML", xmlType, deniedXML, false},
		{"a.json", jsonType, problem, false},
		{"a.geojson", jsonType, problem, false},
		{"a.txt", "text/plain", problem, false},
		{"a.bin", xmlType, deniedXML, true},
		{"IM0001", jsonType, problem, true},
		{"a.bin", binaryType, deniedXML, false},
		{"a.bin", xmlType, "<Errata><Error/></Errata>", false},
		{"a.bin", xmlType, "<Error><Code>cut", false},
		{"a.bin", xmlType, "<Error/>" + strings.Repeat(" ", maxErrorDoc), false},
		{"api", jsonType, `{"error":null,"data":[1]}`, false},
		{"api", jsonType, `{"error":"none of it","data":[1]}`, false},
		{"api", jsonType, `{"error":false,"message":"hello"}`, false},
		{"api", jsonType, `{"message":"hello"}`, false},
		{"api", jsonType, `{"errors":["a"],"answer":42}`, false},
		{"api", jsonType, `{"status":200,"title":"x"}`, false},
		{"lines", "text/plain", "{\"error\":\"a\"}\n{\"error\":\"b\"}\n", false},
		{"a.bin", jsonType, `{"error":"cut`, false},
		{"a.bin", jsonType, `["error"]`, false},
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.document(c.name, c.kind, c.body)
			if c.listed {
				x.opts.Size = int64(len(c.body))
			}
			b, err := x.resource().Get(t.Context(), nil, 0, 1<<20)
			if err != nil {
				t.Errorf("%s, %.40s: %v", c.name, c.body, err)
				return
			}
			p, err := io.ReadAll(b)
			b.Close()
			if string(p) != c.body || err != nil {
				t.Errorf("%s, %.40s: %q, %v", c.name, c.body, p, err)
			}
			v, _, err := x.resource().Probe(t.Context(), true)
			if v.Size != int64(len(c.body)) || err != nil {
				t.Errorf("%s, %.40s: %v, %v", c.name, c.body, v, err)
			}
		})
	}
}

// Once a version is pinned, an error document may pass. The file has not changed for it, even
// where no validator tells.
func TestErrorDocumentInTheMiddle(t *testing.T) {
	x := overTCP(t)
	const whole = "0123456789"
	answers := []string{whole, deniedXML, whole}
	base, requests := answering(t, func(string) string {
		body := answers[0]
		answers = answers[min(1, len(answers)-1):]
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			map[bool]string{true: xmlType, false: binaryType}[body == deniedXML], len(body), body)
	})
	r := x.c.Resource(base+"/a.bin", ResourceOptions{Name: "a.bin"})
	var want *Version
	for range 2 {
		b, err := r.GetWhole(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		p, err := io.ReadAll(b)
		b.Close()
		if string(p) != whole || err != nil {
			t.Fatalf("%q, %v", p, err)
		}
		v := b.Version()
		want = &v
	}
	if requests() != 3 {
		t.Errorf("%d requests, want 3", requests())
	}
}
