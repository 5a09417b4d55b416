// Package lockorder is the lock order of the program: a rank for each kind of
// mutex that may be held together with another, outermost first. Package cache's
// comment tells it as prose.
//
// A Mutex of a rank is a sync.Mutex and nothing more, unless the program is built
// with the tag lockcheck:
//
//	go test -tags lockcheck ./cache/... ./fetch
//
// Then a goroutine that locks a mutex while it holds one of the same rank or of
// an inner one panics, and says where it locked both. An order is kept on every
// run or on none, so a test finds a violation without having to find a deadlock.
package lockorder

// The ranks, outermost first. No two of one kind are held together.
type (
	Reload  struct{} // fetch.Set.reloading
	Handle  struct{} // fetch.Handle.mu
	File    struct{} // fetch.File.mu
	Appends struct{} // cache.Stream.appends
	Writes  struct{} // cache.Blob.writes
	Copy    struct{} // cache.Stream.mu or cache.Blob.mu
	Store   struct{} // cache.Store.mu
	Leaf    struct{} // fetch.Set.mu, its budget's, its hosts': nothing is locked under them
)

// Rank is one of the above.
type Rank interface{ level() int }

func (Reload) level() int  { return 0 }
func (Handle) level() int  { return 1 }
func (File) level() int    { return 2 }
func (Appends) level() int { return 3 }
func (Writes) level() int  { return 4 }
func (Copy) level() int    { return 5 }
func (Store) level() int   { return 6 }
func (Leaf) level() int    { return 7 }
