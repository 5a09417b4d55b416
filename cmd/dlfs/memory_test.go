package main

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	t.Setenv("GOMEMLIMIT", "1GiB")
	memory{limit: 64 << 20}.limitHeap()
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("the user's limit became %d", got)
	}
	t.Setenv("GOMEMLIMIT", "")
	list := make([]byte, 64<<20)
	memory{}.limitHeap()
	if got := debug.SetMemoryLimit(-1); got < memoryFloor+4*int64(len(list)) || got > memoryFloor+64*int64(len(list)) {
		t.Errorf("limit %d beside a list of %d", got, len(list))
	}
	memory{limit: 256 << 20}.limitHeap()
	if got := debug.SetMemoryLimit(-1); got != 128<<20 {
		t.Errorf("limit %d in a group of 256 MiB, want half of it", got)
	}
	memory{limit: 32 << 20}.limitHeap()
	if got := debug.SetMemoryLimit(-1); got < int64(len(list)) {
		t.Errorf("limit %d is below the list of %d, for which the collector would run without end", got, len(list))
	}
	runtime.KeepAlive(list)
}

func TestHeapBesideALongList(t *testing.T) {
	for heap, want := range map[int64]int{0: 200, 10 << 20: 200, 48 << 20: 200, 96 << 20: 100, 192 << 20: 50, 1 << 30: 30} {
		if got := gcPercent(heap); got != want {
			t.Errorf("a heap of %d may grow by %d percent, want %d", heap, got, want)
		}
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	list := make([]byte, 4*spareHeap)
	t.Setenv("GOGC", "100")
	memory{}.limitHeap()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("the user's GOGC became %d", got)
	}
	t.Setenv("GOGC", "")
	memory{}.limitHeap()
	if got := debug.SetGCPercent(100); got != 30 {
		t.Errorf("a heap of %d may grow by %d percent", len(list), got)
	}
	runtime.KeepAlive(list)
}

func TestBuffersInLittleMemory(t *testing.T) {
	for _, c := range []struct {
		limit int64
		want  int
	}{{0, 1 << 20}, {16 << 20, 64 << 10}, {100_000_000, 64 << 10}, {128 << 20, 128 << 10}, {600 << 20, 512 << 10}, {8 << 30, 1 << 20}} {
		if got := (memory{c.limit}).buffer(1 << 20); got != c.want {
			t.Errorf("buffer of %d in a group of %d, want %d", got, c.limit, c.want)
		}
	}
}

func TestCgroupLimit(t *testing.T) {
	const (
		v1     = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
		v2     = "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
		others = "32 31 0:29 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n\n22 1 8:1 / / rw - ext4 /dev/root rw\n"
	)
	for _, c := range []struct {
		name, mounts, groups string
		files                map[string]string
		want                 int64
	}{
		{"none", "", "", nil, 0},
		{"version 2", others + v2, "0::/user/one\n", map[string]string{"user/one/memory.max": "134217728\n"}, 128 << 20},
		{"version 2, of a group above", v2, "0::/user/one\n", map[string]string{"user/one/memory.max": "max\n", "user/memory.max": "1048576\n"}, 1 << 20},
		{"version 2, throttled before it is killed", v2, "0::/a\n", map[string]string{"a/memory.max": "3000000\n", "a/memory.high": "2000000\n"}, 2_000_000},
		{"version 2, namespace of its own", v2, "0::/\n", map[string]string{"memory.max": "5000000\n"}, 5_000_000},
		{"version 2, group outside of the namespace", v2, "0::/../other\n", map[string]string{"memory.max": "6000000\n"}, 6_000_000},
		{"version 1", others + v1, "4:memory:/a\n3:cpu:/b\n0::/\n", map[string]string{"memory/a/memory.limit_in_bytes": "7000000\n"}, 7_000_000},
		{"version 1, no limit", v1, "4:memory:/\n", map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		{"version 1, of a container that sees its own part",
			"35 31 0:32 /docker/77 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n", "4:memory:/docker/77\n",
			map[string]string{"memory/memory.limit_in_bytes": "8000000\n"}, 8_000_000},
		{"both, and version 1 has memory", v1 + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "4:memory,hugetlb:/a\n0::/a\n",
			map[string]string{"memory/a/memory.limit_in_bytes": "9000000\n"}, 9_000_000},
		{"nonsense", v2, "0::/a\n", map[string]string{"a/memory.max": "-5\n", "a/memory.high": "many\n"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			files := map[string]string{"proc/self/mountinfo": c.mounts, "proc/self/cgroup": c.groups}
			for name, text := range c.files {
				files["sys/fs/cgroup/"+name] = text
			}
			for name, text := range files {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := cgroupLimit(root); got != c.want {
				t.Errorf("limit %d, want %d", got, c.want)
			}
		})
	}
}

// What a long list left is given back to the system.
func TestFreeMemoryIsGivenBack(t *testing.T) {
	const size = 4 * spareHeap
	held := func() uint64 {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		return now.HeapSys - now.HeapReleased
	}
	left := make([]byte, size)
	for i := 0; i < len(left); i += 4096 {
		left[i] = 1
	}
	before := held()
	runtime.KeepAlive(left)
	giveBack()
	if after := held(); after+size/2 > before {
		t.Errorf("the heap holds %d bytes of %d", after, before)
	}
}
