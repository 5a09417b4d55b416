package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"dlfs/cache/hosttest"
)

// TestStar has a machine read from another one over their cables, and removes what a run that
// was killed has left.
func TestStar(t *testing.T) {
	s, ctx := newStage(t), context.WithoutCancel(t.Context()) // the origin ends with the stage
	if why := needLink(ctx, s.bench); why != "" {
		hosttest.Need(t, errors.New(why))
	}
	gone := exec.Command("/bin/true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	left := fmt.Sprintf("%s%d-hub", namespaces, gone.Process.Pid)
	if err := lay(ctx, "ip", "netns", "add", left); err != nil {
		t.Fatal(err)
	}
	network, err := s.star(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/run/netns/" + left); !os.IsNotExist(err) {
		t.Errorf("%s of a run that has ended is still there: %v", left, err)
	}
	for _, machine := range []int{1, starOrigin} {
		if err := s.add(ctx, network, machine, "100mbit", "100mbit"); err != nil {
			t.Fatal(err)
		}
	}
	l := load{1, 1 << 20}
	o, err := s.origin(ctx, originSpec{Addr: address(starOrigin) + ":8080", Loads: []load{l}}, into(network.of(starOrigin)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := read(ctx, readJob{Paths: []string{l.url(o.url, 0)}, Block: 64 << 10, Bytes: whole}, into(network.of(1)))
	if err != nil || r.Bytes != l.Size {
		t.Errorf("read %d bytes: %v", r.Bytes, err)
	}
	if most := 100e6 / 8.0; r.speed() > 1.5*most {
		t.Errorf("%.0f bytes a second came over a cable of %.0f", r.speed(), most)
	}
	if _, err := read(ctx, readJob{Paths: []string{l.url(o.url, 0)}, Block: 1, Bytes: 1}, nil); err == nil {
		t.Error("the origin answers outside of its network")
	}
}

// TestMachineRows looks at what can be told of the rows without a network.
func TestMachineRows(t *testing.T) {
	for _, short := range []bool{false, true} {
		for _, r := range machineRows(short) {
			if len(r.needs) == 0 || len(r.goals) == 0 || r.set == nil {
				t.Errorf("%s: %+v", r.name, r)
			}
		}
	}
	if got := longFleet.bound().Seconds(); got < 38 || got > 40 {
		t.Errorf("the bound of %v is %.1f s", longFleet, got)
	}
	g := goal{metric: peak, than: alone, bound: atMostMore(32e6)}
	for more, met := range map[float64]bool{31e6: true, 33e6: false} {
		v := g.judge(map[string]figures{ours: {{peak: 40e6 + more}}, alone: {{peak: 40e6}}})
		if v.met != met || !v.measured {
			t.Errorf("%v more: %+v", more, v)
		}
	}
	if text := g.text(); !strings.Contains(text, "+ 32.0 MB") {
		t.Errorf("the goal is shown as %q", text)
	}
}
