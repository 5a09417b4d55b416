// Package cache keeps what was fetched.
//
// A Store is one output directory, DIR. Finished files stand there under their
// names and nothing else does, apart from DIR/.dlfs:
//
//	DIR/name           appears by rename when it is complete, durable and synced
//	DIR/.dlfs/blobs/   unfinished files, sparse, named by generation
//	DIR/.dlfs/db/      the index: versions and block bitmaps, in badger
//	DIR/.dlfs/writes   how many writes the index has had
//	DIR/.dlfs/evicted  is there once blocks were evicted
//	DIR/.dlfs/lock     held while a Store is open
//
// All but the files and the unfinished files may be in a directory of their own, so
// that DIR may be on a filesystem of several machines, see Options.State.
//
// A Blob is the local copy of one version of one origin file. Blocks are put into it in
// any order and are readable at once. A new version is a new blob with a new random
// generation, so an old bitmap never describes new bytes; so is what Redo makes of a blob
// with bad bytes. A file of unknown size is a Stream until it has ended, and then a blob.
//
// # What is made durable, and in which order
//
// The index is never ahead of the bytes: a crash at any moment may lose blocks, which are
// fetched again, and never shows a byte that was not fetched. Four orders promise that.
// Each step is durable before the next begins.
//
//  1. Blocks (sync.go): the bytes, by fdatasync; then their bits, in one batch of the index.
//     One goroutine, the syncer, does this about once a second.
//  2. A complete file (publish.go): its bytes and its modification time, by fsync; then its
//     bits, by the order above, which a small new file does without (claim.go); then the
//     rename to its name, or the exchange with the wrong file that it replaces (replace.go);
//     then the directory; then the record that says so.
//  3. Evicted blocks (evict.go): the bits go off in the index; then the holes are punched.
//  4. A finished file that goes (withdraw.go): the record becomes that of a new generation
//     without blocks; then the name goes; then blocks of the new generation may come.
//
// So bits of a generation turn on only after their bytes are durable, and turn off only when
// Evict takes blocks out of a store whose size is bounded, before the bytes go.
//
// # Where it reaches
//
// The package knows nothing of networks. It reaches everything through
// descriptors of DIR opened at the start, so it goes on working when something
// is mounted over DIR, and no symbolic link leads it outside.
//
// The lock order of the program, and what is waited for under which lock, is told by
// package lockorder.
package cache
