package main

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// fileShares says what the limit of open files is shared out to. The runtime has
// raised the soft limit to the hard one when the process began, and gives the
// programs it starts the old one.
type fileShares struct {
	requests int // open at once, of all hosts; and of idle connections fewer
	unsynced int // files that wait to be made durable
	readers  int // files that readers hold open
}

// ownFiles is how many the process needs besides: for the state, the mount,
// directories it looks at and the control socket.
const ownFiles = 42

// shareFiles shares out the limit of this process.
func shareFiles() fileShares { return fileSharesOf(mostFiles()) }

// mostFiles returns how many files this process may have open.
func mostFiles() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024 // the usual one
	}
	return uint64(limit.Cur)
}

// checkFiles refuses a limit with which a mount or a fetch would wait for files for ever.
func checkFiles() error {
	if most := mostFiles(); most < ownFiles {
		return fmt.Errorf("a process may have %d files open here (ulimit -n), and dlfs needs %d; raise the limit", most, ownFiles)
	}
	return nil
}

// fileSharesOf shares out a limit. Where it is too low for all, each gets what it
// cannot do without.
func fileSharesOf(limit uint64) fileShares {
	n := int(min(limit, math.MaxInt32)) - ownFiles
	return fileShares{
		requests: min(max(n/4, 2), 4096),
		unsynced: min(max(n/3, 2), 1024),
		readers:  max(n/4, 2),
	}
}
