// Package fetch materializes files: it brings blocks from their origin into their blob, first
// those that readers ask for, then the others.
//
// A Set is the files of one list. A File is one entry: a name, and the version of it that
// is being filled. There are three ways to want bytes, and they differ in nothing but
// priority:
//
//  1. a reader waits for an extent (Handle.ReadAt),
//  2. a reader will want it soon: the next extent (its read-ahead), or the next small
//     file of a directory (File.Foresee),
//  3. prefetch wants the rest (Run).
//
// Each asks the fill, which is the version, for an extent to be made present, and the fill
// joins the flight that will bring it soon or launches one. A flight is one ranged request
// that streams into the blob; each block is readable the moment it is on disk, not when
// the request ends. Every block crosses the wire once, however many want it.
//
// A file is at first only a name. First contact (see contact) asks the origin for its
// version; from then on the file has a fill, or, where the origin does not say how long
// the file is, a growth. When all blocks are present their digest is compared, where one
// is known, and the store is asked to publish the file. Every event goes through
// File.change, which does the next of these steps.
//
// A file is at rest if its version is known and no block of it is present: instead of its
// fill it has an outline, the size and little more, until a reader opens it or prefetch comes
// to it (see loadLocked). So a list of a million files costs a few hundred bytes a file.
//
// # Scheduling
//
// Run is one goroutine, the prefetcher, which looks again whenever something changed. It
// keeps files in four places:
//
//   - front: files that a reader has opened, or that have something to fetch again. They
//     come first, and are beside the jobs;
//   - active: up to Options.Jobs files of the list, taken in the list's order, but so that
//     no host has more than its share while other hosts have files (see queue);
//   - later: files that failed, until the time of their next attempt;
//   - the queue: files of the list whose turn has not come.
//
// In each round it goes over the files of front and active as often as a file may have
// flights (Options.Split), and gives every file one flight more, so that each has one
// before any has two. A file that has nothing left to launch gets the far half of its
// longest flight instead (steal), so that the last flight of a file does not run alone; but
// not where that costs more traffic than it gains time (mayCut).
//
// Four brakes stand between a want and the wire, in this order:
//
//  1. places: each host has Options.MaxPerHost places for flights of readers, of
//     read-ahead and of prefetch each (package hosts), so that a reader never waits for
//     prefetch;
//  2. pace: while readers are about, prefetch leaves a part of what the host sends (package
//     hosts);
//  3. the gate: requests to a host that has refused some go out no more at once than it
//     took (package origin);
//  4. the limit that the user has set on bytes a second, for all hosts together (package
//     origin).
//
// # Full and bounded disks
//
// While the disk is full, prefetch pauses and looks for room every few seconds (full_disk.go).
// Flights that readers wait for go on: the blocks that find no room are kept in memory
// (cache.Blob.Shelve), the oldest give way to newer ones, and all go to disk when there is room.
//
// Where the store has a bound, a flight reserves room on disk before its request (room.go). A
// goroutine, the keeper, evicts what readers need least, in the order of package evict, and
// flights wait for it. What has been evicted is missing, and is fetched again when a reader asks
// for it.
//
// # Other machines
//
// In a set with Options.Peers each extent of a file has one owner among the machines, which asks
// the origin for it; the others ask the owner. Package peers decides which machine that is, and
// which one is asked if it does not answer; package peerhttp has the requests and answers. To a flight
// the other machines are one mirror more (fill.source). It asks one after the other until one
// sends the bytes (peerwalk.go), streams them into the blob under a shorter patience than an
// origin gets (peerflight.go), and notes for the extent what it met (peerextents.go): a busy owner
// puts it off, and where no machine is of use the origin is asked. First contact asks the machines
// for the version of a file, too (peercontact.go). What this machine has, and what its flights
// bring, it serves to the others (serve.go, follower.go).
//
// The package knows nothing of FUSE. What HTTP means is package origin's, what
// is on disk is package cache's.
package fetch
