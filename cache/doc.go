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
// A Blob is the local copy of one version of one origin file. Blocks are put
// into it in any order and are readable at once; one syncer goroutine makes
// them durable about once a second, bytes first and bits after, so that after a
// crash a bit that is on always has its bytes. A complete blob is published:
// renamed into place, or exchanged with the wrong file that it replaces. A new version is a new blob with a new random generation,
// so an old bitmap can never describe new bytes; so is what Redo makes of a blob
// with bad ones. Bits of one generation only ever turn on, but for those of blocks that
// Evict takes out of a store whose size is bounded. A file of
// unknown size is a Stream until it has ended, and then a blob.
//
// The package knows nothing of networks. It reaches everything through
// descriptors of DIR opened at the start, so it goes on working when something
// is mounted over DIR, and no symbolic link leads it outside.
//
// The lock order of the program, and what is waited for under which lock, is told by
// package lockorder.
package cache
