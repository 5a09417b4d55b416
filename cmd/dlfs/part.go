package main

import (
	"fmt"
	"strings"
)

// part is a part of a file, as a user names it: "0-1M" is the first MiB, "5M-" all from
// there on, and "-1M" the last MiB. The zero value is the whole.
type part struct {
	from, to int64 // to is not in it
	open     bool  // the part goes to the end of the file
	tail     bool  // the part is the last bytes of the file, as many as to says
	set      bool
}

// UnmarshalText reads a part.
func (p *part) UnmarshalText(text []byte) (err error) {
	from, to, ok := strings.Cut(string(text), "-")
	*p = part{open: to == "", tail: from == "", set: true}
	if from != "" {
		p.from, err = parseBytes(from, 1)
	}
	if to != "" && err == nil {
		p.to, err = parseBytes(to, 1)
	}
	if err != nil || !ok || p.open && p.tail || !p.open && p.to <= p.from {
		return fmt.Errorf("%q is no range; write one such as 0-1M, 5M- or -1M", printable(string(text)))
	}
	return nil
}

// String is what UnmarshalText reads, "" for the whole.
func (p part) String() string {
	switch {
	case !p.set:
		return ""
	case p.tail:
		return fmt.Sprintf("-%d", p.to)
	case p.open:
		return fmt.Sprintf("%d-", p.from)
	}
	return fmt.Sprintf("%d-%d", p.from, p.to)
}

// of is the part of a file of size bytes: n bytes at off, none if it lies behind the end.
func (p part) of(size int64) (off, n int64) {
	switch {
	case !p.set:
		return 0, size
	case p.tail:
		off = max(0, size-p.to)
		return off, size - off
	case p.open:
		off = min(p.from, size)
		return off, size - off
	}
	off = min(p.from, size)
	return off, min(p.to, size) - off
}
