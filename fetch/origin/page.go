package origin

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"dlfs/cache/lockorder"
)

// A web page in the place of a file is most often a login page. Three cases differ by the
// name of the file:
//
//   - It has the extension of another kind of file: the page is taken for a login page.
//   - It has no extension. The page may be meant, as in an encyclopedia, or be a login page
//     in the place of IM0001. Other entries of the same host tell: login pages are all
//     alike. If there is no other entry, a page that asks for a password is a login page,
//     and so is one that the host gives for a name that was made up.
//   - It has the extension of a web page: the page is meant, unless it asks for a password
//     and came by a redirect to another name, or for another entry too.

var errPage = errors.New("origin answers with a web page (a login page?)")

// errPlainPage is errPage for a name that says nothing.
var errPlainPage = errors.New("origin answers with a web page (a login page?); if the page is meant, list it with a name that ends in .html")

// pageNames are the extensions of files that may well be web pages.
var pageNames = []string{".html", ".htm", ".xhtml", ".shtml", ".php", ".asp", ".aspx", ".jsp", ".cgi"}

// isExtension is what an extension looks like. What follows a dot in a title is
// none, as in "St._Louis".
var isExtension = regexp.MustCompile(`^\.[A-Za-z0-9]{1,8}$`)

// extension returns the extension of the file's name, "" if there is none.
func (r *Resource) extension() string {
	ext := path.Ext(r.opts.Name)
	if !isExtension.MatchString(ext) || ext == r.opts.Name[strings.LastIndexByte(r.opts.Name, '/')+1:] {
		return ""
	}
	return strings.ToLower(ext)
}

// isPage reports whether a response calls itself a web page though the file is
// not named like one. It may be one nevertheless, or the type be wrong.
func (r *Resource) isPage(resp *http.Response) bool {
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		return false // errors come with pages
	}
	return isHTML(resp) && !r.isNamedPage() && !r.pageMeant.Load()
}

// isNamedPage reports whether the file is named like a web page.
func (r *Resource) isNamedPage() bool { return slices.Contains(pageNames, r.extension()) }

// isHTML reports whether a response says that it is a web page. The body is not looked
// at.
func isHTML(resp *http.Response) bool {
	said := resp.Header.Get("Content-Type")
	if !strings.Contains(strings.ToLower(said), "html") { // most are not, and parsing takes time
		return false
	}
	kind, _, _ := mime.ParseMediaType(said) // an error leaves it empty
	return kind == "text/html" || kind == "application/xhtml+xml"
}

// beforePage is what may stand before the first element of a web page: a byte order mark, an
// XML declaration and comments.
var beforePage = regexp.MustCompile(`(?s)^(?:\x{feff}|\s|<\?xml\b[^>]*>|<!--.*?-->)*`)

// looksLikePage reports whether a body begins as web pages do.
func (w *watched) looksLikePage() bool {
	head := w.peek(512)
	head = head[len(beforePage.Find(head)):]
	return strings.HasPrefix(http.DetectContentType(head), "text/html")
}

// typePage calls an answer without a type a web page if it begins as one, as browsers do.
func (x *exchange) typePage() {
	if x.resp.Header.Get("Content-Type") == "" && x.body.looksLikePage() {
		x.resp.Header.Set("Content-Type", "text/html")
	}
}

// isLogin decides about an answer that looks like a web page from its start. It
// may ask for a sibling of the file.
func (r *Resource) isLogin(ctx context.Context, x *exchange, a answer) bool {
	named := r.extension() != ""
	if elsewhere(r.list, x.url) || r.opts.Size > 0 && a.version.Size != UnknownSize && a.version.Size != r.opts.Size {
		return true
	}
	own := beginningOf(x, a)
	if r.c.pages.isAnothers(r.list, own.sum) {
		return true
	}
	if !named && r.c.pages.differ(r.list.Host) {
		return false
	}
	sibling := r.sibling()
	if sibling == nil && !named {
		return x.body.asksForPassword() || r.givesFor(ctx, x, own)
	}
	if sibling == nil || named && sibling.extension() != "" {
		return named
	}
	x.body.ticket.leave() // to ask must not wait for a place this one has
	other, ok := sibling.beginning(ctx)
	switch {
	case !ok:
		return named
	case other.sum == own.sum:
		return true
	case named:
		return other.title == "" || own.title == "" || other.title == own.title
	}
	r.c.pages.noteDiffer(r.list.Host)
	return false
}

// isLoginForPage decides about a file that is named like a web page, and is one.
func (r *Resource) isLoginForPage(ctx context.Context, x *exchange, a answer) bool {
	if r.pageMeant.Load() || !isHTML(x.resp) || !x.body.asksForPassword() {
		return false
	}
	own := beginningOf(x, a)
	if elsewhere(r.list, x.url) || r.c.pages.isAnothers(r.list, own.sum) {
		return true
	}
	sibling := r.sibling()
	if sibling == nil {
		return false
	}
	x.body.ticket.leave() // to ask must not wait for a place this one has
	other, ok := sibling.beginning(ctx)
	return ok && other.sum == own.sum
}

// givesFor reports whether the host answers with the page own for a name in the same
// directory that was made up, too.
func (r *Resource) givesFor(ctx context.Context, x *exchange, own beginning) bool {
	if r.list.RawQuery != "" {
		return false // which may name the file
	}
	x.body.ticket.leave() // to ask must not wait for a place this one has
	madeUp := r.list.ResolveReference(&url.URL{Path: "./" + strings.ToLower(rand.Text())})
	other, ok := r.c.Resource(madeUp.String(), ResourceOptions{Header: r.opts.Header}).beginning(ctx)
	return ok && !other.elsewhere && (other.sum == own.sum || own.title != "" && other.title == own.title)
}

// passwordField is the part of a form that asks for a password.
var passwordField = regexp.MustCompile(`(?is)<input\b[^>]*\btype\s*=\s*["']?password\b`)

// formWithin is how far from the start of a page such a field is looked for, in bytes.
const formWithin = 64 << 10

// asksForPassword reports whether a body is a web page with a field for a password.
func (w *watched) asksForPassword() bool {
	return w.looksLikePage() && passwordField.Match(w.peek(formWithin))
}

// elsewhere reports whether a redirect led to another path, whose end is another
// name, as that of a login.
func elsewhere(list, u *url.URL) bool {
	end := func(u *url.URL) string {
		name := strings.ToLower(path.Base(u.Path))
		name = strings.TrimSuffix(strings.TrimSuffix(name, ".html"), ".htm")
		return strings.NewReplacer("_", "", "-", "", " ", "", "+", "").Replace(name)
	}
	return u != list && end(list) != end(u)
}

// sibling is another URL of the list at the same host, nil if there is none.
func (r *Resource) sibling() *Resource {
	if r.opts.Sibling == nil {
		return nil
	}
	name, raw, header := r.opts.Sibling()
	if raw == "" {
		return nil
	}
	return r.c.Resource(raw, ResourceOptions{Name: name, Header: header})
}

// beginning is how a web page begins.
type beginning struct {
	sum   [sha256.Size]byte // of its first bytes and its length
	title string

	elsewhere bool // a redirect led to another name
}

var pageTitle = regexp.MustCompile(`(?is)<title[^>]*>\s*(.*?)\s*</title>`)

const beginningLen = 4 << 10 // bytes

// beginningOf looks at the first bytes of an answer without taking them from its body. The sum
// tells pages apart; it includes the size, so that files that begin alike and differ in length
// are not taken for one page.
func beginningOf(x *exchange, a answer) (b beginning) {
	head := x.body.peek(int(min(beginningLen, max(a.end, 1))))
	head = head[:min(len(head), beginningLen)]
	if m := pageTitle.FindSubmatch(head); m != nil {
		b.title = string(m[1])
	}
	b.sum = sha256.Sum256(append(bytes.Clone(head), rangeHeader(0, max(a.version.Size, 0)+1)...))
	return b
}

// beginning asks for the first bytes of the URL once more and returns how the page there begins. ok
// is false if there is no page: another answer, or none.
func (r *Resource) beginning(ctx context.Context) (b beginning, ok bool) {
	if r.err != nil {
		return b, false
	}
	ranges := rangeHeader(0, firstBytes)
	if r.isPlain() {
		ranges = ""
	}
	x, err := r.walk(ctx, http.MethodGet, r.list, ranges)
	if err != nil {
		return b, false
	}
	defer x.body.drain()
	a, err := examine(x.resp, 0, firstBytes, UnknownSize)
	if err != nil || !isHTML(x.resp) || !x.body.looksLikePage() {
		return b, false
	}
	b = beginningOf(x, a)
	b.elsewhere = elsewhere(r.list, x.url)
	return b, true
}

// pages is what web pages hosts gave. The zero value knows none. It is safe for
// concurrent use.
type pages struct {
	mu    lockorder.Mutex[lockorder.Leaf]
	hosts map[string]*hostPages // guarded by mu, and so is what is in it
}

// hostPages is what is known of the web pages that a host sends: whether it sends one
// page for every URL, as for a login, or pages that differ.
type hostPages struct {
	differ bool                         // those of two URLs were seen to be no one page
	of     map[[sha256.Size]byte]string // the path that gave a page, by how it begins
}

// maxPages is how many pages of a host are remembered.
const maxPages = 1000

// hostLocked returns what is known of the pages of a host, which it makes if there is none.
func (p *pages) hostLocked(host string) *hostPages {
	if p.hosts == nil {
		p.hosts = map[string]*hostPages{}
	}
	h := p.hosts[host]
	if h == nil {
		h = &hostPages{of: map[[sha256.Size]byte]string{}}
		p.hosts[host] = h
	}
	return h
}

// isAnothers reports whether another URL of the host gave a page that begins so,
// and remembers who gave it first.
func (p *pages) isAnothers(u *url.URL, sum [sha256.Size]byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, who := p.hostLocked(u.Host), u.RequestURI()
	first, known := h.of[sum]
	if !known && len(h.of) < maxPages {
		h.of[sum] = who
	}
	return known && first != who
}

// differ reports whether noteDiffer was called for the host.
func (p *pages) differ(host string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hostLocked(host).differ
}

// noteDiffer takes note that the host answers two URLs with different bodies, so that it does
// not send one page for every URL.
func (p *pages) noteDiffer(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hostLocked(host).differ = true
}
