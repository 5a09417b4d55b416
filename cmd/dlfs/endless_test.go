package main

import (
	"io"
	"strings"
	"testing"
)

// endless is a list whose lines never end.
type endless struct{ line string }

func (e endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		n += copy(p[n:], e.line)
	}
	return n, nil
}

// A list that comes from others, and goes on and on, is given up.
func TestEndlessList(t *testing.T) {
	const binary = "http://h/list.txt?…:1: this is binary data, not a list; a list is text"
	for line, want := range map[string]string{ // quickly read, for being one line
		"x":    "list http://h/list.txt?… is longer than 1.0 GiB; divide it",
		"\x00": binary + "\nif the URL is of the file itself, fetch it by: echo URL | dlfs fetch - DIR",
	} {
		l := &lister{flags: listFlags{Format: "auto"}, name: "http://h/list.txt?…", where: "http://h/list.txt?CANARY", notes: io.Discard}
		list, err := l.parseBounded(endless{strings.Repeat(line, 4096)})
		if list != nil && len(list.Entries) > 0 || err == nil || err.Error() != want {
			t.Errorf("%v, %v", list, err)
		}
	}
}
