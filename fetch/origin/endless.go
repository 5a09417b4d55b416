package origin

import (
	"errors"
	"fmt"
	"io"
)

// An answer without a length ends where its stream does. If that is by the
// closing of the connection (RFC 9112 section 6.3), an early end cannot be
// told; where the size is known it can.

// resumes decides whether an answer is of the same version as a body of unknown length that
// was read in part. Validators must prove it, since there is no size to compare.
func (b *Body) resumes(now Version) error {
	was := b.version
	switch {
	case now.Size != UnknownSize && now.Size < b.off:
	case was.ETag != "" && now.ETag != "":
		if was.ETag == now.ETag {
			return nil
		}
	case was.LastModified != "" && was.LastModified == now.LastModified:
		return nil
	case b.off == 0 && was.ETag+was.LastModified+now.ETag+now.LastModified == "":
		return nil
	}
	return errRestart()
}

// errRestart returns the error of a body of unknown length that broke off. What is lost
// of such a body cannot be asked for alone.
func errRestart() error {
	return &Error{Kind: Restart, Err: errors.New("body of unknown length broke off; it must be read from its start")}
}

// atEnd makes sense of a Read of an answer without a length: of n bytes, and
// err. io.EOF with what it returns says that the body is at its end.
func (b *Body) atEnd(n int, err error) (int, error) {
	switch {
	case b.version.Size == UnknownSize:
		if err != io.EOF {
			return n, err
		}
		b.off += int64(n)
		b.end = b.off
		b.cut = b.cur.cut() || b.closes && b.off == 0
		b.Close()
		return n, io.EOF
	case b.off+int64(n) < b.version.Size:
		if err == io.EOF {
			err = b.endedEarly(b.off + int64(n))
		}
		return n, err // which counts if it comes again with no bytes
	case err == nil: // the last byte is one only if nothing follows
		var more [1]byte
		var m int
		if m, err = b.cur.Read(more[:]); m > 0 {
			return 0, b.lasting("is longer than its", b.version.Size, UnknownSize)
		}
	}
	if err != io.EOF {
		return 0, err // and read again
	}
	return n, nil
}

// endedEarly is the error of an answer that came to a clean end after n bytes.
func (b *Body) endedEarly(n int64) error {
	if b.version.Size == UnknownSize {
		return errRestart()
	}
	return b.lasting("ended early, not after", b.version.Size, n)
}

// lasting is the error of an answer whose length is not the file's. A few times
// that may be an accident; then the file has changed.
func (b *Body) lasting(what string, size, now int64) error {
	is := b.version
	is.Size = now
	return &Error{Err: fmt.Errorf("file changed on the origin: it %s %d bytes", what, size),
		Now: is, retry: retry{most: fewRetries, lasting: Changed}}
}
