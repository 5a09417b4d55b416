package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// need is a condition of a row or a contestant, such as a program or a right. It
// returns why the condition is not met, "" if it is.
type need func(context.Context, *bench) string

// lacking returns why the first of the needs is not met, "" if all are.
func lacking(ctx context.Context, b *bench, needs []need) string {
	for _, n := range needs {
		if why := n(ctx, b); why != "" {
			return why
		}
	}
	return ""
}

// The needs of Debian packages, each told with the package to install.
func needNginx(_ context.Context, b *bench) string  { return needPackage(b.tools.nginx, "nginx-light") }
func needAria2c(_ context.Context, b *bench) string { return needPackage(b.tools.aria2c, "aria2") }
func needCurl(_ context.Context, b *bench) string   { return needPackage(b.tools.curl, "curl") }
func needFio(_ context.Context, b *bench) string    { return needPackage(b.tools.fio, "fio") }

// needPackage returns what to install if path, where a program was looked for, is
// empty.
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

// needLong asks for a run that is not short.
func needLong(_ context.Context, b *bench) string {
	if b.short {
		return "takes too long for a short run"
	}
	return ""
}

// needFuse asks for the right to mount: /dev/fuse can be opened, and an ordinary user
// has fusermount3.
func needFuse(context.Context, *bench) string {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err.Error()
	}
	f.Close()
	return needFusermount(os.Geteuid() != 0)
}

// needFusermount asks for fusermount3 if yes.
func needFusermount(yes bool) string {
	if _, err := exec.LookPath("fusermount3"); yes && err != nil {
		return "an ordinary user needs fusermount3; on Debian: apt install fuse3"
	}
	return ""
}

// needUser asks that an ordinary user could mount, whichever user runs this program.
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

// needRoot asks for root.
func needRoot(context.Context, *bench) string {
	if os.Geteuid() != 0 {
		return "only root can"
	}
	return ""
}

// needLink asks for what a network of namespaces takes: root, ip, tc and nsenter.
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
