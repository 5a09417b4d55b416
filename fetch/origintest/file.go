package origintest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// File is one file as the origin shows it now. Only Content or Body is needed.
type File struct {
	// Content is the bytes, unless Body is set.
	Content Content

	// Body, if set, is the bytes in place of Content, and Size their number.
	// It is read concurrently.
	Body io.ReaderAt
	Size int64

	// ETag is the entity tag; quotes are added where missing and `W/"x"` is
	// left alone. Empty means a strong one derived from the bytes, "-" none.
	ETag string

	// ModTime is sent as Last-Modified. Zero means a time derived from the
	// bytes, the Unix epoch none.
	ModTime time.Time

	// ContentType is application/octet-stream if empty.
	ContentType string

	// IfRange makes the origin honour If-Range: a ranged request whose
	// validator is not that of the file is answered 200 with the whole file.
	// Unset, If-Range is ignored.
	IfRange bool
}

// Text returns a File of these literal bytes.
func Text(s string) File {
	return File{Body: strings.NewReader(s), Size: int64(len(s))}
}

// withDefaults returns f with each field as it will be shown: Body and Size
// set, ETag empty for none, ModTime zero for none.
func (f File) withDefaults() *File {
	digest := f.digest()
	if f.Body == nil {
		f.Body, f.Size = f.Content, f.Content.Size
	}
	f.ETag = headerETag(f.ETag, digest)
	switch {
	case f.ModTime.IsZero():
		newYear := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
		f.ModTime = newYear.Add(time.Duration(digest%(365*24*3600)) * time.Second)
	case f.ModTime.Equal(time.Unix(0, 0)):
		f.ModTime = time.Time{}
	}
	if f.ContentType == "" {
		f.ContentType = "application/octet-stream"
	}
	return &f
}

// digest is equal for equal bytes; of a literal Body, it depends on each byte.
func (f File) digest() uint64 {
	if f.Body == nil {
		return mix(mix(f.Content.Seed+golden) + uint64(f.Content.Size))
	}
	var d uint64
	buf := make([]byte, 4096)
	for off := int64(0); off < f.Size; off += int64(len(buf)) {
		n, _ := f.Body.ReadAt(buf[:min(int64(len(buf)), f.Size-off)], off)
		for _, b := range buf[:n] {
			d = mix(d + golden + uint64(b))
		}
	}
	return mix(d + uint64(f.Size))
}

func headerETag(tag string, digest uint64) string {
	switch {
	case tag == "":
		return fmt.Sprintf(`"%016x"`, digest)
	case tag == "-":
		return ""
	case strings.HasPrefix(tag, `"`), strings.HasPrefix(tag, `W/"`):
		return tag
	}
	return `"` + tag + `"`
}

// lastModified returns the header value, empty for none.
func (f *File) lastModified() string {
	if f.ModTime.IsZero() {
		return ""
	}
	return f.ModTime.UTC().Format(http.TimeFormat)
}

// matches reports whether an If-Range value names this version: by strong
// comparison of entity tags, or by the exact date.
func (f *File) matches(ifRange string) bool {
	if strings.HasPrefix(ifRange, `"`) {
		return ifRange == f.ETag
	}
	return ifRange != "" && ifRange == f.lastModified()
}
