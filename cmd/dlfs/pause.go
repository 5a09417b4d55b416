package main

import (
	"context"
	"fmt"
	"net/url"
)

// pauseCmd has prefetch of a running dlfs pause. The help of each field is what a user reads.
type pauseCmd struct {
	Dir string `arg:"" help:"Output directory or mountpoint of a running dlfs."`
	stateFlag
}

// Run has prefetch of the running process pause. Requests under way for prefetch end
// after the block that each is in; readers go on, and are still served from the
// origins.
func (c *pauseCmd) Run(ctx context.Context) error {
	return orderDone(ctx, c.or(c.Dir), "/pause")
}

// resumeCmd ends such a pause. The help of each field is what a user reads.
type resumeCmd struct {
	Dir string `arg:"" help:"Output directory or mountpoint of a running dlfs."`
	stateFlag
}

// Run ends a pause.
func (c *resumeCmd) Run(ctx context.Context) error {
	return orderDone(ctx, c.or(c.Dir), "/resume")
}

// limitCmd tells or sets a limit of a running dlfs. The help of each field is what a user
// reads.
type limitCmd struct {
	Dir  string    `arg:"" help:"Output directory or mountpoint of a running dlfs."`
	Rate *rate     `arg:"" optional:"" help:"What to receive at most a second, such as 500K or 10M; none for no limit. If not given, the limit is printed."`
	Disk *diskSize `placeholder:"SIZE" help:"Change --max-size of a running mount instead, such as 200G or 80%."`
	stateFlag
}

// Run sets the limit that the command line gives, or prints the one in force if it
// gives none. With --disk it sets the bound of the mount's disk instead. A rate holds
// until the process ends or, where --limit-rate is a timetable, until its next turn.
func (c *limitCmd) Run(ctx context.Context, std stdio) error {
	if c.Disk != nil && c.Rate != nil {
		return usageError("give a rate or --disk, not both")
	}
	if c.Disk != nil {
		return orderDone(ctx, c.or(c.Dir), "/limit?"+url.Values{"disk": {c.Disk.String()}}.Encode())
	}
	if c.Rate != nil {
		return orderDone(ctx, c.or(c.Dir), fmt.Sprintf("/limit?rate=%d", *c.Rate))
	}
	n, err := orderNumber(ctx, c.or(c.Dir), "GET", "/limit")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, rate(n))
	return err
}
