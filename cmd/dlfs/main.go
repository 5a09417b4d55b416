// Command dlfs shows the remote files of a list as a directory and materializes
// them: what is read first, everything else in the background.
//
// What goes where, on a terminal or not:
//
//   - standard output gets what was asked for: the answers of status and check,
//     the summary of fetch, JSON;
//   - standard error gets progress and the log, one event a line;
//   - an error that ends the program is one line, "dlfs: what failed, on what,
//     and what to do", without a capital or a full stop.
//
// SIGINT and SIGTERM stop it cleanly. While it fetches, SIGHUP has it open its log
// file anew and read its list again, and SIGUSR1 tell its status; see signals.
//
// # How a command is built
//
// A command is a struct, such as fetchCmd, and a field of cli. Its fields are its arguments
// and flags: package kong fills them from the command line, then from the environment
// (DLFS_FLAG), from the first comments of the list and from --config (settings.go), and
// prints their help. Flags that several commands have are structs of their own, which the
// commands embed: listFlags, requestFlags, fetchFlags, runFlags and so on, together
// workFlags. A method Run(ctx, stdio) is the command. The error it returns is printed by run,
// which also makes the exit code of it: an exitError says which, any other error is 1.
//
// A command that fetches goes down these steps:
//
//  1. workFlags.begin checks the flags and makes the work: the display, the client of
//     origins, and the lister, which reads the list and knows how to read it again.
//  2. work.readList reads the list.
//  3. work.open makes the engine: the store and the set of files, and what runs beside them
//     (control socket, metrics, other machines, hooks). From here on the directory is in
//     use.
//  4. engine.run fetches until nothing is left to do, a signal comes, or "dlfs stop".
//  5. engine.close ends everything in the opposite order and makes it durable.
//
// The commands that tell of a running dlfs, or order it about, ask it over the control
// socket in its state directory (ask.go asks, control.go answers). If no process has the
// directory, status and wait read the state on disk instead (statusread.go).
//
// With --daemon the command starts itself again in the background (daemon.go). The child
// does all of the above. The parent waits for it to say through a pipe that it is live, or
// why it has failed: therefore errors before that moment pass through tellParent.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// The exit codes. Where a peer has a code for a thing, it is aria2's.
const (
	exitOK          = 0
	exitFailed      = 1 // some entries failed, or the command itself did
	exitUsage       = 2 // of the command line or the list
	exitInterrupted = 7 // incomplete, and resumable
	exitDiskFull    = 9
	exitNeedsURL    = 24 // all that is left needs URLs that are good
	exitMismatch    = 32 // a file has another digest than it must have
)

// exitError ends the program with a code. A nil err has nothing printed.
type exitError struct {
	code int
	err  error
}

// Error returns the text of the error inside, "<nil>" if there is none.
func (e *exitError) Error() string { return fmt.Sprint(e.err) }

// Unwrap returns the error inside, for errors.Is and errors.As.
func (e *exitError) Unwrap() error { return e.err }

// cli is the command line, a field for each command. The help of each field is what a user
// reads.
type cli struct {
	Mount  mountCmd  `cmd:"" help:"Mount a list: every file is there at once, and materializes."`
	Fetch  fetchCmd  `cmd:"" aliases:"get" help:"Materialize a list without a mount, as a batch job."`
	Umount umountCmd `cmd:"" aliases:"unmount" help:"Stop a mount cleanly."`
	Stop   stopCmd   `cmd:"" help:"Stop a running fetch or mount cleanly."`
	Status statusCmd `cmd:"" help:"Tell how far a directory or a mount is."`
	Wait   waitCmd   `cmd:"" help:"Wait until a directory is complete or a mount is usable."`
	First  firstCmd  `cmd:"" help:"Have a running dlfs fetch some files before all others."`
	Retry  retryCmd  `cmd:"" help:"Have it try files again that failed."`
	Reload reloadCmd `cmd:"" help:"Have a running dlfs go on with a fresh list; what is there is kept."`
	Pause  pauseCmd  `cmd:"" help:"Have a running dlfs fetch nothing in the background."`
	Resume resumeCmd `cmd:"" help:"Have it go on."`
	Limit  limitCmd  `cmd:"" help:"Tell or set how much a running dlfs receives a second."`
	Pin    pinCmd    `cmd:"" help:"With --max-size: have files stay on disk, and be fetched first."`
	Unpin  unpinCmd  `cmd:"" help:"Have them go again when there is no room."`
	Evict  evictCmd  `cmd:"" help:"Take files off the disk now; they are fetched again when a program reads them."`
	Web    webCmd    `cmd:"" help:"Serve a page for a browser that shows running ones, and has buttons."`
	Verify verifyCmd `cmd:"" help:"Compare the files of a directory with their digests, and repair them with --repair."`
	Check  checkCmd  `cmd:"" help:"Check a list without fetching anything."`
	Log    logCmd    `cmd:"" help:"Print the log of a dlfs that runs, or ran, in the background."`
	Ls     lsCmd     `cmd:"" help:"Print the names of a list, without a mount."`
	Cat    catCmd    `cmd:"" help:"Print a file of a list, or a part of it, without a mount."`
	Demo   demoCmd   `cmd:"" help:"See it work, without a network, in a temporary directory."`
	Setup  setupCmd  `cmd:"" help:"Print what has dlfs started at boot, or by another program."`
	Statfs statfsCmd `cmd:"" hidden:"" help:"Ask a mount whether it answers."`
	Help   helpCmd   `cmd:"" help:"Show a page of the reference, or list them."`

	Completion completionCmd `cmd:"" help:"Print what has a shell complete commands of dlfs."`
	Tell       versionCmd    `cmd:"" name:"version" help:"Tell which dlfs this is."`

	Config  string           `placeholder:"FILE" help:"Take flags from FILE, a line FLAG = VALUE for each."`
	HelpAll helpAll          `env:"-" help:"Show every flag."`
	Version kong.VersionFlag `env:"-" help:"Tell which dlfs this is."`
}

// stdio is the process's standard streams, as run was given them, its signals, its
// supervisor, and its log.
type stdio struct {
	in         io.Reader
	out, err   io.Writer
	signals    *signals
	supervisor supervisor
	log        *logFile // a daemon's, which out and err are; nil for others
}

func main() {
	os.Exit(program(context.Background(), os.Args, stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// run is the program: it runs the command that args say, prints the error that ends it, and
// returns the exit code. args has no program name. The first interrupt ends ctx, a later one
// the process. Tests call run for what a process of its own would do.
func run(ctx context.Context, args []string, std stdio) int {
	std = std.plain()
	adoptStandardLog(newLogger(std.err, slog.LevelWarn))
	ctx, std.signals = catchSignals(ctx)
	defer std.signals.stop()
	std.supervisor = findSupervisor()
	out := &answers{w: std.out}
	std.out = out
	err := out.judge(dispatch(ctx, args, std))
	var e *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		if e.err != nil {
			report(std.err, e.err)
		}
		return e.code
	case errors.Is(err, syscall.EPIPE) && !errors.Is(err, errInterrupted):
		return exitOK // the reader of an answer has left, and wants no more
	}
	report(std.err, advised(err))
	return codeOf(err)
}

// advised adds to the error of a full disk what to do. An exitError says it already.
func advised(err error) error {
	var e *exitError
	if isDiskFull(err) && !errors.As(err, &e) {
		return fmt.Errorf("%w; make room and run the same command again", err)
	}
	return err
}

// isDiskFull reports whether an error is one of a full disk, or of a full quota on it.
func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// report prints the error that ends the program, each of its lines once.
func report(w io.Writer, err error) {
	if m, ok := w.(*messages); ok && m.form.Load() != nil {
		m.say(slog.LevelError, err.Error())
		return
	}
	for line := range strings.Lines(strings.TrimSpace(err.Error())) {
		fmt.Fprintln(w, "dlfs:", printable(strings.TrimSpace(line)))
	}
}

// dispatch parses the command line and runs the command. The command line is parsed twice if
// the list or --config give flags: which list it is, only the first parsing tells.
func dispatch(ctx context.Context, args []string, std stdio) error {
	var c cli
	helped := false
	parser, err := newParser(&c, std, kong.Exit(func(int) { helped = true }), kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		return err
	}
	if len(args) > 0 && args[0] == completeWord {
		return completeLine(ctx, parser, args[1:], std)
	}
	kctx, err := parser.Parse(withoutInput(args))
	switch {
	case helped:
		return nil
	case err != nil:
		if len(args) == 0 {
			if err := showCommands(parser, std.err); err != nil {
				return err
			}
		}
		return usageMistake(err)
	}
	if err := refuseEmpty(kctx); err != nil {
		return err
	}
	given, err := abandonable(ctx, func() ([]kong.Resolver, error) { return resolvers(c.Config, kctx) })
	if err != nil {
		return err
	}
	if len(given) > 0 {
		c = cli{}
		parser, err := newParser(&c, std, kong.BindTo(ctx, (*context.Context)(nil)), kong.Resolvers(given...))
		if err != nil {
			return err
		}
		if kctx, err = parser.Parse(withoutInput(args)); err != nil {
			return usageMistake(err)
		}
	}
	if err := checkLimits(); err != nil {
		return err
	}
	if err := checkNamedFiles(kctx); err != nil {
		return err
	}
	return kctx.Run()
}

// newParser returns a parser of the command line into c.
func newParser(c *cli, std stdio, more ...kong.Option) (*kong.Kong, error) {
	return kong.New(c, append(more,
		kong.Name("dlfs"),
		kong.Description("Remote files of a list, as a directory: what is read comes first, the rest in the background."),
		kong.Writers(std.out, std.err),
		kong.UsageOnError(),
		kong.DefaultEnvars("DLFS"),
		requestDefaults(),
		durations(),
		kong.Vars{"files_shown": strconv.Itoa(filesShown), "file_states": strings.Join(fileStates, ","), "version": versionText()},
		kong.ConfigureHelp(helpOptions),
		kong.Help(shortHelp),
		kong.ValueFormatter(plainHelp),
		kong.Bind(std))...)
}

// refuseEmpty returns an error if a list, directory or mountpoint is given as "",
// which would be the working directory.
func refuseEmpty(kctx *kong.Context) error {
	for _, p := range kctx.Path {
		if p.Positional != nil && p.Positional.Target.IsZero() {
			return usageError("%s is given as an empty argument; the variable that it comes from may not be set", p.Positional.Summary())
		}
	}
	return nil
}

// withoutInput drops the -i that aria2 and wget want before a list. Here a list
// is known by its place.
func withoutInput(args []string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == "-i" || arg == "--input-file" })
}
