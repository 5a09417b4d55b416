package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// program is dlfs under the name in args[0]. mount(8) and umount(8) call a program of the
// filesystem's name: so dlfs mounts by a line of /etc/fstab, too.
func program(ctx context.Context, args []string, std stdio) int {
	name, rest := "dlfs", args[min(1, len(args)):]
	if len(args) > 0 {
		name = filepath.Base(args[0])
	}
	switch name {
	case "mount.dlfs", "mount.fuse.dlfs":
		return helped(ctx, std, rest, mountArgs)
	case "umount.dlfs", "umount.fuse.dlfs":
		return helped(ctx, std, rest, umountArgs)
	}
	return run(ctx, rest, std)
}

// The exit codes of mount(8).
const (
	mountUsage  = 1
	mountFailed = 32
)

// helped runs dlfs with the arguments of mount(8), as translate has them. No arguments
// are nothing to do.
func helped(ctx context.Context, std stdio, args []string, translate func([]string) ([]string, error)) int {
	inner := isDaemon() // whose exit code this program itself reads
	args, err := translate(args)
	if err != nil {
		report(std.err, err)
		return mountUsage
	}
	if len(args) == 0 {
		return exitOK
	}
	switch code := run(ctx, args, std); {
	case inner || code == exitOK:
		return code
	case code == exitUsage:
		return mountUsage
	}
	return mountFailed
}

// helperArgs are the arguments of a helper of mount(8) and umount(8).
type helperArgs struct {
	operands []string
	options  string // all of -o
	fake     bool   // do everything but the system call
	verbose  bool
}

// parseHelper takes the arguments of mount.dlfs and umount.dlfs apart, as mount(8) gives them:
// operands and options in any order, flags joined (-nv), and values in the same word or the next
// one. Several -o are joined by commas.
func parseHelper(args []string) (h helperArgs, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if len(arg) < 2 || arg[0] != '-' {
			h.operands = append(h.operands, arg)
			continue
		}
		// A word is letters without values, and at most one letter with a value, which ends the word.
		for i, flag := range arg[1:] {
			if !strings.ContainsRune("otN", flag) {
				if err := h.set(flag); err != nil {
					return h, err
				}
				continue
			}
			value := arg[2+i:] // the rest of the word, or the next one
			if value == "" {
				if len(args) == 0 {
					return h, fmt.Errorf("-%c needs a value", flag)
				}
				value, args = args[0], args[1:]
			}
			if flag == 'N' {
				return h, fmt.Errorf("-N %s: dlfs mounts in its own mount namespace only; enter the other one with nsenter(1)", value)
			}
			if flag == 'o' {
				h.options = strings.TrimPrefix(h.options+","+value, ",")
			}
			break
		}
	}
	return h, nil
}

// set takes a flag that has no value.
func (h *helperArgs) set(flag rune) error {
	switch flag {
	case 'f':
		h.fake = true
	case 'v':
		h.verbose = true
	case 's', 'n', 'r', 'w', 'l', 'i': // about mtab, or what dlfs does anyway
	default:
		return fmt.Errorf("unknown option -%c; options of dlfs follow -o, as in -o jobs=16", flag)
	}
	return nil
}

// mountArgs translates "mount.dlfs LIST DIR [-fnrsvw] [-o OPTIONS]" for dlfs. There are
// none if nothing is to be done.
func mountArgs(args []string) ([]string, error) {
	h, err := parseHelper(args)
	if err != nil {
		return nil, err
	}
	if len(h.operands) != 2 {
		return nil, fmt.Errorf("usage: mount.dlfs LIST DIR [-o OPTIONS], or a line of /etc/fstab: LIST DIR dlfs OPTIONS 0 0")
	}
	list, point := h.operands[0], h.operands[1]
	// mount(8) waits for the helper to end, so the mount is served by a daemon.
	flags := []string{"mount", "--daemon", "--source=" + sourceOf(list)}
	for _, option := range splitOptions(h.options) {
		key, value, valued := strings.Cut(option, "=")
		// Every flag of "dlfs mount" is an option of fstab: read_timeout=30s is
		// --read-timeout=30s. The command line refuses an unknown option as an unknown flag.
		flag := "--" + strings.ReplaceAll(key, "_", "-")
		switch {
		case key == "remount":
			return nil, fmt.Errorf("%s cannot be remounted; unmount it and mount it again", point)
		case slices.Contains(ignoredOptions, key), strings.HasPrefix(key, "x-"), strings.HasPrefix(key, "X-"):
		case valued:
			flags = append(flags, flag+"="+value)
		default:
			flags = append(flags, flag)
		}
	}
	if h.verbose {
		flags = append(flags, "--verbose")
	}
	// All is checked by now; only the mount itself is left out.
	if h.fake {
		return nil, nil
	}
	// After "--" a list or a directory may begin with a hyphen.
	return append(flags, "--", list, point), nil
}

// umountArgs translates "umount.dlfs DIR [-flnrv]" for dlfs.
func umountArgs(args []string) ([]string, error) {
	h, err := parseHelper(args)
	if err != nil {
		return nil, err
	}
	if len(h.operands) != 1 {
		return nil, fmt.Errorf("usage: umount.dlfs DIR")
	}
	return []string{"umount", "--", h.operands[0]}, nil
}

// ignoredOptions are those of fstab(5) and mount(8) that others heed, and those that are
// so whether they are given or not: a mount of dlfs is read-only, without devices, set-uid
// programs and executable files, and its times are the origin's.
var ignoredOptions = []string{
	"", "defaults", "auto", "noauto", "_netdev", "nofail", "user", "nouser", "users", "nousers", "owner", "noowner", "group", "nogroup",
	"comment", "helper", "uhelper", "ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync", "silent", "loud",
	"atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime",
	"mand", "nomand", "iversion", "noiversion", "fsname", "subtype",
}

// splitOptions splits at commas that are not in double quotes, which it takes away
// (mount(8)).
func splitOptions(options string) (list []string) {
	var b strings.Builder
	quoted := false
	for _, r := range options {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ',' && !quoted:
			list = append(list, b.String())
			b.Reset()
		default:
			b.WriteRune(r)
		}
	}
	return append(list, b.String())
}

// sourceOf is what the table of mounts names as the source of a list: what mount(8) makes
// of the first field of /etc/fstab, so that it finds the mount again, less secrets.
func sourceOf(list string) string {
	if isURL(list) {
		return shown(list)
	}
	real, err := filepath.EvalSymlinks(list)
	if err != nil {
		return list
	}
	if abs, err := filepath.Abs(real); err == nil {
		return abs
	}
	return list
}

// isHelper reports whether mount(8) has started this process.
func isHelper() bool { return strings.HasPrefix(filepath.Base(os.Args[0]), "mount.") }
