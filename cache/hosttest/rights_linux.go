package hosttest

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Mounts says why this process cannot mount a filesystem, nil if it can.
var Mounts = sync.OnceValue(func() (err error) {
	dir, err := os.MkdirTemp("", "dlfs-mounts")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(dir)) }()
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("nothing can be mounted: %w", err)
	}
	return unix.Unmount(dir, 0)
})

// mayAdministrate says why root has not got the rights of an administrator, nil if it has:
// CAP_SYS_ADMIN (capabilities(7)).
func mayAdministrate() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // each holds 32 capabilities
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	if sets[0].Effective&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return errors.New("only root with CAP_SYS_ADMIN can; most containers have it not")
	}
	return nil
}
