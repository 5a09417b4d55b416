package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// bench is one run of the program: what it runs on, and with what.
type bench struct {
	rounds int
	short  bool
	disk   string // where downloads land, and all else that is large
	mem    string // the same, in memory
	tools  *tools
	web    *web // nil until a row needs it
	log    io.Writer
	left   []string // what was left out, and why
}

// targets are the places downloads land in.
func (b *bench) targets() map[string]string {
	return map[string]string{"tmpfs": b.mem, "disk": b.disk}
}

// leftOut is the error of a row that cannot be measured on this machine. It does not
// fail the run; the report has it in a list below the table.
type leftOut struct{ why string }

// Error returns the reason, which the report shows.
func (e *leftOut) Error() string { return e.why }

// run measures the rows one after the other, and the contestants of each in
// turns. It returns what it has when ctx ends.
func (b *bench) run(ctx context.Context, rows []row) *report {
	r := &report{Short: b.short, Rounds: b.rounds}
	for _, row := range rows {
		if ctx.Err() != nil {
			b.leaveOut(row.name + ": interrupted")
			continue
		}
		start := time.Now()
		all, err := b.measure(ctx, row)
		var out *leftOut
		if errors.As(err, &out) {
			b.leaveOut(row.name + ": " + out.why)
			continue
		}
		result := rowReport{Name: row.name, Figures: all, goals: row.goals}
		if err != nil {
			result.Failed = err.Error()
			fmt.Fprintf(b.log, "%s: failed: %v\n", row.name, err)
		}
		r.Rows = append(r.Rows, result)
		fmt.Fprintf(b.log, "%s: took %.1f s\n", row.name, time.Since(start).Seconds())
	}
	r.Machine, r.LeftOut = b.machine(context.WithoutCancel(ctx)), b.left
	return r
}

// leaveOut notes that something is not measured, and why, for the report and the log.
func (b *bench) leaveOut(what string) {
	b.left = append(b.left, inCell(what))
	fmt.Fprintln(b.log, "left out:", inCell(what))
}

// measure measures one row: in each round every contestant once, in the order of that round. It
// returns the figures by the name of the contestant. Contestants whose needs are not met are left
// out; a leftOut error says that the whole row is. Another error ends the row, with the figures
// so far.
func (b *bench) measure(ctx context.Context, r row) (all map[string]figures, err error) {
	if r.long && b.short {
		return nil, &leftOut{"takes too long for a short run"}
	}
	if why := lacking(ctx, b, r.needs); why != "" {
		return nil, &leftOut{why}
	}
	s := &stage{bench: b}
	defer func() { err = errors.Join(err, s.end()) }()
	contestants, err := r.set(ctx, s)
	if err != nil {
		return nil, err
	}
	contestants = slices.DeleteFunc(contestants, func(c contestant) bool {
		why := lacking(ctx, b, c.needs)
		if why != "" {
			b.leaveOut(fmt.Sprintf("%s: %s: %s", r.name, c.name, why))
		}
		return why != ""
	})
	all = make(map[string]figures)
	for round := range b.rounds {
		for _, c := range rotated(contestants, round) {
			got, err := c.run(ctx, round)
			if err != nil {
				return all, fmt.Errorf("%s: %w", c.name, err)
			}
			all[c.name] = append(all[c.name], got)
			if c.name != ideal {
				fmt.Fprintf(b.log, "%s: round %d: %s: %s\n", r.name, round+1, c.name, got)
			}
		}
	}
	return all, nil
}

// rotated returns the contestants in the order of a round: each is first in
// its turn, and every other round goes backwards, so that none always runs after
// the same one.
func rotated(all []contestant, round int) []contestant {
	k := round % max(1, len(all))
	order := slices.Concat(all[k:], all[:k])
	if round%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

// stage is the surroundings of a row: its directories, its origins and its mounts.
// measure makes one for each row, and end removes all of it, also after an error.
type stage struct {
	*bench
	cleanups []func() error
}

// atEnd has f called when the row is over; what came last goes first.
func (s *stage) atEnd(f func() error) { s.cleanups = append(s.cleanups, f) }

// end takes down what the row has laid out, the last thing first, and returns the errors of all.
func (s *stage) end() error {
	var errs []error
	for _, f := range slices.Backward(s.cleanups) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// dir makes a directory below base that is removed when the row is over. Every
// user may pass through it.
func (s *stage) dir(base string) (string, error) {
	dir, err := os.MkdirTemp(base, "dlfs-bench-")
	if err != nil {
		return "", err
	}
	s.atEnd(func() error { return os.RemoveAll(dir) })
	return dir, os.Chmod(dir, 0o755)
}

// fresh calls f with an empty directory below base, and removes the directory
// afterwards. Before f is called, everything that was written on the filesystem of base
// is on its disk, so that the writes of the contestant before do not slow this one.
func fresh(base string, f func(dir string) (sample, error)) (sample, error) {
	dir, err := os.MkdirTemp(base, "dlfs-bench-")
	if err != nil {
		return nil, err
	}
	if err := settle(base); err != nil {
		return nil, err
	}
	got, err := f(dir)
	return got, errors.Join(err, os.RemoveAll(dir))
}

// settle waits until everything on the filesystem of dir is on its disk.
func settle(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

// write writes a file into dir, replacing one of that name, and returns its path. text
// writes the content to a buffer, whose error write returns.
func write(dir, name string, text func(io.Writer)) (path string, err error) {
	path = filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return path, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	text(w)
	return path, w.Flush()
}
