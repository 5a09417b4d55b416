//go:build linux

package fs

import (
	"context"
	"strconv"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
)

// The extended attributes of a file tell what status does, from memory. Those
// that are empty are left out.
const (
	xattrState        = "user.dlfs.state"        // as in fetch.EntryStatus
	xattrPresent      = "user.dlfs.present"      // bytes materialized
	xattrURL          = "user.dlfs.url"          // the first one, without credentials and query
	xattrETag         = "user.dlfs.etag"         // the pinned strong entity tag
	xattrLastModified = "user.dlfs.lastmodified" // of the pinned version, as the origin wrote it
	xattrDigest       = "user.dlfs.digest"       // algorithm:hex that the bytes must have
	xattrPinned       = "user.dlfs.pinned"       // "1" if --max-size never has it go
	xattrError        = "user.dlfs.error"        // of the last attempt, or of the last read
)

// xattrs returns the extended attributes that have a value, by name. It does not ask the
// origin.
func (n *node) xattrs() map[string]string {
	n.file.Blob() // which has the validators, where the file is at rest
	s, local := n.file.Status(), n.now()
	v := local.Version()
	all := map[string]string{
		xattrState:        s.State,
		xattrPresent:      strconv.FormatInt(local.Present(), 10),
		xattrURL:          n.file.URL(),
		xattrETag:         v.ETag,
		xattrLastModified: v.LastModified,
		xattrDigest:       n.file.Digest().String(),
		xattrError:        s.Error,
	}
	if n.file.Pinned() {
		all[xattrPinned] = "1"
	}
	if why := n.fs.failures.of(n.file); why != "" && s.Error == "" && s.State != "complete" {
		all[xattrError] = why // such as the read timeout, while attempts go on
	}
	for k, v := range all {
		if v == "" {
			delete(all, k)
		}
	}
	return all
}

var _ = (fusefs.NodeGetxattrer)((*node)(nil))

// Getxattr returns one attribute. There are none but the user's: that no label
// and no access list is supported, ls asks once, and not of each file again.
func (n *node) Getxattr(_ context.Context, attr string, dest []byte) (uint32, syscall.Errno) {
	if !strings.HasPrefix(attr, "user.") {
		return 0, syscall.EOPNOTSUPP
	}
	v, ok := n.xattrs()[attr]
	if !ok {
		return 0, fusefs.ENOATTR
	}
	return give(v, dest)
}

var _ = (fusefs.NodeListxattrer)((*node)(nil))

// Listxattr returns the names.
func (n *node) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	var names strings.Builder
	for k := range n.xattrs() {
		names.WriteString(k + "\x00")
	}
	return give(names.String(), dest)
}

// give answers with v, or with its length if dest has no room at all
// (getxattr(2)).
func give(v string, dest []byte) (uint32, syscall.Errno) {
	if len(dest) == 0 {
		return uint32(len(v)), 0
	}
	if len(dest) < len(v) {
		return 0, syscall.ERANGE
	}
	return uint32(copy(dest, v)), 0
}
