package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// need is a thing without which a row cannot be measured: it says why not, or
// nothing.
type need func(context.Context, *bench) string

// lacking returns why the first thing that is not there is not there.
func lacking(ctx context.Context, b *bench, needs []need) string {
	for _, n := range needs {
		if why := n(ctx, b); why != "" {
			return why
		}
	}
	return ""
}

func needNginx(_ context.Context, b *bench) string  { return needPackage(b.tools.nginx, "nginx-light") }
func needAria2c(_ context.Context, b *bench) string { return needPackage(b.tools.aria2c, "aria2") }
func needCurl(_ context.Context, b *bench) string   { return needPackage(b.tools.curl, "curl") }
func needFio(_ context.Context, b *bench) string    { return needPackage(b.tools.fio, "fio") }

func needPackage(path, name string) string {
	if path == "" {
		return fmt.Sprintf("%s is not installed; on Debian: apt install %s", name, name)
	}
	return ""
}

// needRclone has it built if it is not there, and tries that once.
func needRclone(ctx context.Context, b *bench) string {
	if b.tools.rclone == "" && b.tools.noRclone == "" {
		if err := b.tools.getRclone(ctx, b.log); err != nil {
			b.tools.noRclone = "rclone cannot be had: " + err.Error()
		}
	}
	return b.tools.noRclone
}

// needLong wants a run that is not short.
func needLong(_ context.Context, b *bench) string {
	if b.short {
		return "takes too long for a short run"
	}
	return ""
}

// needFuse wants to mount.
func needFuse(context.Context, *bench) string {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err.Error()
	}
	f.Close()
	return needFusermount(os.Geteuid() != 0)
}

func needFusermount(yes bool) string {
	if _, err := exec.LookPath("fusermount3"); yes && err != nil {
		return "an ordinary user needs fusermount3; on Debian: apt install fuse3"
	}
	return ""
}

// needUser wants an ordinary user to be able to mount. Which user runs this does not matter.
func needUser(context.Context, *bench) string {
	info, err := os.Stat("/dev/fuse")
	switch {
	case err != nil:
		return err.Error()
	case info.Mode()&0o006 != 0o006:
		return "an ordinary user may not open /dev/fuse; chmod 666 /dev/fuse"
	}
	return needFusermount(true)
}

// needRoot wants to be root.
func needRoot(context.Context, *bench) string {
	if os.Geteuid() != 0 {
		return "only root can"
	}
	return ""
}

// needLink wants to lay a cable.
func needLink(ctx context.Context, b *bench) string {
	if why := needRoot(ctx, b); why != "" {
		return why
	}
	for _, tool := range []string{"ip", "tc", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return err.Error() + "; on Debian: apt install iproute2 util-linux"
		}
	}
	return ""
}
