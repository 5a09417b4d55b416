package origintest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Faults that change what the header says of the body.

// RotateETag gives each answer the next of these entity tags, over and over.
// Without any it gives each answer a strong one of its own.
func RotateETag(tags ...string) *Fault {
	var n atomic.Uint64
	return newFault(stageHeader, (*plan).shows, func(p *plan) {
		i := n.Add(1) - 1
		tag := fmt.Sprintf("rotated-%d", i)
		if len(tags) > 0 {
			tag = tags[i%uint64(len(tags))]
		}
		p.set("ETag", headerETag(tag, 0))
	}, "RotateETag(%s)", strings.Join(tags, ", "))
}

// RotateLastModified gives each answer the next of these dates, over and over.
// Without any it gives each answer one of its own, a second after the one
// before.
func RotateLastModified(dates ...time.Time) *Fault {
	var n atomic.Uint64
	return newFault(stageHeader, (*plan).shows, func(p *plan) {
		i := n.Add(1) - 1
		date := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Second)
		if len(dates) > 0 {
			date = dates[i%uint64(len(dates))]
		}
		p.set("Last-Modified", date.UTC().Format(http.TimeFormat))
	}, "RotateLastModified(%v)", dates)
}

// LastModifiedNow dates each answer by when it is sent, plus ahead.
func LastModifiedNow(ahead time.Duration) *Fault {
	return newFault(stageHeader, (*plan).shows, func(p *plan) {
		p.set("Last-Modified", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
	}, "LastModifiedNow(%v)", ahead)
}

// WeakETag makes a strong entity tag weak.
func WeakETag() *Fault {
	return newFault(stageHeader, func(p *plan) bool {
		return p.shows() && strings.HasPrefix(p.header.Get("ETag"), `"`)
	}, func(p *plan) {
		p.set("ETag", "W/"+p.header.Get("ETag"))
	}, "WeakETag()")
}

// Header sets a field of any answer, or removes it if value is empty.
// Content-Length is not such a field.
func Header(key, value string) *Fault {
	return newFault(stageHeader, (*plan).anything, func(p *plan) {
		p.set(key, value)
	}, "Header(%q, %q)", key, value)
}

// Gzip sends the body compressed with Content-Encoding: gzip, whatever the
// request accepts. Content-Range stays. The body is made in memory.
func Gzip() *Fault {
	return newFault(stageHeader, (*plan).shows, func(p *plan) {
		p.set("Content-Encoding", "gzip")
		if p.isHead() {
			p.length = -1
			return
		}
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(p.bytes()) // a bytes.Buffer takes everything
		z.Close()
		p.setBytes(b.Bytes())
	}, "Gzip()")
}
