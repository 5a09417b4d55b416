package main

import (
	"embed"
)

// dist is what belongs beside the program: templates of units, and other files that
// "dlfs setup" prints.
//
//go:embed dist
var dist embed.FS

type setupCmd struct {
	Systemd systemdCmd `cmd:"" help:"Print units of systemd that mount a list at boot, and reload it when it changes."`
}
