//go:build linux

package fs

import (
	"context"
	"strings"
	"syscall"
	"unicode"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// reasons is .dlfs/errors: a line "NAME<TAB>REASON" for each file whose last attempt
// failed: user.dlfs.error of every such file, without a request to an origin.
type reasons struct {
	fusefs.Inode
	fs *fileSystem
}

var _ = (fusefs.NodeGetattrer)((*reasons)(nil))

// Getattr says nothing of the length, which is known once the file is open.
func (r *reasons) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Nlink = syscall.S_IFREG|0o400, 1
	r.fs.stamp(&out.Attr, r.fs.mounted)
	return 0
}

var _ = (fusefs.NodeOpener)((*reasons)(nil))

// Open takes down what the reasons are now. They are read past the page cache, which would
// end them at a length of 0.
func (r *reasons) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return nil, 0, syscall.EROFS
	}
	var b strings.Builder
	for _, e := range r.fs.set.Failures() {
		b.WriteString(oneLine(e.Name) + "\t" + oneLine(e.Error) + "\n")
	}
	return &text{b.String()}, fuse.FOPEN_DIRECT_IO, 0
}

// oneLine replaces what would end a line, or what a terminal would obey.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// text is an open file of a text.
type text struct{ all string }

var _ = (fusefs.FileReader)((*text)(nil))

// Read returns a part of the text.
func (t *text) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if off >= int64(len(t.all)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(dest[:copy(dest, t.all[off:])]), 0
}
