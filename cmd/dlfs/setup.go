package main

import "embed"

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
	Alerts     alertsCmd     `cmd:"" help:"Print alert rules for Prometheus, as YAML."`
	Grafana    grafanaCmd    `cmd:"" help:"Print a dashboard for Grafana, as JSON."`
	Man        manCmd        `cmd:"" help:"Print the manual page, as man(1) reads it."`
}

type alertsCmd struct{}

// Run prints the rules.
func (*alertsCmd) Run(std stdio) error { return printDist(std, "alerts.yml") }

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
