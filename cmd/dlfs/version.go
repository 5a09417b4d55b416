package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

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

// version is the module's, or "devel".
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
