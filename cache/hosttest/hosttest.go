// Package hosttest tells what the host of a test can do, so that every test either
// runs or is skipped with the reason. Containers differ most: many have no
// /dev/fuse, or root without the right to mount.
package hosttest

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// All is the environment variable under which nothing may be skipped: what the host
// cannot do fails the test.
const All = "DLFS_TEST_ALL"

// Need skips the test if why is an error, or fails it where All is set.
func Need(t testing.TB, why error) {
	t.Helper()
	switch {
	case why == nil:
	case os.Getenv(All) != "":
		t.Fatalf("%s is set, and yet: %v", All, why)
	default:
		t.Skip(why)
	}
}

// NeedForExamples leaves out the examples of a package if why is an error: an example has no
// test to skip. TestMain calls it before the tests run. Where All is set, the examples run and
// fail.
func NeedForExamples(why error) {
	if why == nil || os.Getenv(All) != "" {
		return
	}
	fmt.Fprintln(os.Stderr, "the examples are left out:", why)
	if err := flag.Set("test.skip", "^Example"); err != nil {
		panic(err) // package testing has this flag since Go 1.20
	}
}

// NeedTime skips a test that takes many seconds if only short ones are asked for
// (go test -short).
func NeedTime(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes many seconds, and -short is set")
	}
}

// Root says why this process is not root with all rights on this machine, nil if it
// is. Root of a user namespace is not, nor is root of most containers.
var Root = sync.OnceValue(func() error {
	if os.Geteuid() != 0 {
		return errors.New("only root can")
	}
	users, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return err
	}
	if all := strings.Fields(string(users)); len(all) != 3 || all[0] != "0" || all[1] != "0" || all[2] != "4294967295" {
		return errors.New("only root outside of a user namespace can")
	}
	if err := mayAdministrate(); err != nil {
		return err
	}
	return Mounts()
})

// Loopback says why no process reaches another one of this host by TCP, nil if it
// does: in a new network namespace the loopback interface is down.
var Loopback = sync.OnceValue(func() error {
	all, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			return nil
		}
	}
	return errors.New("the loopback interface is down")
})

// FUSE says why this process cannot mount a FUSE filesystem, nil if it can.
var FUSE = sync.OnceValue(func() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	f.Close()
	if os.Geteuid() == 0 {
		return Mounts()
	}
	_, err = exec.LookPath("fusermount3")
	return err
})

// OthersFUSE says why root cannot have an ordinary user mount a FUSE filesystem,
// nil if it can.
var OthersFUSE = sync.OnceValue(func() error {
	if err := Root(); err != nil {
		return err
	}
	device, err := os.Stat("/dev/fuse")
	if err != nil {
		return err
	}
	if device.Mode().Perm()&0o006 != 0o006 {
		return fmt.Errorf("ordinary users may not open /dev/fuse, whose mode is %v", device.Mode().Perm())
	}
	_, err = exec.LookPath("fusermount3")
	return err
})
