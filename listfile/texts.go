package listfile

import (
	"io"
	"io/fs"
	"os"
	"strings"
)

// texts keeps the names and URLs of entries in blocks, because a string of its own for
// each of a million entries costs the allocator and the garbage collector more than its
// bytes. A block stays in memory as long as one of its entries does.
type texts struct {
	block strings.Builder
	size  int // of the block
}

// firstBlock and mostBlock are the sizes of the first block and of the largest ones, in
// bytes. Each block is twice the one before, so that a short list needs little.
const (
	firstBlock = 1 << 10
	mostBlock  = 64 << 10
)

// keep moves the name and the URL of an entry into the block. A name that the URL's
// path ends in is kept once.
func (t *texts) keep(e *Entry) {
	if e.Details != nil && (len(e.Details.Mirrors) > 0 || len(e.Details.Header) > 0) {
		return // these keep the line alive, so that a copy of a part of it spares nothing
	}
	before, _, _ := strings.Cut(e.URL, "?")
	shared := strings.HasSuffix(before, e.Name)
	n := len(e.URL)
	if !shared {
		n += len(e.Name)
	}
	if t.block.Cap()-t.block.Len() < n {
		t.size = max(firstBlock, min(2*t.size, mostBlock))
		t.block = strings.Builder{}
		t.block.Grow(max(t.size, n))
	}
	start := t.block.Len()
	t.block.WriteString(e.URL)
	if !shared {
		t.block.WriteString(e.Name)
	}
	text := t.block.String()[start:]
	end := len(text)
	if shared {
		end = len(before)
	}
	e.URL, e.Name = text[:len(e.URL)], text[end-len(e.Name):end]
}

// progress is how far a list of lines has been read, to tell how many entries it may have.
type progress struct {
	total int64 // bytes of the list; 0 if that is not known
	read  int64 // bytes so far
}

// lengthOf returns how many bytes a reader has, 0 if it does not tell.
func lengthOf(r io.Reader) int64 {
	switch r := r.(type) {
	case *os.File:
		if info, err := r.Stat(); err == nil && info.Mode()&fs.ModeType == 0 {
			return info.Size()
		}
	case interface{ Len() int }:
		return int64(r.Len())
	}
	return 0
}

// grow makes room for entries, where there is none for one more: as many as the rest of the
// list will have if it goes on like this, but at most four times as many as there are.
func (p progress) grow(entries []Entry) []Entry {
	n := int64(len(entries))
	if len(entries) < cap(entries) || n < 1000 || p.read == 0 || p.total <= p.read {
		return entries
	}
	more := float64(n) * float64(p.total-p.read) / float64(p.read)
	room := int(n) + int(min(more*1.01, 3*float64(n))) + 100 // slices.Grow would round that up by a quarter
	return append(make([]Entry, 0, room), entries...)
}
