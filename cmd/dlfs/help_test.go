package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"syscall"
	"testing"
)

// TestHelpTopics: each topic has a page with a heading, and no command has its name.
func TestHelpTopics(t *testing.T) {
	for _, topic := range topics() {
		var out, errs bytes.Buffer
		code := run(context.Background(), []string{"help", topic}, stdio{in: strings.NewReader(""), out: &out, err: &errs})
		if page, err := pages.ReadFile("doc/" + topic + ".md"); err != nil || code != exitOK || out.String() != string(page) {
			t.Errorf("help %s: exit code %d, %d of %d bytes, %v, %s", topic, code, out.Len(), len(page), err, errs.String())
		}
		if !strings.HasPrefix(out.String(), "# ") {
			t.Errorf("the page %s has no heading", topic)
		}
		if code := run(context.Background(), []string{topic, "--help"}, stdio{in: strings.NewReader(""), out: io.Discard, err: io.Discard}); code == exitOK {
			t.Errorf("%s is a topic and a command", topic)
		}
	}
}

// TestHelpIsPaged: on a terminal the page goes through $PAGER; where that is no
// program, it is printed.
func TestHelpIsPaged(t *testing.T) {
	for _, c := range []struct{ pager, want string }{
		{"tr a-z A-Z", "# WHAT DLFS DOES NOT DO"},
		{"dlfs-has-no-such-pager", "# What dlfs does not do"},
		{"exit 1", ""}, // one that fails has the last word
	} {
		master, slave := terminal(t)
		var errs bytes.Buffer
		cmd := dlfs(t, "help", "limits")
		cmd.Env = append(cmd.Environ(), "PAGER="+c.pager+" 2>/dev/null")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, &errs
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		said := make(chan string)
		go func() { // ends when the last holder of slave does
			b, _ := io.ReadAll(master) // a terminal ends with EIO
			said <- string(b)
		}()
		err := cmd.Run()
		slave.Close()
		text := <-said
		master.Close()
		if err != nil || errs.Len() > 0 {
			t.Errorf("PAGER=%s: %v, %s", c.pager, err, errs.String())
		}
		if c.want == "" && text != "" || !strings.Contains(text, c.want) {
			t.Errorf("PAGER=%s printed %q", c.pager, text)
		}
	}
}
