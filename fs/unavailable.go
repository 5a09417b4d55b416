//go:build !linux

package fs

import "dlfs/fetch"

// Mount stands for a mount where none can be had.
type Mount struct{}

// errNeedsLinux says what can be done without a mount.
var errNeedsLinux = &UnavailableError{"a mount needs Linux; \"dlfs fetch\" fetches the list without one"}

// New fails with an *UnavailableError: nothing is mounted on this system. The functions below
// find no mounts, so no method of Mount is ever called.
func New(*fetch.Set, string, Options) (*Mount, error) { return nil, errNeedsLinux }

func (*Mount) Point() string            { return "" }
func (*Mount) Refresh()                 {}
func (*Mount) Wait()                    {}
func (*Mount) WhyGone() string          { return errNeedsLinux.Why }
func (*Mount) Close() ([]string, error) { return nil, errNeedsLinux }

// Detach and Unmount fail, ClearDead has nothing to clear, and Mounts and Kind know nothing.
func Detach(string) error            { return errNeedsLinux }
func Unmount(string) error           { return errNeedsLinux }
func ClearDead(string) (bool, error) { return false, nil }
func Mounts() ([]string, error)      { return nil, nil }
func Kind(string) (string, error)    { return "", nil }
