package listfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

const (
	// maxLine bounds a line without its ending, in bytes. Signed URLs are a few
	// KiB at most; a MiB leaves no honest list out and costs nothing.
	maxLine = 1 << 20

	// readSize is what is asked of the reader at once.
	readSize = 64 << 10
)

// byteOrderMark is U+FEFF in UTF-8, as some editors begin a file.
var byteOrderMark = []byte("\ufeff")

// lineReader cuts a reader into lines. Unlike bufio.Scanner it carries on after
// a line that is too long, having skipped the rest of it.
type lineReader struct {
	r *bufio.Reader

	// Valid after next returned true, until its next call.
	text    []byte // without LF or CRLF; meaningless if tooLong
	number  int    // 1-based
	tooLong bool
	read    int64 // bytes so far, with the line

	// Valid after next returned false; nil at the end of the input. The line
	// being read when the reader failed is number+1.
	err error
}

// newLineReader returns a lineReader that has read nothing yet.
func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, readSize)}
}

// next moves to the next line. It returns false at the end of the input and when the
// reader fails; a line cut short by a failure is not returned, as its URL may be cut. A
// last line without LF is a line. Of a line that is too long only the length is known.
func (l *lineReader) next() bool {
	l.skipEmpty()
	l.text = l.text[:0]
	size := 0
	for {
		p, err := l.r.ReadSlice('\n')
		size += len(p)
		if size <= maxLine+len("\r\n") {
			l.text = append(l.text, p...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			l.err = err
			return false
		}
		break // at a newline, or at the end of the input
	}
	if size == 0 {
		return false
	}
	l.number++
	l.read += int64(size)
	l.text = bytes.TrimSuffix(l.text, []byte("\n"))
	l.text = bytes.TrimSuffix(l.text, []byte("\r"))
	l.tooLong = size > maxLine+len("\r\n") || len(l.text) > maxLine
	return true
}

// skipEmpty counts the empty lines of a run but the last one, without a look at each: a list
// may be of hundreds of millions.
func (l *lineReader) skipEmpty() {
	buffered, _ := l.r.Peek(l.r.Buffered()) // never fails
	n := len(buffered) - len(bytes.TrimLeft(buffered, "\n"))
	if n > 1 {
		l.r.Discard(n - 1) // never fails
		l.number += n - 1
		l.read += int64(n - 1)
	}
}

// isCROnly reports whether the lines of a list end in CR alone, as programs of old Macs
// write them: there is no LF in the start, and at least two texts between CRs have a
// URL or the words of a header.
func isCROnly(start []byte) bool {
	if bytes.IndexByte(start, '\n') >= 0 {
		return false
	}
	n := 0
	for text := range bytes.SplitSeq(start, []byte("\r")) {
		if urlStart(string(text)) >= 0 || isHeader(string(text)) {
			n++
		}
	}
	return n > 1
}

// crReader reads CR as LF.
type crReader struct{ r io.Reader }

// Read reads from the reader below and turns each carriage return into a line feed.
func (c *crReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for i, b := range p[:n] {
		if b == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}
