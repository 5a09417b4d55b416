package browser

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// impostor answers on a control socket as a dlfs with a long list would.
type impostor struct {
	dir string

	mu    sync.Mutex
	asked int // pages of files
}

const million = 1_000_000

func newImpostor(t *testing.T) *impostor {
	t.Helper()
	dir, err := os.MkdirTemp("", "dlfs-") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Mkdir(filepath.Join(dir, ".dlfs"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, ".dlfs", "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	x := &impostor{dir: dir}
	server := &http.Server{Handler: x}
	served := make(chan struct{})
	go func() { // joined below
		defer close(served)
		server.Serve(l)
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return x
}

func (x *impostor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	type object = map[string]any
	answer := object{}
	switch r.URL.Path {
	case "/summary":
		answer = object{"pid": 1, "version": hostile, "dir": x.dir, "files_total": million, "files_known": million, "files_complete": 1000, "files_failed": 0, "origin_bytes": 0, "disk_free_bytes": 1, "total_bytes": 1 << 50,
			"present_bytes": 1 << 40, "files_by_state": object{"waiting": million - 1000, "complete": 1000}, "hosts": []object{{"host": hostile, "readers": 1}}, "hosts_total": 1,
			"hosts_waiting": []any{}, "readers_waiting": []object{{"name": hostile, "readers": 1, "since": "2026-01-01T00:00:00Z"}}, "active": []any{}, "disk_full": hostile}
	case "/files":
		x.mu.Lock()
		x.asked++
		x.mu.Unlock()
		offset, _ := strconv.Atoi(r.FormValue("offset"))
		limit, _ := strconv.Atoi(r.FormValue("limit"))
		files := []object{}
		for i := offset; i < min(offset+limit, million); i++ {
			files = append(files, object{"name": fmt.Sprintf("file-%07d", i), "size": i, "present": 0, "state": "waiting", "error": ""})
		}
		answer = object{"total": million, "files": files}
	}
	json.NewEncoder(w).Encode(answer) // fails when dlfs has left
}

func (x *impostor) pages() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.asked
}

// TestMillion: the table of a million files goes to any of them at once, moves row by row,
// and asks for what is seen alone; and what a hostile process says is inert.
func TestMillion(t *testing.T) {
	x := newImpostor(t)
	b := newBrowser(t)
	b.do(chromedp.Navigate(start(t, "web", x.dir)))
	has := func(i int) string {
		return fmt.Sprintf("[...document.querySelectorAll(%q)].some(r => r.textContent.includes('file-%07d'))", row, i)
	}
	b.await("the first file", has(0))
	b.do(chromedp.Focus(chromedp.CSS("#grid")), chromedp.KeyEvent(kb.End))
	b.await("the last file", has(million-1))
	if got := b.eval("document.querySelector('#layer .active').getAttribute('aria-rowindex')"); got != fmt.Sprint(million+1) {
		t.Errorf("the last row has the number %s", got)
	}
	b.do(chromedp.KeyEvent(strings.Repeat(kb.ArrowUp, 50)))
	b.await("fifty rows above it", has(million-51)+" && document.querySelector('#layer .active').textContent.includes('file-0999949')")
	b.eval("document.getElementById('view').scrollTop = document.getElementById('view').scrollHeight / 2")
	b.await("the middle", fmt.Sprintf("[...document.querySelectorAll(%q)].some(r => /file-0(49|50)/.test(r.textContent))", row))
	at := b.eval(fmt.Sprintf("[...document.querySelectorAll(%q)].map(r => r.textContent.slice(0, 12)).sort()[0]", row))
	b.eval("document.getElementById('view').dispatchEvent(new WheelEvent('wheel', { deltaY: 400, cancelable: true }))") // ten rows
	first, err := strconv.Atoi(strings.TrimPrefix(at, "file-"))
	if err != nil {
		t.Fatalf("the first row of the middle is %q", at)
	}
	b.await("ten rows below", fmt.Sprintf("[...document.querySelectorAll(%q)].map(r => r.textContent.slice(0, 12)).sort()[0] === 'file-%07d'", row, first+10))
	before := x.pages()
	for i := range 200 { // a user who drags the scroll bar
		b.eval(fmt.Sprintf("document.getElementById('view').scrollTop = document.getElementById('view').scrollHeight * %d / 200", i))
	}
	b.await("the end of that", fmt.Sprintf("[...document.querySelectorAll(%q)].some(r => /file-099/.test(r.textContent))", row))
	if n := x.pages() - before; n > 600 {
		t.Errorf("%d pages were asked for", n)
	}
	if got, err := strconv.Atoi(b.eval("document.querySelectorAll('*').length")); err != nil || got > 500 {
		t.Errorf("the page has %d elements, %v", got, err)
	}
	if got := b.eval("document.querySelectorAll('img').length + ' ' + document.scripts.length + ' ' + window.hacked"); got != "1 1 undefined" {
		t.Errorf("images, scripts, and what they did: %s", got)
	}
	if !strings.Contains(b.text("#hosts")+b.text("#waits"), "onerror") {
		t.Error("the hostile text is not shown")
	}
	b.clean()
}

// TestPhoneAndKeys: a window as wide as a phone cuts nothing off, and Tab comes to every
// control, whose focus is seen.
func TestPhoneAndKeys(t *testing.T) {
	x := newImpostor(t)
	b := newBrowser(t)
	b.do(chromedp.EmulateViewport(360, 640), chromedp.Navigate(start(t, "web", x.dir)))
	b.await("files", fmt.Sprintf("document.querySelectorAll(%q).length > 2", row))
	const wide = "document.documentElement.scrollWidth > innerWidth ? [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + '#' + e.id).join() : ''"
	if got := b.eval(wide); got != "" {
		t.Errorf("beyond the right edge: %s", got)
	}
	want := []string{"pause", "limit", "reload", "search", "grid"}
	reached := map[string]bool{}
	for range 40 {
		b.do(chromedp.KeyEvent(kb.Tab))
		reached[b.eval("document.activeElement.id")] = true
		if got := b.eval("document.activeElement === document.body || ['outlineStyle', 'boxShadow'].some(s => getComputedStyle(document.activeElement)[s] !== 'none')"); got != "true" {
			t.Errorf("the focus of %s is not seen", b.eval("document.activeElement.outerHTML.slice(0, 200)"))
		}
		if reached["grid"] {
			break
		}
	}
	for _, id := range want {
		if !reached[id] {
			t.Errorf("Tab does not come to %s, only to %v", id, reached)
		}
	}
	b.do(chromedp.KeyEvent(kb.ArrowDown + kb.Enter))
	b.await("the file", "document.getElementById('file').open")
	if got := b.eval(wide); got != "" {
		t.Errorf("beyond the right edge with a file: %s", got)
	}
	b.do(chromedp.KeyEvent(kb.Escape))
	b.await("the dialog to close", "!document.getElementById('file').open && document.activeElement.id === 'grid'")
}
