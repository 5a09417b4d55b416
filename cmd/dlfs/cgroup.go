package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroupLimit returns the bytes of memory that the control groups of this
// process may use, the smallest limit on the way from the group of the process
// to the root of the hierarchy; 0 if there is no limit. The kernel kills a
// process of a group that has reached the limit and has nothing to reclaim.
//
// root is "/"; a test has another one. What cannot be read sets no limit.
// Sources: cgroups(7), Documentation/admin-guide/cgroup-v2.rst and
// cgroup-v1/memory.rst of Linux.
func cgroupLimit(root string) (limit int64) {
	groups, _ := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	mounts, _ := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	for line := range strings.Lines(string(mounts)) {
		at, from, files := memoryHierarchy(line)
		if files == nil {
			continue
		}
		group := groupOf(string(groups), files[0] == limitV1)
		// In a container the mount may show a part of the hierarchy, and the
		// group be named by a path outside of it: then the mount's top is it.
		below, inside := strings.CutPrefix(group, strings.TrimSuffix(from, "/"))
		if !inside || strings.Contains(below, "..") {
			below = ""
		}
		for dir := filepath.Join(at, below); within(dir, at) || dir == at; dir = filepath.Dir(dir) {
			for _, file := range files {
				if n := readLimit(filepath.Join(root, dir, file)); n > 0 && (limit == 0 || n < limit) {
					limit = n
				}
			}
		}
	}
	return limit
}

const limitV1 = "memory.limit_in_bytes"

// memoryHierarchy reads a line of mountinfo (proc_pid_mountinfo(5)). If it is a
// mount of a hierarchy that controls memory, files are those that have a limit of
// a group; at is where the hierarchy is mounted, and from which of its groups on.
func memoryHierarchy(line string) (at, from string, files []string) {
	before, after, _ := strings.Cut(strings.TrimSpace(line), " - ")
	mount, super := strings.Fields(before), strings.Fields(after)
	if len(mount) < 5 || len(super) < 3 {
		return "", "", nil
	}
	switch {
	case super[0] == "cgroup2":
		files = []string{"memory.max", "memory.high"}
	case super[0] == "cgroup" && hasController(super[2], "memory"):
		files = []string{limitV1}
	}
	return mount[4], mount[3], files
}

// groupOf finds in /proc/self/cgroup the group of the hierarchy that controls
// memory, of version 1 or 2.
func groupOf(groups string, v1 bool) string {
	for line := range strings.Lines(groups) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) == 3 && (v1 && hasController(part[1], "memory") || !v1 && part[0] == "0" && part[1] == "") {
			return part[2]
		}
	}
	return "/"
}

// hasController reports whether a list with commas has the name of a controller.
func hasController(list, name string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one == name {
			return true
		}
	}
	return false
}

// readLimit reads a limit in bytes; 0 is none. The one of version 1 is never
// absent: near 2^63 there is none.
func readLimit(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n >= 1<<60 {
		return 0 // "max", too
	}
	return n
}
