// Package browser tests the page of "dlfs web" in a real browser. It is a module of its
// own, so that what drives the browser is no dependency of dlfs. .ci/browser runs it.
package browser

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var (
	program = flag.String("dlfs", "", "the dlfs to test")
	shots   = flag.String("shots", "", "directory for screenshots; none are taken without")
)

// patience is how long nothing takes.
const patience = 30 * time.Second

// browser is a tab of a browser.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	errors []string // that the page has had
}

// newBrowser starts a browser, which ends with the test.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1200, 1000),
		chromedp.NoSandbox) // it opens this page alone
	ctx, end := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(end)
	ctx, end = chromedp.NewContext(ctx)
	t.Cleanup(end)
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil { // which starts it, to live as long as ctx
		t.Fatal(err)
	}
	said := chromedp.Console(ctx)
	go func() { // ends with the browser
		for m, err := range said {
			if err == nil && (m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleException) {
				b.failed(m.Text)
			}
		}
	}()
	return b
}

func (b *browser) failed(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errors = append(b.errors, text)
}

// clean checks that the page has had no error, such as one of its policy.
func (b *browser) clean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.errors {
		b.t.Errorf("the page has had an error: %s", e)
	}
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// keys types into an element.
func (b *browser) keys(selector, keys string) {
	b.t.Helper()
	b.do(chromedp.SendKeys(chromedp.CSS(selector), keys))
}

// fill puts a text in the place of what is in an input.
func (b *browser) fill(selector, text string) {
	b.t.Helper()
	b.eval(fmt.Sprintf("(e => { e.focus(); e.value = ''; e.dispatchEvent(new Event('input')); })(document.querySelector(%q))", selector))
	if text != "" {
		b.keys(selector, text)
	}
}

// text is what an element shows.
func (b *browser) text(selector string) string {
	b.t.Helper()
	return b.eval(fmt.Sprintf("document.querySelector(%q)?.textContent ?? ''", selector))
}

// eval is the value of an expression, as text.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// await waits until an expression is true.
func (b *browser) await(what, expression string) {
	b.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(patience); b.eval("Boolean("+expression+")") != "true"; <-tick.C {
		if time.Now().After(until) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.t.Fatalf("there is not %s; the page says %q, %q and %q, and has had %q", what, b.text("#pill"), b.text("#notice"), b.text("#file-state"), b.errors)
		}
	}
}

// click presses a button as a user does.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.await(selector+" to press", fmt.Sprintf("document.querySelector(%[1]q)?.getClientRects().length > 0 && !document.querySelector(%[1]q).disabled", selector))
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// shot takes a picture of the page, of a window of this size.
func (b *browser) shot(name string, width, height int64, dark bool) {
	b.t.Helper()
	if *shots == "" {
		return
	}
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	drawn := "document.getElementById('chart').dataset.at + ' ' + (document.getElementById('file').open ? document.getElementById('map').dataset.at : '')"
	b.do(chromedp.EmulateViewport(width, height), emulate("prefers-color-scheme", scheme))
	b.eval("scrollTo(0, 0) ?? document.activeElement.blur()")
	before := strings.Fields(b.eval(drawn))
	b.await("another drawing", fmt.Sprintf("(%s).trim().split(' ').every((at, i) => at !== %q.split(' ')[i])", drawn, strings.Join(before, " "))) // for this size
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.ResetViewport(), emulate("prefers-color-scheme", ""))
}

// emulate sets a media feature.
func emulate(feature, value string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: feature, Value: value}}})
		return err
	})
}

// dlfs returns a command that runs dlfs and ends with the test.
func dlfs(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if *program == "" {
		t.Skip("-dlfs says which dlfs to test; .ci/browser does so")
	}
	cmd := exec.CommandContext(t.Context(), *program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run runs a command of dlfs, and returns what it prints.
func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := dlfs(t, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("dlfs %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// start starts a dlfs, which ends with the test, and returns the first line of its standard
// output.
func start(t *testing.T, args ...string) (line string) {
	t.Helper()
	cmd := dlfs(t, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGINT)
		cmd.Wait() // its error is the signal
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("dlfs %q printed nothing: %v", args, lines.Err())
	}
	return lines.Text()
}
