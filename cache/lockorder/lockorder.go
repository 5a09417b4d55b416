// Package lockorder is the lock order of the program: a rank for each kind of
// mutex that may be held together with another, outermost first. It is the one place
// where the order is told.
//
// A Mutex of a rank is a sync.Mutex and nothing more, unless the program is built
// with the tag lockcheck:
//
//	go test -tags lockcheck ./...
//
// Then a goroutine that locks a mutex while it holds one of the same rank or of
// an inner one panics, and says where it locked both. An order is kept on every
// run or on none, so a test finds a violation without having to find a deadlock.
//
// No lock is held while waiting for the network, and a read of present bytes through an
// open handle takes none but, when read-ahead moves on, those of the handle and the file.
// Renewal is held while a command of the user runs; only the next such command waits
// for it. Some locks are held while waiting for the disk:
//
//   - Engine and Refresh, over a reload, which also gives the kernel a second to hear of it;
//   - File, over the first look at what the store has of the file: the index is read, a
//     file that stands in the output directory is looked at, and adopting one forces its
//     directory to disk;
//   - Evict, over an eviction, which waits for the syncer;
//   - Appends, over each write to a stream;
//   - Writes, over each write to a blob, while a Redo waits for the syncer;
//   - Writer and Use, while the database works, and up to ten seconds while it closes;
//   - Copy, over opening and creating the file of a blob, nothing slower;
//   - Ballast, over making and removing the ballast.
package lockorder

// The ranks, outermost first. No two of one kind are held together.
type (
	Renewal  struct{} // of cmd/dlfs: a command gives a fresh list
	Engine   struct{} // the reloading of cmd/dlfs
	Refresh  struct{} // the refreshing of fs
	Reload   struct{} // fetch.Set.reloading
	Release  struct{} // the releasing of fs
	Node     struct{} // of a node of fs
	Handle   struct{} // fetch.Handle.mu
	File     struct{} // fetch.File.mu
	Room     struct{} // of fetch: what goes when disk is short
	Evict    struct{} // cache.Store.evicting
	Appends  struct{} // cache.Stream.appends
	Writes   struct{} // cache.Blob.writes
	Writer   struct{} // the writer of the index
	Copy     struct{} // cache.Stream.mu or cache.Blob.mu
	Store    struct{} // cache.Store.mu
	Use      struct{} // the use of the index
	Ballast  struct{} // cache.Store.ballast
	Resource struct{} // origin.Resource.mu
	Pin      struct{} // of a version that is pinned
	Leaf     struct{} // all others: nothing is locked under them
)

// Rank is one of the above.
type Rank interface{ level() int }

func (Renewal) level() int  { return -1 }
func (Engine) level() int   { return 0 }
func (Refresh) level() int  { return 1 }
func (Reload) level() int   { return 2 }
func (Release) level() int  { return 3 }
func (Node) level() int     { return 4 }
func (Handle) level() int   { return 5 }
func (File) level() int     { return 6 }
func (Room) level() int     { return 7 }
func (Evict) level() int    { return 8 }
func (Appends) level() int  { return 9 }
func (Writes) level() int   { return 10 }
func (Writer) level() int   { return 11 }
func (Copy) level() int     { return 12 }
func (Store) level() int    { return 13 }
func (Use) level() int      { return 14 }
func (Ballast) level() int  { return 15 }
func (Resource) level() int { return 16 }
func (Pin) level() int      { return 17 }
func (Leaf) level() int     { return 18 }
