package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// What the Go runtime needs. It ends the process, with pages of text, when it gets
// less. Both were found by trying: with less, a fetch of a dozen files fails now
// and then.
const (
	leastAddressSpace = 1900 << 20 // bytes, most of them reserved and never used
	leastThreads      = 12
)

// checkLimits raises the soft limits of this process that would end it to the hard
// ones, and says which one is too low. A file that would be longer than the limit
// of files is then an error of its write (EFBIG) and not a signal.
func checkLimits() error {
	signal.Ignore(syscall.SIGXFSZ)
	raise(unix.RLIMIT_FSIZE)
	if most := raise(unix.RLIMIT_AS); most < leastAddressSpace {
		return fmt.Errorf("the address space is limited to %s (ulimit -v), and dlfs needs %s; raise the limit",
			bytesText(int64(most)), bytesText(leastAddressSpace))
	}
	if os.Geteuid() == 0 {
		return nil // the limit of processes is for others
	}
	most := raise(unix.RLIMIT_NPROC)
	if others := otherThreads(); most < others+leastThreads {
		return fmt.Errorf("this user may have %d processes and threads (ulimit -u) and has %d, and dlfs needs %d; raise the limit or end some",
			most, others, leastThreads)
	}
	return nil
}

// raise sets a soft limit to the hard one, and returns what holds then. A limit
// that cannot be read is taken for none.
func raise(resource int) uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(resource, &l) != nil {
		return unix.RLIM_INFINITY
	}
	if l.Cur < l.Max {
		up := unix.Rlimit{Cur: l.Max, Max: l.Max}
		if unix.Setrlimit(resource, &up) == nil {
			return uint64(up.Cur)
		}
	}
	return uint64(l.Cur)
}

// otherThreads counts the threads of this user in other processes, 0 where /proc
// does not tell.
func otherThreads() uint64 {
	uid, self, n := strconv.Itoa(os.Getuid()), strconv.Itoa(os.Getpid()), uint64(0)
	paths, _ := filepath.Glob("/proc/[0-9]*/status") // the pattern is right
	for _, path := range paths {
		if filepath.Base(filepath.Dir(path)) == self {
			continue
		}
		status, err := os.ReadFile(path)
		if err != nil {
			continue // the process has ended, or is hidden
		}
		mine, threads := false, uint64(0)
		for line := range strings.Lines(string(status)) {
			fields := strings.Fields(line)
			switch {
			case len(fields) > 1 && fields[0] == "Uid:":
				mine = fields[1] == uid
			case len(fields) > 1 && fields[0] == "Threads:":
				threads, _ = strconv.ParseUint(fields[1], 10, 64) // the kernel writes a number
			}
		}
		if mine {
			n += threads
		}
	}
	return n
}
