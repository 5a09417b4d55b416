package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// machine describes what was measured on, in a line.
func (b *bench) machine(ctx context.Context) string {
	var name unix.Utsname
	kernel := "unknown"
	if unix.Uname(&name) == nil {
		kernel = unix.ByteSliceToString(name.Release[:])
	}
	cpu, _ := os.ReadFile("/proc/cpuinfo") // what is not told is not shown
	mem, _ := os.ReadFile("/proc/meminfo")
	kib, _ := strconv.ParseInt(strings.TrimSuffix(field(string(mem), "MemTotal"), " kB"), 10, 64)
	return fmt.Sprintf("%s, %d cores, %.0f GB of memory, Linux %s, disk %s, memory %s; %s; %s.",
		field(string(cpu), "model name"), runtime.NumCPU(), float64(kib)*1024/1e9, kernel,
		filesystem(b.disk), filesystem(b.mem), runtime.Version(), b.tools.versions(ctx))
}

// field returns the value of the first line "key: value".
func field(text, key string) string {
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// filesystem names the filesystem of dir.
func filesystem(dir string) string {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return err.Error()
	}
	switch s.Type {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	}
	return fmt.Sprintf("of type %#x", s.Type)
}

// procMemory returns the most memory a running process has had, in bytes.
func procMemory(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	kib, err := strconv.ParseInt(strings.TrimSuffix(field(string(status), "VmHWM"), " kB"), 10, 64)
	return kib << 10, err
}
