package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// memoryFloor is what the process may take besides its lists before the garbage
// collector goes about it in earnest.
const memoryFloor = 128 << 20

// limitMemory has the garbage collector keep the process small. Otherwise it
// waits until the heap has doubled, and counts as in use the buffers that go-fuse
// keeps, for later, for each size of READ there may be: with random readers some
// 300 MB, and as much again until it runs. The limit is soft. It leaves room for
// what is there now, the lists above all, several times over, so that it is never
// near what is really in use; GOMEMLIMIT sets another.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetMemoryLimit(memoryFloor + 4*int64(m.HeapAlloc))
}
