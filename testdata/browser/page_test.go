package browser

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const row = "#layer .row:not([hidden])"

// TestPage drives the page while a list is fetched: it shows what goes on, and each button
// does what it says.
func TestPage(t *testing.T) {
	o := newOrigin(t)
	tmp, err := os.MkdirTemp("", "dlfs-") // the page shows it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	names := []string{"images/big.tar"}
	o.add("images/big.tar", 160<<20)
	for i := range 60 {
		names = append(names, fmt.Sprintf("shards/part-%05d.parquet", i))
		o.add(names[len(names)-1], int64(200_000+i*9_000))
	}
	names = append(names, hostile, "late/last.bin")
	o.add(hostile, 5000)
	o.breaks(hostile, true)
	o.add("late/last.bin", 3<<20)
	list, dir := o.list(t, tmp, names...), filepath.Join(tmp, "data")
	run(t, "fetch", "--daemon", "--jobs", "2", "--split", "2", "--log-file", filepath.Join(tmp, "log"), list, dir)
	t.Cleanup(func() { dlfs(t, "stop", dir).Run() })
	address := start(t, "web", dir)
	b := newBrowser(t)

	t.Run("no entry without the token", func(t *testing.T) {
		bare, _, _ := strings.Cut(address, "?")
		resp, err := http.Get(bare)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("without a token: %s", resp.Status)
		}
	})
	b.do(chromedp.Navigate(address))
	t.Run("what goes on", func(t *testing.T) {
		b.await("a fetch", "document.getElementById('pill').textContent === 'Fetching'")
		b.await("a rate", "/MiB|KiB/.test(document.getElementById('rate').textContent)")
		b.await("progress", "document.getElementById('bar').getAttribute('aria-valuenow') > 0")
		if got := b.eval("location.href"); strings.Contains(got, "token") {
			t.Errorf("the token stays in the address: %s", got)
		}
		if got := b.text("#hosts"); !strings.Contains(got, "127.0.0.1") || !strings.Contains(got, "prefetch") {
			t.Errorf("hosts: %q", got)
		}
		if got := b.text("title"); !strings.Contains(got, "data · dlfs") {
			t.Errorf("title %q", got)
		}
	})
	t.Run("the files", func(t *testing.T) {
		b.await("rows", fmt.Sprintf("document.querySelectorAll(%q).length > 5 && document.querySelector(%[1]q).textContent.includes('big.tar')", row))
		b.fill("#search", "PART-00017")
		b.await("one file", fmt.Sprintf("document.querySelectorAll(%q).length === 1 && document.getElementById('grid-count').textContent === '1 file'", row))
		b.fill("#search", "")
		b.click(`[data-sort="size"]`)
		b.await("the smallest first", fmt.Sprintf("document.querySelectorAll(%q).length > 5", row))
		b.click(`[data-sort="size"]`)
		b.await("the biggest first", fmt.Sprintf("document.getElementById('grid').querySelector('[aria-sort=descending]') && [...document.querySelectorAll(%q)].some(r => r.getAttribute('aria-rowindex') === '2' && r.textContent.includes('big.tar'))", row))
		b.click(`[data-sort="size"]`)
		b.await("the order of the list", fmt.Sprintf("!document.querySelector('[aria-sort]') && [...document.querySelectorAll(%q)].some(r => r.textContent.includes('part-00003'))", row))
	})
	t.Run("keys and the map", func(t *testing.T) {
		b.do(chromedp.Focus(chromedp.CSS("#grid")), chromedp.KeyEvent(kb.ArrowDown+kb.ArrowDown+kb.Home+kb.Enter))
		b.await("the file", "document.getElementById('file').open && document.getElementById('file-name').textContent === 'images/big.tar'")
		present := "JSON.parse(document.getElementById('map').dataset.cells ?? '[]').reduce((n, r) => n + (r.state === 'present' ? r.count : 0), 0)"
		b.await("blocks in flight", "JSON.parse(document.getElementById('map').dataset.cells ?? '[]').some(r => r.state === 'in-flight')")
		before := b.eval(present)
		b.await("the map to fill", present+" > "+before+" + 8")
		b.shot("browser-file", 1000, 760, true)
		b.do(chromedp.KeyEvent(kb.Escape))
		b.await("the dialog to close", "!document.getElementById('file').open")
	})
	b.shot("browser", 1000, 980, false)
	b.shot("browser-phone", 390, 844, false)
	t.Run("hostile text is inert", func(t *testing.T) {
		b.await("a failure", "!document.getElementById('retry').hidden")
		b.click(`[data-state="trouble"]`)
		b.await("the failed file", fmt.Sprintf("document.querySelectorAll(%q).length === 1 && document.querySelector(%[1]q).textContent.includes('onerror')", row))
		b.click(row)
		b.await("its error", "!document.getElementById('file-error').hidden && document.getElementById('file-error').textContent.includes('404')")
		if got := b.eval("document.querySelectorAll('img').length + ' ' + document.scripts.length + ' ' + window.hacked"); got != "1 1 undefined" {
			t.Errorf("images, scripts, and what they did: %s", got)
		}
		if text := b.eval("document.body.textContent"); strings.Contains(text, "CANARY") || strings.Contains(text, "\u202e") {
			t.Error("the page shows a secret or a character that reorders the line")
		}
		o.breaks(hostile, false)
		b.click("#file-retry")
		b.await("another attempt", "document.getElementById('file-state').textContent === 'complete'")
		b.click("#file-close")
		b.await("no failure", "document.getElementById('retry').hidden")
		b.click(`[data-state=""]`)
	})
	t.Run("pause, resume and limit", func(t *testing.T) {
		b.click("#pause")
		b.await("a pause", "document.getElementById('pill').textContent === 'Paused' && document.getElementById('pause').textContent === 'Resume'")
		if got := run(t, "status", "--json", dir); !strings.Contains(got, `"paused": true`) {
			t.Errorf("status says %s", got)
		}
		b.click("#pause")
		b.await("an end of the pause", "document.getElementById('pause').textContent === 'Pause'")
		b.fill("#limit", "much")
		b.click("#limit-form button")
		b.await("a complaint", "document.getElementById('notice').textContent.includes('is no rate')")
		b.fill("#limit", "1.5M")
		b.click("#limit-form button")
		b.await("a limit", "document.getElementById('limit').value === '1.5 MiB'")
		if got := run(t, "limit", dir); got != "1.5 MiB/s" {
			t.Errorf("the limit is %s", got)
		}
		b.fill("#limit", "none")
		b.click("#limit-form button")
		b.await("no limit", "document.getElementById('notice').textContent === 'There is no limit.'")
	})
	t.Run("first", func(t *testing.T) {
		if o.was("late/last.bin") {
			t.Skip("this machine is so slow that the file was reached already")
		}
		b.fill("#search", "late/")
		b.await("the file", fmt.Sprintf("document.querySelectorAll(%q).length === 1 && document.querySelector(%[1]q).textContent.includes('late/last.bin')", row))
		b.click(row)
		b.click("#file-first")
		b.await("it to be fetched", "/fetching|complete/.test(document.getElementById('file-state').textContent)")
		b.click("#file-close")
	})
	t.Run("reload", func(t *testing.T) {
		o.add("new.bin", 1000)
		o.list(t, tmp, append(names, "new.bin")...)
		b.click("#reload")
		b.await("what is new", "/1 .*new|1 added/.test(document.getElementById('notice').textContent)")
		b.await("another file", "document.getElementById('amount').textContent.includes('64 files')")
	})
	b.clean() // what is asked of a process that ends has no answer
	t.Run("the end", func(t *testing.T) {
		o.speed(1 << 30)
		b.await("everything", "document.getElementById('pill').textContent === 'Everything is here'")
		b.await("buttons that do nothing any more", "document.getElementById('pause').disabled")
		b.await("how the run ended", "document.getElementById('disk').textContent.includes('Last run')")
		b.await("a word on the files", "document.getElementById('grid').hidden && document.getElementById('grid-none').textContent.includes('No dlfs is running')")
	})
	if _, err := os.Stat(filepath.Join(dir, "new.bin")); err != nil {
		t.Error(err)
	}
}
