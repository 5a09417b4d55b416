package browser

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestReaders: the page tells which file a reader of a mount waits for, and where; several
// directories are on one page; and the page does not keep a mount from ending.
func TestReaders(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("there is no FUSE here: %v", err)
	}
	o := newOrigin(t)
	o.speed(256 << 10)
	tmp := t.TempDir()
	o.add("a.bin", 32<<20)
	list, mnt := o.list(t, tmp, "a.bin"), filepath.Join(tmp, "mnt")
	run(t, "mount", "--daemon", "--prefetch", "none", list, mnt)
	t.Cleanup(func() { exec.Command("umount", "-l", mnt).Run() }) // fails if it is gone already
	other := filepath.Join(tmp, "other")
	run(t, "fetch", "--daemon", "--log-file", filepath.Join(tmp, "log"), list, other)
	t.Cleanup(func() { dlfs(t, "stop", other).Run() })
	b := newBrowser(t)
	b.do(chromedp.Navigate(start(t, "web", mnt, other)))
	b.await("two directories", "document.querySelectorAll('#sources button').length === 2")
	b.await("nobody who waits", "!document.getElementById('waits-none').hidden && document.getElementById('pill').textContent === 'Waiting'")

	reader := exec.CommandContext(t.Context(), "tail", "-c", "8000000", filepath.Join(mnt, "a.bin"))
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		reader.Process.Kill()
		reader.Wait() // its error is the signal
	})
	b.await("a reader who waits", "document.getElementById('waits').textContent.includes('a.bin')")
	b.click("#waits button")
	b.await("blocks that are awaited", "/[1-9][0-9]* awaited/.test(document.getElementById('map').getAttribute('aria-label'))")
	b.click("#file-close")

	b.click("#sources button:nth-child(2)")
	b.await("the other one", fmt.Sprintf("document.getElementById('dir').textContent === %q && document.getElementById('pill').textContent === 'Fetching'", other))
	b.click("#sources button:nth-child(1)")
	reader.Process.Kill()
	b.clean()
	if out := run(t, "umount", mnt); out != "" {
		t.Errorf("umount says %s", out)
	}
	b.await("the end", "document.getElementById('pill').textContent === 'Not running'")
}
