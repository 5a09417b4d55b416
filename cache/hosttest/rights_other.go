//go:build !linux

package hosttest

import "errors"

// Mounts says that this process cannot mount: the tests that do are of Linux.
func Mounts() error { return errors.New("needs Linux") }

func mayAdministrate() error { return Mounts() }
