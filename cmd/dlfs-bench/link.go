package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// link is two network namespaces with a cable between them, an origin's and a
// client's, which lets so many bits a second through to the client.
type link struct {
	near, far string // namespaces
}

const (
	nearAddr = "10.77.1.1"
	farAddr  = "10.77.1.2"
)

// link lays a cable for the row. rate is what tc(8) takes, such as "200mbit".
func (s *stage) link(ctx context.Context, rate string) (*link, error) {
	l := &link{fmt.Sprintf("dlfs-bench-%d-near", os.Getpid()), fmt.Sprintf("dlfs-bench-%d-far", os.Getpid())}
	for _, ns := range []string{l.near, l.far} {
		if err := s.namespace(ctx, ns); err != nil {
			return nil, err
		}
	}
	commands := [][]string{{"ip", "link", "add", "cable", "netns", l.near, "type", "veth", "peer", "name", "cable", "netns", l.far}}
	for ns, addr := range map[string]string{l.near: nearAddr, l.far: farAddr} {
		commands = append(commands,
			[]string{"ip", "-n", ns, "addr", "add", addr + "/24", "dev", "cable"},
			[]string{"ip", "-n", ns, "link", "set", "cable", "up"})
	}
	commands = append(commands, []string{"tc", "-n", l.far, "qdisc", "add", "dev", "cable", "root", "tbf",
		"rate", rate, "burst", "128kb", "latency", "50ms"})
	return l, layAll(ctx, commands)
}

// lay runs a tool that sets up a part of a network. The error has what the tool said.
func lay(ctx context.Context, tool string, args ...string) error {
	out, err := exec.CommandContext(ctx, tool, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w", tool, strings.Join(args, " "), errors.Join(err, errors.New(strings.TrimSpace(string(out)))))
	}
	return nil
}

// into returns what puts a command into a namespace. The rest of what it sees
// is as everywhere.
func into(ns string) shape {
	return func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"nsenter", "--net=/run/netns/" + ns, cmd.Path}, cmd.Args[1:]...)
		cmd.Path, cmd.Err = exec.LookPath("nsenter")
	}
}
