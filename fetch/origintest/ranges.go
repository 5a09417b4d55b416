package origintest

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Faults that choose which bytes are sent.

// NoRanges ignores the Range header: 200 with the whole file, and no
// Accept-Ranges.
func NoRanges() *Fault {
	return newFault(stageExtent, (*plan).found, func(p *plan) {
		p.send200()
		p.set("Accept-Ranges", "")
	}, "NoRanges()")
}

// LyingAcceptRanges says Accept-Ranges: bytes, yet answers a ranged request
// with 200 and the whole file.
func LyingAcceptRanges() *Fault {
	return newFault(stageExtent, func(p *plan) bool {
		return p.found() && p.status != 200 // so 206 or 416
	}, (*plan).send200, "LyingAcceptRanges()")
}

// NoLength ignores the Range header and sends the whole file chunked, with no
// Content-Length and no Accept-Ranges.
func NoLength() *Fault {
	return newFault(stageExtent, (*plan).found, func(p *plan) {
		p.send200()
		p.set("Accept-Ranges", "")
		p.length = -1
	}, "NoLength()")
}

// ShortRange answers with the first n bytes of what was asked, n > 0. This is
// legal, and the header says so.
func ShortRange(n int64) *Fault {
	return newFault(stageExtent, func(p *plan) bool {
		return p.shows206() && p.n > n
	}, func(p *plan) {
		p.send206(extent{p.off, n})
	}, "ShortRange(%d)", n)
}

// ShiftRange answers with bytes that start delta after those asked, and says
// so. It does not apply if they would start outside the file; at its end they
// are fewer.
func ShiftRange(delta int64) *Fault {
	return newFault(stageExtent, func(p *plan) bool {
		return p.shows206() && p.off+delta >= 0 && p.off+delta < p.file.Size
	}, func(p *plan) {
		off := p.off + delta
		p.send206(extent{off, min(p.n, p.file.Size-off)})
	}, "ShiftRange(%d)", delta)
}

// WideRange answers with more than was asked, before bytes before it and after
// bytes after it or as many as there are, and says so.
func WideRange(before, after int64) *Fault {
	return newFault(stageExtent, (*plan).shows206, func(p *plan) {
		off := max(0, p.off-before)
		end := min(p.file.Size, p.off+p.n+after)
		p.send206(extent{off, end - off})
	}, "WideRange(%d, %d)", before, after)
}

// WholeAs206 answers a ranged request with the whole file as 206, and says so.
func WholeAs206() *Fault {
	return newFault(stageExtent, (*plan).shows206, func(p *plan) {
		p.send206(extent{0, p.file.Size})
	}, "WholeAs206()")
}

// RangeAs200 answers a ranged request with what was asked and the right
// Content-Range, but with status 200.
func RangeAs200() *Fault {
	return newFault(stageExtent, (*plan).shows206, func(p *plan) {
		p.status = 200
	}, "RangeAs200()")
}

const boundary = "origintest-boundary"

// Multipart answers a ranged request with multipart/byteranges that holds the
// one range asked. The body is made in memory.
func Multipart() *Fault {
	return newFault(stageExtent, (*plan).shows206, func(p *plan) {
		var b bytes.Buffer
		fmt.Fprintf(&b, "--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n",
			boundary, p.header.Get("Content-Type"), p.header.Get("Content-Range"))
		b.Write(p.bytes())
		fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
		p.set("Content-Range", "")
		p.set("Content-Type", "multipart/byteranges; boundary="+boundary)
		p.setBytes(b.Bytes())
	}, "Multipart()")
}

// CompleteLength puts another complete length in the Content-Range: a number,
// or "*" for unknown.
func CompleteLength(n string) *Fault {
	return newFault(stageHeader, (*plan).placed, func(p *plan) {
		e, _, _ := strings.Cut(p.header.Get("Content-Range"), "/")
		p.set("Content-Range", e+"/"+n)
	}, "CompleteLength(%q)", n)
}

// WrongContentRange puts this value in the Content-Range, or removes it if
// empty. The body stays.
func WrongContentRange(value string) *Fault {
	return newFault(stageHeader, (*plan).placed, func(p *plan) {
		p.set("Content-Range", value)
	}, "WrongContentRange(%q)", value)
}

// LongBody sends extra bytes after the body of a 200 or 206, chunked, with no
// Content-Length. The extra bytes are all 0xee and not those of the file.
func LongBody(extra int64) *Fault {
	return newFault(stageHeader, (*plan).shows, func(p *plan) {
		p.body = padded{p.body, p.off + p.n, 0xee}
		p.n += extra
		p.length = -1
	}, "LongBody(%d)", extra)
}

// bytes returns the body as it would be sent.
func (p *plan) bytes() []byte {
	b, err := io.ReadAll(io.NewSectionReader(p.body, p.off, p.n))
	if err != nil {
		panic("origintest: reading a body: " + err.Error())
	}
	return b
}

func (p *plan) setBytes(b []byte) {
	p.setBody(bytes.NewReader(b), extent{0, int64(len(b))})
}

// HeadLength makes HEAD say this Content-Length, -1 for none.
func HeadLength(n int64) *Fault {
	return newFault(stageHeader, func(p *plan) bool {
		return p.isHead() && p.shows()
	}, func(p *plan) {
		p.length = n
	}, "HeadLength(%s)", strconv.FormatInt(n, 10))
}
