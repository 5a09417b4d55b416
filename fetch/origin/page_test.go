package origin

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// On first contact a page is what a URL gives that wants a login.
func TestPageOnFirstContact(t *testing.T) {
	for _, page := range []*origintest.Fault{origintest.Page(200), origintest.Page(206)} {
		for call, get := range map[string]func(x *fixture) error{
			"Get":      func(x *fixture) error { _, _, err := x.get(nil, 0, 65_536); return err },
			"GetWhole": func(x *fixture) error { _, _, err := x.getWhole(nil); return err },
			"Probe":    func(x *fixture) error { _, _, err := x.probe(true); return err },
		} {
			t.Run(fmt.Sprint(page, " ", call), func(t *testing.T) {
				bubble(t, func(t *testing.T, x *fixture) {
					x.Inject(page)
					err := get(x)
					wantKind(t, err, NeedsURL)
					if !strings.Contains(err.Error(), "login page") || x.Counts().Gets != 1 {
						t.Errorf("%v after %d GETs", err, x.Counts().Gets)
					}
					wantHit(t, page)
				})
			})
		}
	}
}

// A page may begin with a byte order mark, an XML declaration or a comment, and have no type.
// What only looks like one in parts is the file.
func TestPagesAreKnownByTheirBeginning(t *testing.T) {
	const html, none = "Content-Type: TEXT/HTML; charset=utf-8\r\n", ""
	for _, answer := range []struct {
		header, body string
		page         bool
	}{
		{html, "\ufeff\n<!-- made by a portal -->\n<HTML><body>", true},
		{html, "\ufeff<!DOCTYPE html>", true},
		{"Content-Type: application/xhtml+xml\r\n", `<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">`, true},
		{none, "<!DOCTYPE html><html>", true},
		{html, "\x00\x01<html>", false},
		{html, `<?xml version="1.0"?><svg>`, false},
		{none, "id,name\n1,<html>\n", false},
		{"Content-Type: application/octet-stream\r\n", "<html>", false},
	} {
		x := overTCP(t)
		base, _ := answering(t, func(method string) string {
			return fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", answer.header, len(answer.body), answer.body)
		})
		b, err := x.c.Resource(base+"/a.bin", ResourceOptions{Name: "a.bin"}).Get(t.Context(), nil, 0, 1<<20)
		if answer.page {
			if e := wantKind(t, err, NeedsURL); !strings.Contains(e.Error(), "web page") {
				t.Errorf("%q: %v", answer.body, e)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", answer.body, err)
			continue
		}
		if p, err := io.ReadAll(b); string(p) != answer.body || err != nil {
			t.Errorf("%q: %q, %v", answer.body, p, err)
		}
		b.Close()
	}
}

// Once a version is pinned, a page may be that of a portal and pass. The file
// has not changed for it.
func TestPageInTheMiddle(t *testing.T) {
	for _, status := range []int{200, 206} {
		for _, off := range []int64{0, 1000} {
			for _, times := range []int{5, 0} {
				t.Run(fmt.Sprint(status, off, times), func(t *testing.T) {
					bubble(t, func(t *testing.T, x *fixture) {
						want := x.pin()
						page := origintest.Page(status).Times(times)
						validators := origintest.Header("ETag", `"page"`).On("/a.tar")
						x.Inject(page)
						if status == 200 { // with or without validators of its own
							x.Inject(validators.Times(times))
							defer wantHit(t, validators)
						}
						_, p, err := x.get(want, off, 1000)
						if times > 0 {
							x.wantBytes(p, 1000, err)
							x.wantRequests(6)
						} else {
							wantKind(t, err, NeedsURL)
							x.wantRequests(12)
						}
						wantHit(t, page)
					})
				})
			}
		}
	}
}

// Where no validator tells, the type does, once the file came as another.
func TestPageForAFileWithoutValidators(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.Put("/a.tar", origintest.File{Content: content, ETag: "-", ModTime: time.Unix(0, 0)})
		want := x.pin()
		page := origintest.Page(206).Times(2)
		x.Inject(page)
		_, p, err := x.get(want, 1000, 1000)
		x.wantBytes(p, 1000, err)
		x.wantRequests(3)
		wantHit(t, page)
	})
}

// A HEAD may be shown the page alone; then a GET tells.
func TestPageForHead(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		page := origintest.Page(200).Method("HEAD")
		x.Inject(page)
		v, head, err := x.probe(true)
		if v.Size != size || len(head) != firstBytes || err != nil {
			t.Errorf("got %v, %d bytes, %v", v, len(head), err)
		}
		wantHit(t, page)
	})
}

// A type may be wrong, and a file be a page.
func TestWhatIsNoLoginPage(t *testing.T) {
	const html = "<!DOCTYPE html><html><body>Hello.</body></html>"
	mislabelled := origintest.File{Content: content, ContentType: "text/html; charset=utf-8"}
	bubble(t, func(t *testing.T, x *fixture) {
		x.Put("/a.tar", mislabelled)
		want := x.pin()
		before := x.c.Received()
		for _, off := range []int64{0, 1000} {
			for _, v := range []*Version{nil, want} {
				_, p, err := x.get(v, off, 5000)
				x.wantBytes(p, 5000, err)
				_, p, err = x.getWhole(v)
				x.wantBytes(p, size, err)
			}
		}
		if got, want := x.c.Received()-before, int64(4*(5000+size)); got != want {
			t.Errorf("%d bytes received, want %d", got, want)
		}
		x.Put("/a.tar", otherVersion) // is a change nevertheless
		_, _, err := x.get(want, 0, 10)
		wantKind(t, err, Changed)
	})
	names := []string{"index.html", "a.HTM", "a.xhtml", "a.shtml", "a.php", "a.asp", "a.aspx", "a.jsp", "a.cgi", "page", "dir.d/page"}
	for _, name := range names {
		bubble(t, func(t *testing.T, x *fixture) {
			file := origintest.Text(html)
			file.ContentType = "text/html"
			x.Put("/"+name, file)
			x.url, x.opts.Name = x.base+"/"+name, ""
			if strings.Contains(name, "/") {
				x.Put("/x.tar", file)
				x.url, x.opts.Name = x.base+"/x.tar", name
			}
			v, _, err := x.resource().Probe(t.Context(), false)
			if v.Size != int64(len(html)) || err != nil {
				t.Errorf("%s: %v, %v", name, v, err)
			}
		})
	}
}

// The errors of a file that is no web page come with pages too.
func TestErrorsComeWithPages(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		want := x.pin()
		moved := origintest.Status(http.StatusServiceUnavailable).Times(1)
		x.Inject(moved)
		_, p, err := x.get(want, 0, 1000)
		x.wantBytes(p, 1000, err)
		if log := x.log.String(); !strings.Contains(log, "503") {
			t.Errorf("logged %s", log)
		}
		wantHit(t, moved)
	})
}

func webPage(title string) origintest.File {
	f := origintest.Text("<!DOCTYPE html><html><head><title>" + title + "</title></head><body>" + strings.Repeat(title, 2000) + "</body></html>")
	f.ContentType = "text/html; charset=utf-8"
	return f
}

// listed makes x a list of these names at the root of the origin.
func (x *fixture) listed(names ...string) {
	x.opts.Sibling = func() (string, string, http.Header) {
		own := strings.TrimPrefix(x.url, x.base+"/")
		for _, name := range names {
			if name != own {
				return name, x.base + "/" + name, nil
			}
		}
		return "", "", nil
	}
}

func (x *fixture) first(name string) error {
	x.url, x.opts.Name = x.base+"/"+name, name
	_, _, err := x.resource().Probe(x.t.Context(), true)
	return err
}

// begin is first with a GET.
func (x *fixture) begin(name string) error {
	x.url, x.opts.Name = x.base+"/"+name, name
	b, err := x.resource().Get(x.t.Context(), nil, 0, 1<<20)
	if err == nil {
		b.Close()
	}
	return err
}

// Pages that are meant differ from one another, whatever their names look like.
func TestPagesThatAreMeant(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		names := []string{"Paris", "St._Louis", "Mr._Robot", "Node.js", "Amazon.com", ".", "E.T.", "a.b_c"}
		for _, name := range names {
			x.Put("/"+name, webPage(name))
		}
		x.listed(names...)
		for _, name := range names[:5] {
			if err := x.first(name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		x.Put("/Paris", webPage("Paris, again")) // is another version, and no login
		r := x.c.Resource(x.base+"/Paris", ResourceOptions{Name: "Paris"})
		v, _, err := r.Probe(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		x.Put("/Paris", webPage("Paris, once more"))
		_, err = r.Get(t.Context(), &v, 0, 1000)
		wantKind(t, err, Changed)
	})
}

// A login is the same page for every file, is to be found elsewhere, or has not the
// size of the file.
func TestLoginsForNamesThatSayNothing(t *testing.T) {
	login := webPage("Please log in")
	bubble(t, func(t *testing.T, x *fixture) {
		names := []string{"IM0001", "IM0002", "IM0003", "data.bin"}
		for _, name := range names {
			x.Put("/"+name, login)
		}
		x.listed(names...)
		for _, name := range names {
			err := x.first(name)
			if e := wantKind(t, err, NeedsURL); !strings.Contains(e.Error(), "login page") {
				t.Error(e)
			}
		}
	})
	bubble(t, func(t *testing.T, x *fixture) { // a name that says what the file is counts more
		x.Put("/IM0001", login)
		other := origintest.Text("<html><title>Please log in</title><form name=token value=17>")
		other.ContentType = "text/html"
		x.Put("/data.bin", other)
		x.listed("IM0001", "data.bin")
		wantKind(t, x.first("data.bin"), NeedsURL)
	})
	bubble(t, func(t *testing.T, x *fixture) {
		x.Put("/login", login)
		to := origintest.Redirect(302, "/login?next=IM0001").On("/IM*")
		x.Inject(to)
		wantKind(t, x.first("IM0001"), NeedsURL)
		wantHit(t, to)
	})
	bubble(t, func(t *testing.T, x *fixture) { // a redirect to the same name is none of that
		x.Put("/en/St._Louis", webPage("St. Louis"))
		to := origintest.Redirect(302, "/en/St._Louis").On("/wiki/*")
		x.Inject(to)
		if err := x.first("wiki/St. Louis"); err != nil {
			t.Error(err)
		}
		wantHit(t, to)
	})
	bubble(t, func(t *testing.T, x *fixture) {
		x.Put("/IM0001", login)
		x.opts.Size = 10
		wantKind(t, x.first("IM0001"), NeedsURL)
	})
}

// loginForm is a page that asks for a password.
func loginForm() origintest.File {
	f := origintest.Text("<html><title>Sign in</title><form><input name=u><input\n name=p type=\"password\"></form>")
	f.ContentType = "text/html"
	return f
}

// Where the list has no other entry of the host to compare with, a form for a password
// tells, or that the host gives the page for a name that was made up.
func TestLoginOfALoneEntry(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.Put("/IM0001", loginForm())
		wantKind(t, x.first("IM0001"), NeedsURL)
	})
	bubble(t, func(t *testing.T, x *fixture) {
		page := origintest.Page(200).Method("GET")
		x.Inject(page)
		wantKind(t, x.first("IM0001"), NeedsURL)
		wantHit(t, page)
	})
	bubble(t, func(t *testing.T, x *fixture) { // it is there under its own name alone
		x.Put("/St._Louis", webPage("St. Louis"))
		if err := x.first("St._Louis"); err != nil {
			t.Error(err)
		}
	})
}

// A file that is named like a page is a login page if it asks for a password and came by
// a redirect to another name, or for another entry too.
func TestLoginForAPage(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.Put("/sso", loginForm())
		to := origintest.Redirect(302, "/sso").On("/a.html")
		x.Inject(to)
		wantKind(t, x.begin("a.html"), NeedsURL)
		wantHit(t, to)
	})
	bubble(t, func(t *testing.T, x *fixture) {
		names := []string{"a.html", "b.html", "c.php"}
		for _, name := range names {
			x.Put("/"+name, loginForm())
		}
		x.listed(names...)
		for _, name := range names {
			wantKind(t, x.begin(name), NeedsURL)
		}
	})
	for name, page := range map[string]origintest.File{"login.html": loginForm(), "empty.html": webPage("no form")} {
		bubble(t, func(t *testing.T, x *fixture) { // this one is what the list asks for
			x.Put("/"+name, page)
			x.listed(name)
			if err := x.begin(name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	bubble(t, func(t *testing.T, x *fixture) { // a page without a form may have moved
		x.Put("/new.html", webPage("moved"))
		to := origintest.Redirect(302, "/new.html").On("/a.html")
		x.Inject(to)
		if err := x.begin("a.html"); err != nil {
			t.Error(err)
		}
		wantHit(t, to)
	})
}
