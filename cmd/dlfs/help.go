package main

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

// pages is the reference, a Markdown page for each topic.
//
//go:embed doc/*.md
var pages embed.FS

// helpCmd shows a page of the reference. The help of each field is what a user reads.
type helpCmd struct {
	Topic string `arg:"" optional:"" help:"A topic or a command; without one, both are listed."`
}

// Run shows one page, or the usage of one command, or lists both.
func (c *helpCmd) Run(kctx *kong.Context, std stdio) error {
	if c.Topic == "" {
		return listHelp(kctx, std.out)
	}
	// No topic has the name of a command, so the order of the two does not matter.
	if page, err := pages.ReadFile("doc/" + c.Topic + ".md"); err == nil {
		return showPage(page, std)
	}
	if isCommand(kctx, c.Topic) {
		return usageOfCommand(kctx, c.Topic)
	}
	return usageError("help has no topic %s; the topics are %s", c.Topic, strings.Join(topics(), ", "))
}

// listHelp prints the usage of the program, and below it the topics.
func listHelp(kctx *kong.Context, w io.Writer) error {
	if err := usageOfCommand(kctx); err != nil {
		return err
	}
	fmt.Fprint(w, "\nTopics:\n")
	for _, topic := range topics() {
		page, err := pages.ReadFile("doc/" + topic + ".md")
		if err != nil {
			return err
		}
		heading, _, _ := strings.Cut(string(page), "\n")
		fmt.Fprintf(w, "  %-12s %s\n", topic, strings.TrimPrefix(heading, "# "))
	}
	_, err := fmt.Fprint(w, "\nRun \"dlfs help TOPIC\" to read one.\n")
	return err
}

// showCommands prints the help of the program on w.
func showCommands(parser *kong.Kong, w io.Writer) error {
	of, err := kong.Trace(parser, nil)
	if err != nil {
		return err
	}
	defer func(to io.Writer) { parser.Stdout = to }(parser.Stdout)
	parser.Stdout = w
	return of.PrintUsage(false)
}

// topics returns the names of the pages, sorted.
func topics() (names []string) {
	files, err := pages.ReadDir("doc")
	if err != nil {
		panic(err) // the directory is part of the binary
	}
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".md"))
	}
	return names
}

// isCommand reports whether dlfs has a command of that name or alias.
func isCommand(kctx *kong.Context, name string) bool {
	return slices.ContainsFunc(kctx.Model.Children, func(n *kong.Node) bool {
		return n.Name == name || slices.Contains(n.Aliases, name)
	})
}

// usageOfCommand prints what "dlfs COMMAND --help" prints.
func usageOfCommand(kctx *kong.Context, command ...string) error {
	of, err := kong.Trace(kctx.Kong, command)
	if err != nil {
		return err
	}
	return of.PrintUsage(false)
}

// showPage prints a page, on a terminal through the user's pager.
func showPage(page []byte, std stdio) error {
	if f := fileOf(std.out); f != nil && term.IsTerminal(int(f.Fd())) && paged(page, f, std.err) {
		return nil
	}
	_, err := std.out.Write(page)
	return err
}

// paged shows a page in $PAGER, or in less, and waits until the reader has left it.
// It reports false if there is no such program.
func paged(page []byte, out *os.File, errs io.Writer) bool {
	// PAGER may have arguments, such as "less -S", which the shell parts.
	pager := exec.Command("sh", "-c", cmp.Or(os.Getenv("PAGER"), "less"))
	pager.Stdin, pager.Stdout, pager.Stderr = bytes.NewReader(page), out, errs
	// F: a page that fits is printed and less ends; R: colours are shown; X: the text stays on the
	// screen afterwards (less(1)). git sets the same.
	pager.Env = append(os.Environ(), "LESS="+cmp.Or(os.Getenv("LESS"), "FRX"))
	if pager.Start() != nil {
		return false
	}
	signal.Ignore(syscall.SIGINT) // Ctrl-C belongs to the pager while it runs
	pager.Wait()                  // its error is the exit code, which is looked at next
	code := pager.ProcessState.ExitCode()
	return code != 126 && code != 127 // sh returns these where it cannot run the pager
}
