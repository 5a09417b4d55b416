package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCmd prints the version.
type versionCmd struct{}

// Run tells which dlfs this is.
func (versionCmd) Run(std stdio) error {
	_, err := fmt.Fprintln(std.out, versionText())
	return err
}

// versionText is what --version tells.
func versionText() string { return fmt.Sprintf("dlfs %s, %s", version(), runtime.Version()) }

// userAgent names this program to origins.
var userAgent = "dlfs/" + version()

// released is the version of a release, which .ci/release has the linker set.
var released string

// version is the release's or the module's, or "devel".
func version() string {
	if released != "" {
		return released
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
