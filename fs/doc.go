// Package fs shows the files of a fetch.Set as a read-only FUSE filesystem. It
// adapts, and decides no more than which files of a directory are likely to be opened
// next (walk.go): what is there is package listfile's, how bytes come is package fetch's.
//
// # What the kernel is told
//
// Names come from memory, so listing a directory costs no request, and the sizes
// that are known come along with them; when the list is replaced, the kernel is
// told which are gone. The first stat of a file whose size is not known waits for
// that file's own probe. If the probe fails, the file has attributes nevertheless, of a size
// that is made up (unreached.go), and its open fails. Attributes are then kept by
// the kernel for a second while the file is incomplete, and for an hour after;
// data is kept for as long as there is room, since the content of an inode never
// changes: another version of a file is another inode.
//
// A file of unknown length is shown as long as it is so far, in whole
// pages, and nothing of it is kept: reads come here, and at its end so far they
// wait for more. When it has come to its end, the name means another inode. Until
// then it cannot be mapped shared (ENODEV); what the kernel reads through its page
// cache nevertheless, for a private mapping, sendfile(2) and splice(2), ends where
// the size was when it was last asked for.
//
// # How reads end
//
// A read returns the origin's bytes, or an error: EIO when the origin cannot be
// had within the read timeout, ESTALE when the file changed on its origin,
// EACCES and ENOENT when the origin said so, EINTR when the reader got a signal
// that is to stop it. The reason is in the log and in user.dlfs.error.
//
// How long a call waits for the network is decided in three places. Every call ends after the
// read timeout, or when its caller has a signal that is to stop it (patient, interrupt.go). A
// read whose first page is present while others stay out for a second fails, so that the kernel
// asks for the page that the program reads alone (pageByPage, node.go). A lookup that stood in
// line behind one that has timed out does not wait for as long again (justGaveUp, tree.go).
//
// # Deadlocks
//
// The process never touches the mount it serves: it works through descriptors
// opened before. Tests that read through a mount do so from another process.
package fs
