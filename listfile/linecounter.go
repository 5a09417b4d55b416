package listfile

import (
	"io"
)

// lineCounter tells in which line a byte offset is, for offsets that grow. It stands
// between the list and a decoder that reads ahead, and keeps the offsets of the
// newlines between the two.
type lineCounter struct {
	r        io.Reader
	read     int64
	newlines []int64 // offsets after those passed
	passed   int
}

// Read notes the offset of each end of line that passes, from which the line of an object is
// found.
func (c *lineCounter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			c.newlines = append(c.newlines, c.read+int64(i))
		}
	}
	c.read += int64(n)
	return n, err
}

// at returns the 1-based line of an offset not before the last one asked for.
func (c *lineCounter) at(offset int64) int {
	n := 0
	for n < len(c.newlines) && c.newlines[n] < offset {
		n++
	}
	c.newlines = c.newlines[n:]
	c.passed += n
	return c.passed + 1
}
