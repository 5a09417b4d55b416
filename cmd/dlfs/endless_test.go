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
	for _, line := range []string{"x", "\x00"} { // quickly read, for being one line
		l := &lister{flags: listFlags{Format: "auto"}, name: "http://h/list.txt?…", where: "http://h/list.txt?CANARY", notes: io.Discard}
		list, err := l.parseBounded(endless{strings.Repeat(line, 4096)})
		if list != nil || err == nil || err.Error() != "list http://h/list.txt?… is longer than 1.0 GiB; divide it" {
			t.Errorf("%v, %v", list, err)
		}
	}
}
