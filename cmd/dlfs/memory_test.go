package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	t.Setenv("GOMEMLIMIT", "1GiB")
	limitMemory()
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("the user's limit became %d", got)
	}
	t.Setenv("GOMEMLIMIT", "")
	list := make([]byte, 64<<20)
	limitMemory()
	if got := debug.SetMemoryLimit(-1); got < memoryFloor+4*int64(len(list)) || got > memoryFloor+64*int64(len(list)) {
		t.Errorf("limit %d beside a list of %d", got, len(list))
	}
	runtime.KeepAlive(list)
}
