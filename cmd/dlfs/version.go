package main

import "runtime/debug"

// userAgent names this program to origins.
var userAgent = "dlfs/" + version()

// version is the module's, or "devel".
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
