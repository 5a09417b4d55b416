// Command dlfs-bench measures dlfs against its peers and against what the wire,
// the disk and the page cache allow.
//
// It prints one Markdown table: a line for each figure that has a goal, with the
// median of all rounds and, in parentheses, the least and the most. The ratio is
// of the medians, and the last column tells whether it meets the goal, or for a
// goal without a measure whether our median does. Within a row the contestants run
// in turns, each round in another order, so that a machine that slows down slows
// all of them; rows follow one another. What is happening, and each figure of each
// round, goes to standard error, and with -json to a file; -put
// cmd/dlfs-bench/README.md puts the table there.
//
// What is measured runs in a process of its own: dlfs and the programs it is compared
// with, readers of a mount, and the origins. Wall time is from the start of a program
// to its end, or for a reader from open to the last byte. CPU is user and system time.
// Memory is the peak of the resident set: of a fetch as the kernel tells it at the end
// (getrusage(2)), which is at least that of this program, and of a mount VmHWM
// (proc(5)). Each run of a download starts with an empty directory, after everything
// that the run before has written is on the disk. Every file fetched is compared in
// size, and in the first round in every byte.
//
// There are two origins. One is nginx on loopback, with its files in memory. The other is
// part of dlfs (package origintest), makes its files from a seed, and does what nginx
// cannot: it pauses before each first byte, stands behind a link of 200 Mbit/s that all
// share, or sends a fixed number of bytes a second on each connection. limit_rate of nginx
// is not used for that: it lets each answer begin with the bytes of a whole second, and so
// favours a tool that asks in small ranges. Here the kernel paces each connection
// (SO_MAX_PACING_RATE, socket(7)).
//
// The tools run as a careful user runs them: aria2c with -x16 -s16 -j16 -k1M and
// no preallocation, curl with -Z for several files, rclone with a full cache.
// dlfs has its defaults, unless a row's name says otherwise.
//
// With -readers, programs read through a mount of dlfs and of rclone, in turns: Debian's, and
// patterns of reads that programs have. The origin is dlfs' own, with a pause of 30 ms and
// 20 MB/s a connection; the table has a place of its own in the document.
//
// With -machines, eight processes fetch the same list, each in a network namespace with a
// link of its own to a bridge, whose rate tbf bounds (tc-tbf(8)). The namespaces are named
// dlfs-bench-PID-…; those of a run that was killed are removed by the next one. Time is until
// every machine has every file, and is compared with the bound: the bytes of the list over
// the link of the origin.
//
// With -bounded, mounts have less disk than their list (--max-size), beside rclone with as
// much (--vfs-cache-max-size). Reads go past the page cache of the kernel, which would
// hide what is read again. A hit is a byte that the origin did not have to send, and policies
// are simulated on the same reads.
//
// A figure is made in these steps. A row (row.go) names its contestants, what they need of the
// machine, and its goals. When its turn comes it gets a stage (bench.go), where it lays out
// directories, origins and mounts, and returns the contestants. Each of them is run once a
// round and returns a sample, the figures of that run; the samples of all rounds are its
// figures (figures.go). The goals are judged on their medians, and the table is printed from
// the verdicts (table.go). What a contestant starts is this program again in a role
// (role.go): "reader" reads files or URLs, "origin" serves files. The figures of a
// process are therefore its own, and a shape (child.go) can put it into a network namespace or give it
// another user. The files named rows_*.go have the rows, by what they measure.
//
// nginx, aria2c, curl and fio are Debian packages to be installed by hand;
// rclone is built from the Go module proxy into the user's cache. Rows and contestants
// whose program is missing are left out, and the report names them. The memory of a run of
// hours is measured by the soak test of package main of dlfs, and not here.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
)

func main() {
	if code, ok := play(); ok {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "dlfs-bench:", err)
		os.Exit(1)
	}
}

// run measures the rows that args choose and prints their table to out. What happens meanwhile
// goes to log. If a row fails, the others are still measured, and the error says so at the
// end; the table is put into no document then.
func run(ctx context.Context, args []string, out, log io.Writer) (err error) {
	flags := flag.NewFlagSet("dlfs-bench", flag.ContinueOnError)
	flags.SetOutput(log)
	short := flags.Bool("short", false, "take less than three minutes: smaller sizes, 3 rounds, no rows that cannot be short")
	readers := flags.Bool("readers", false, "run other rows instead: programs that read through a mount, beside rclone")
	machines := flags.Bool("machines", false, "run other rows instead: eight machines that share what they fetch, each in a network namespace; needs root")
	bounded := flags.Bool("bounded", false, "run other rows instead: mounts with less disk than their list, beside rclone; once, if -rounds is not given")
	pattern := flags.String("run", "", "run only the rows whose name matches this regular expression")
	rounds := flags.Int("rounds", 0, "rounds; 5, or 3 in a short run, if not given")
	disk := flags.String("dir", os.TempDir(), "directory on a real disk where downloads land")
	mem := flags.String("mem", "/dev/shm", "directory in memory where downloads land")
	dlfs := flags.String("dlfs", "", "the dlfs to measure; built from this module if not given")
	file := flags.String("json", "", "write all figures to this file")
	document := flags.String("put", "", "put the table into this document, in the place of an earlier one, if no row fails")
	list := flags.Bool("list", false, "print the names of the rows, and do nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	match, err := regexp.Compile(*pattern)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if *rounds < 0 || flags.NArg() > 0 {
		return errors.New("-rounds must be at least 1, and there are no arguments")
	}
	z := longSizes
	if *short {
		z = shortSizes
	}
	if *rounds > 0 {
		z.rounds = *rounds
	}
	rows, part := allRows(z), ""
	switch {
	case *readers && *machines, *readers && *bounded, *machines && *bounded:
		return errors.New("-readers, -machines and -bounded do not go together")
	case *bounded:
		rows, part = boundedRows(*short), " -bounded"
		z.rounds = max(1, *rounds)
	case *readers:
		rows, part = readerRows(), " -readers"
	case *machines:
		rows, part = machineRows(*short), " -machines"
	}
	rows = slices.DeleteFunc(rows, func(r row) bool { return !match.MatchString(r.name) })
	if len(rows) == 0 {
		return errors.New("-run: no row matches")
	}
	if *list {
		for _, r := range rows {
			fmt.Fprintln(out, r.name)
		}
		return nil
	}
	b := &bench{rounds: z.rounds, short: *short, disk: *disk, mem: *mem, log: log}
	r, err := b.do(ctx, rows, *dlfs, *file, out)
	if err != nil || *document == "" {
		return err
	}
	return r.put(*document, part)
}

// do finds or builds the tools, measures the rows, saves the figures to file, if that is not "",
// and prints the table to out. dlfs is the path of the program to measure, "" to build it. If ctx
// ends, what was measured so far is saved and printed.
func (b *bench) do(ctx context.Context, rows []row, dlfs, file string, out io.Writer) (r *report, err error) {
	tmp, err := os.MkdirTemp("", "dlfs-bench-tools-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	if err := os.Chmod(tmp, 0o755); err != nil { // an ordinary user is to run what is there
		return nil, err
	}
	if b.tools, err = findTools(ctx, dlfs, tmp); err != nil {
		return nil, err
	}
	defer func() {
		if b.web != nil {
			err = errors.Join(err, b.web.close())
		}
	}()
	r = b.run(ctx, rows)
	if file != "" {
		if err := r.save(file); err != nil {
			return r, err
		}
	}
	if err := r.print(out); err != nil {
		return r, err
	}
	return r, errors.Join(ctx.Err(), r.failed())
}
