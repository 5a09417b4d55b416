package main

import (
	"embed"
	"os"
)

// dist is what belongs beside the program: templates of units, and other files that
// "dlfs setup" prints.
//
//go:embed dist
var dist embed.FS

// setupCmd has the commands that print files for other programs. The help of each field is
// what a user reads.
type setupCmd struct {
	Systemd    systemdCmd    `cmd:"" help:"Print units of systemd that mount a list at boot, and reload it when it changes."`
	Slurm      slurmCmd      `cmd:"" help:"Print the script of an array of jobs for Slurm that fetches a list to a shared filesystem."`
	Kubernetes kubernetesCmd `cmd:"" help:"Print manifests for Kubernetes: an Indexed Job, an init container and a sidecar."`
	Container  containerCmd  `cmd:"" help:"Print a Containerfile, for podman, buildah or docker."`
	Alerts     alertsCmd     `cmd:"" help:"Print alert rules for Prometheus, as YAML."`
	Grafana    grafanaCmd    `cmd:"" help:"Print a dashboard for Grafana, as JSON."`
	Man        manCmd        `cmd:"" help:"Print the manual page, as man(1) reads it."`
}

// containerCmd prints a Containerfile. The help of each field is what a user reads.
type containerCmd struct {
	Kind string `arg:"" enum:"fetch,mount" help:"What the image does: fetch or mount."`
}

// Run prints the file.
func (c *containerCmd) Run(std stdio) error { return printDist(std, "Containerfile."+c.Kind) }

// alertsCmd prints rules of alerts for Prometheus.
type alertsCmd struct{}

// Run prints the rules.
func (*alertsCmd) Run(std stdio) error { return printDist(std, "alerts.yml") }

// grafanaCmd prints a dashboard for Grafana.
type grafanaCmd struct{}

// Run prints the dashboard.
func (*grafanaCmd) Run(std stdio) error { return printDist(std, "grafana.json") }

// printDist prints a file of dist as it is.
func printDist(std stdio, name string) error {
	b, err := dist.ReadFile("dist/" + name)
	if err != nil {
		return err
	}
	_, err = std.out.Write(b)
	return err
}

// checkCommand refuses a command line "dlfs COMMAND LIST PLACE FLAGS" that would only fail
// where a unit or a job runs it: wrong flags, and a list that is not there.
func checkCommand(std stdio, command, list, place string, flags []string) error {
	parser, err := newParser(new(cli), std)
	if err != nil {
		return err
	}
	if _, err := parser.Parse(append([]string{command, list, place}, flags...)); err != nil {
		return usageError("flags of \"dlfs %s\": %w", command, err)
	}
	if isURL(list) {
		return nil
	}
	if info, err := os.Stat(list); err != nil {
		return usageError("list: %w", err)
	} else if !info.Mode().IsRegular() {
		return usageError("list %s is not a regular file; give a file or a URL", list)
	}
	return nil
}
