package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// memoryFloor is what the process may take besides its lists before the garbage
// collector goes about it in earnest.
const memoryFloor = 128 << 20

// memory is how much this process may use.
type memory struct {
	limit int64 // bytes of the control group, 0 if there is no limit
}

// memoryOfProcess returns the limit of memory of the control group that this process is
// in.
func memoryOfProcess() memory { return memory{cgroupLimit("/")} }

// limitHeap has the garbage collector keep the process small. Otherwise it
// waits until the heap has doubled, and counts as in use the buffers that go-fuse
// keeps, for later, for each size of READ there may be: with random readers some
// 300 MB, and as much again until it runs. The limit is soft. It leaves room for
// what is there now, the lists above all, several times over, so that it is never
// near what is really in use; GOMEMLIMIT sets another.
//
// In a control group the heap gets half of its memory: the program itself, the
// mapped state, sockets, and the kernel's pages of what is written count there
// too. A heap that needs more gets a quarter more than it is, so that the
// collector does not take all of the processor.
//
// Beside a long list, which stays, the collector does not wait until the heap has doubled,
// and where the heap is small it waits until the heap has tripled, unless GOGC says so.
func (m memory) limitHeap() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	var now runtime.MemStats
	if runtime.ReadMemStats(&now); now.HeapAlloc > spareHeap {
		runtime.GC() // what reading the list left
		runtime.ReadMemStats(&now)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent(int64(now.HeapAlloc)))
	}
	limit := memoryFloor + 4*int64(now.HeapAlloc)
	if m.limit > 0 {
		limit = min(limit, max(m.limit/2, int64(now.HeapAlloc)*5/4))
	}
	debug.SetMemoryLimit(limit)
}

// giveBack gives the memory of a large heap back to the system that is free, or would be after
// a collection. Otherwise what the loading of a long list left stays with the process until the
// next collection, which comes when the heap has grown, or after two minutes.
func giveBack() {
	var now runtime.MemStats
	if runtime.ReadMemStats(&now); now.HeapSys-now.HeapReleased > spareHeap {
		debug.FreeOSMemory()
	}
}

// spareHeap is how much the heap may grow before it is collected, where it is large.
const spareHeap = 96 << 20

// gcPercent is by how much a heap may grow before it is collected, in percent: at most twice
// what is usual, which spares a fetch of many small files a tenth of its processor time, and
// at least so much that a collection is not for too little.
func gcPercent(heap int64) int {
	const most, least = 200, 30
	return int(max(least, min(most, 100*spareHeap/max(heap, 1))))
}

const (
	// bufferSize is how long the buffer of a flight is where memory is plenty.
	bufferSize = 512 << 10

	// shelfBuffers is how many times as much is kept in memory for readers while the disk
	// is full.
	shelfBuffers = 64

	smallestBuffer = 64 << 10 // a block
)

// buffer is how long one of many buffers may be that is best of most bytes, a
// power of two: a 1024th of the memory. So a thousand flights and readers have
// room.
func (m memory) buffer(most int) int {
	if m.limit == 0 {
		return most
	}
	n := smallestBuffer
	for n < most && int64(2*n) <= m.limit/1024 {
		n *= 2
	}
	return n
}
