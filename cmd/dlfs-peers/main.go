// Command dlfs-peers compares dlfs with its peers on origins that misbehave.
//
// It serves a file with one fault at a time, each time from a fresh origin,
// runs dlfs, aria2c, curl, wget and rclone on it as a careful user would, and judges
// what each leaves behind:
//
//   - right: exit code 0, and every byte is right;
//   - wrong bytes: exit code 0, but the file is not what the origin has: the
//     worst, because no error tells of it;
//   - gave up: another exit code, and no wrong file of the right size;
//   - gave up, wrong file left: another exit code, and the final name has a
//     wrong file of the right size;
//   - hung: still running at the time limit.
//
// A file that changed meanwhile is right if it is wholly one of its versions.
// The number after the verdict is the body bytes that the origin sent, divided
// by the size of the file; what it sent and the tool did not read counts, too. A star says
// that the fault was never met, for example because the tool sends no HEAD.
//
// The result is one Markdown table on standard output. What is happening, and
// each exit code with the tool's last words, goes to standard error. Tools that
// are not installed are left out, and said to be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "dlfs-peers:", err)
		os.Exit(1)
	}
}

// run runs each tool on each row of faults that args choose, and prints the matrix of verdicts to
// out. What happens meanwhile goes to log.
func run(ctx context.Context, args []string, out, log io.Writer) (err error) {
	flags := flag.NewFlagSet("dlfs-peers", flag.ContinueOnError)
	flags.SetOutput(log)
	names := flags.String("tools", "dlfs,aria2c,curl,wget,rclone", "the tools, with commas between them")
	pattern := flags.String("run", "", "run only the rows whose name matches this regular expression")
	size := flags.Int64("size", 8, "size of the file in MiB")
	rate := flags.Int64("rate", 8, "MiB a second the origin sends on each connection, unless a row says otherwise")
	limit := flags.Duration("limit", time.Minute, "stop a tool after this time")
	dlfs := flags.String("dlfs", "", "the dlfs to run; built from this module if not given")
	long := flags.Bool("long", false, "show requests and seconds in each cell, too")
	trace := flags.Bool("trace", false, "log each request, too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	match, err := regexp.Compile(*pattern)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if *size < 1 || *rate < 1 || flags.NArg() > 0 {
		return errors.New("-size and -rate must be at least 1, and there are no arguments")
	}
	tmp, err := os.MkdirTemp("", "dlfs-peers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	tools, err := findTools(ctx, strings.Split(*names, ","), *dlfs, tmp, log)
	if err != nil {
		return err
	}
	m := &matrix{tools: tools, size: *size << 20, rate: *rate << 20, limit: *limit, trace: *trace, tmp: tmp, log: log}
	results, err := m.run(ctx, match)
	if err != nil {
		return err
	}
	return m.print(out, results, *long)
}

// findTools returns those tools that are installed. It builds dlfs into tmp if
// path is empty.
func findTools(ctx context.Context, names []string, path, tmp string, log io.Writer) ([]tool, error) {
	var found []tool
	for _, name := range names {
		t, ok := toolNamed(strings.TrimSpace(name))
		if !ok {
			return nil, fmt.Errorf("-tools: %q is not one of dlfs, aria2c, curl, wget and rclone", name)
		}
		var err error
		switch {
		case t.name != "dlfs":
			t.path, err = exec.LookPath(t.name)
		case path != "":
			t.path, err = filepath.Abs(path)
		default:
			t.path = filepath.Join(tmp, "dlfs")
			err = build(ctx, t.path)
		}
		if errors.Is(err, exec.ErrNotFound) {
			fmt.Fprintf(log, "left out, because it is not installed: %s\n", t.name)
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, t)
	}
	if len(found) == 0 {
		return nil, errors.New("no tool is installed")
	}
	return found, nil
}

// build builds the dlfs of this module into the file path, without the state of its
// repository in it: git refuses to look at a tree that belongs to another user.
func build(ctx context.Context, path string) error {
	out, err := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", path, "dlfs/cmd/dlfs").CombinedOutput()
	if err != nil {
		return fmt.Errorf("building dlfs; run this in its module, or give -dlfs: %w\n%s", err, out)
	}
	return nil
}

// matrix is one run: rows times tools.
type matrix struct {
	tools []tool
	size  int64
	rate  int64 // bytes a second on each connection
	limit time.Duration
	trace bool
	tmp   string
	log   io.Writer
}

// rowResult has one result for each tool.
type rowResult struct {
	row     row
	results []result
}

// run runs the rows that match, one after the other, with the tools of a row at
// the same time: they mostly wait.
func (m *matrix) run(ctx context.Context, match *regexp.Regexp) ([]rowResult, error) {
	var all []rowResult
	for i, r := range rows(m.size) {
		if !match.MatchString(r.name) {
			continue
		}
		results, errs := make([]result, len(m.tools)), make([]error, len(m.tools))
		var cells sync.WaitGroup
		for k, t := range m.tools {
			cells.Go(func() { // awaited below
				dir := filepath.Join(m.tmp, fmt.Sprintf("%d-%s", i, t.name))
				results[k], errs[k] = m.cell(ctx, r, t, dir)
				errs[k] = errors.Join(errs[k], os.RemoveAll(dir))
			})
		}
		cells.Wait()
		if err := errors.Join(append(errs, ctx.Err())...); err != nil {
			return nil, err
		}
		for k, res := range results {
			fmt.Fprintf(m.log, "%s: %s: %s\n", r.name, m.tools[k].name, res.detail())
			for _, request := range res.log {
				if m.trace {
					fmt.Fprintln(m.log, "   ", request)
				}
			}
		}
		all = append(all, rowResult{r, results})
	}
	if len(all) == 0 {
		return nil, errors.New("-run: no row matches")
	}
	return all, nil
}

// print prints the table.
func (m *matrix) print(out io.Writer, all []rowResult, long bool) error {
	var b strings.Builder
	b.WriteString("| fault |")
	for _, t := range m.tools {
		fmt.Fprintf(&b, " %s |", t.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(m.tools)) + "\n")
	for _, r := range all {
		fmt.Fprintf(&b, "| %s |", r.row.name)
		for _, res := range r.results {
			fmt.Fprintf(&b, " %s |", res.text(long))
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}
