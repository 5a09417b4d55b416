package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// star is a network of machines: a bridge, and a namespace for each machine with a cable to
// the bridge, which lets so many bits a second through in each direction.
type star struct {
	prefix string // of the namespaces
}

const (
	starNet    = "10.77.2."
	starOrigin = 253 // number of the machine that has the origin
	starCache  = 252 // and of the one that has a cache before it

	namespaces = "dlfs-bench-" // how the namespaces of this program begin
)

// star builds a bridge without machines, for the row.
func (s *stage) star(ctx context.Context) (*star, error) {
	if err := sweepNamespaces(ctx); err != nil {
		return nil, err
	}
	t := &star{fmt.Sprintf("%s%d-", namespaces, os.Getpid())}
	if err := s.namespace(ctx, t.hub()); err != nil {
		return nil, err
	}
	return t, layAll(ctx, [][]string{
		{"ip", "-n", t.hub(), "link", "add", "hub", "type", "bridge"},
		{"ip", "-n", t.hub(), "link", "set", "hub", "up"},
	})
}

// hub returns the name of the namespace with the bridge.
func (t *star) hub() string { return t.prefix + "hub" }

// of returns the name of the namespace of a machine.
func (t *star) of(machine int) string { return t.prefix + strconv.Itoa(machine) }

// address is the IP address of a machine.
func address(machine int) string { return starNet + strconv.Itoa(machine) }

// add lays the cable of a machine. up is how fast it sends, and down how fast it receives.
func (s *stage) add(ctx context.Context, t *star, machine int, up, down string) error {
	ns, port := t.of(machine), fmt.Sprint("p", machine)
	if err := s.namespace(ctx, ns); err != nil {
		return err
	}
	shaped := func(ns, dev, rate string) []string {
		return []string{"tc", "-n", ns, "qdisc", "add", "dev", dev, "root", "tbf", "rate", rate, "burst", "256kb", "latency", "50ms"}
	}
	return layAll(ctx, [][]string{
		{"ip", "link", "add", "eth0", "netns", ns, "type", "veth", "peer", "name", port, "netns", t.hub()},
		{"ip", "-n", t.hub(), "link", "set", port, "master", "hub", "up"},
		{"ip", "-n", ns, "addr", "add", address(machine) + "/24", "dev", "eth0"},
		{"ip", "-n", ns, "link", "set", "eth0", "up"},
		{"ip", "-n", ns, "link", "set", "lo", "up"},
		shaped(ns, "eth0", up),
		shaped(t.hub(), port, down),
	})
}

// namespace makes a network namespace, which is there until the row is over.
func (s *stage) namespace(ctx context.Context, ns string) error {
	if err := lay(ctx, "ip", "netns", "add", ns); err != nil {
		return &leftOut{err.Error()}
	}
	s.atEnd(func() error { return lay(context.WithoutCancel(ctx), "ip", "netns", "del", ns) }) // and its cables with it
	return nil
}

// layAll runs commands that set up a network, one after the other. What the machine cannot do
// leaves the row out.
func layAll(ctx context.Context, commands [][]string) error {
	for _, c := range commands {
		if err := lay(ctx, c[0], c[1:]...); err != nil {
			return &leftOut{err.Error()}
		}
	}
	return nil
}

// sweepNamespaces removes the namespaces of runs of this program that were killed.
// Their names have the process id, and a process that is still there keeps its own.
func sweepNamespaces(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "ip", "netns", "list").Output()
	if err != nil {
		return fmt.Errorf("ip netns list: %w", err)
	}
	for _, ns := range strings.Fields(string(out)) { // some are followed by "(id: 0)"
		rest, ours := strings.CutPrefix(ns, namespaces)
		pid, _, _ := strings.Cut(rest, "-")
		if !ours {
			continue
		}
		if _, err := os.Stat("/proc/" + pid); os.IsNotExist(err) {
			if err := lay(ctx, "ip", "netns", "del", ns); err != nil {
				return err
			}
		}
	}
	return nil
}
