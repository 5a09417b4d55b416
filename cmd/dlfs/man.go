package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
)

// manCmd prints the manual pages. The help of each field is what a user reads.
type manCmd struct {
	To string `placeholder:"DIR" help:"Write this page and one for each command as files in DIR."`
}

// Run prints the manual page of the program, or writes all of them.
func (c *manCmd) Run(kctx *kong.Context, std stdio) error {
	app := kctx.Model.Node
	if c.To == "" {
		_, err := io.WriteString(std.out, manProgram(app))
		return err
	}
	pages := map[string]string{"dlfs": manProgram(app)}
	for _, n := range commandsOf(app) {
		pages[manName(n)] = manCommand(n)
	}
	for name, page := range pages {
		if err := os.WriteFile(filepath.Join(c.To, name+".1"), []byte(page), 0o644); err != nil {
			return fmt.Errorf("manual page: %w", err)
		}
	}
	return nil
}

// commandsOf returns the commands that do something, at every depth, without the hidden
// ones. A command that only has commands below it, such as setup, is left out.
func commandsOf(n *kong.Node) (all []*kong.Node) {
	for _, child := range n.Children {
		switch {
		case child.Hidden:
		case len(child.Children) > 0:
			all = append(all, commandsOf(child)...)
		default:
			all = append(all, child)
		}
	}
	return all
}

// commandPath is what is typed for a command after "dlfs".
func commandPath(n *kong.Node) string {
	if n.Parent == nil || n.Parent.Parent == nil {
		return n.Name
	}
	return commandPath(n.Parent) + " " + n.Name
}

// manName returns the name of a command's page: dlfs-setup-slurm for "dlfs setup
// slurm".
func manName(n *kong.Node) string { return "dlfs-" + strings.ReplaceAll(commandPath(n), " ", "-") }

// manProgram returns the page of the program, in the man macros of roff (man(7)). It
// has no date, so that the same program makes the same page and packages can be built
// again byte for byte.
func manProgram(app *kong.Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH DLFS 1 \"\" \"dlfs %s\" \"User Commands\"\n", roff(version()))
	fmt.Fprintf(&b, ".SH NAME\ndlfs \\- remote files of a list, as a directory\n")
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B dlfs\n.I COMMAND\n[flags]\n")
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n.PP\nEach command has a page of its own.\n", roff(app.Help))
	fmt.Fprintf(&b, ".SH COMMANDS\n")
	for _, n := range commandsOf(app) {
		fmt.Fprintf(&b, ".TP\n.BR %s (1)\n%s\n", roff(manName(n)), roff(n.Help))
	}
	fmt.Fprintf(&b, ".SH EXIT STATUS\n")
	for _, row := range exitRows() {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(row[0]), roff(row[1]))
	}
	fmt.Fprintf(&b, ".SH ENVIRONMENT\nEach flag can be given as a variable, which its command's page names.\n")
	fmt.Fprintf(&b, ".SH SEE ALSO\n.B dlfs help\n.I TOPIC\nshows the reference. Its topics are %s.\n", roff(strings.Join(topics(), ", ")))
	return b.String()
}

// exitRows returns the exit codes, each with its meaning, from the table in
// doc/output.md, so that the manual page and the documentation cannot differ.
func exitRows() (rows [][2]string) {
	page, err := pages.ReadFile("doc/output.md")
	if err != nil {
		panic(err) // the page is part of the binary
	}
	_, table, _ := strings.Cut(string(page), "| code | meaning |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			rows = append(rows, [2]string{strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])})
		}
	}
	return rows
}

// manCommand returns the manual page of one command in roff, made of the help texts of its
// arguments and flags, so that the page cannot differ from --help.
func manCommand(n *kong.Node) string {
	var b strings.Builder
	name := strings.ToUpper(manName(n))
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"dlfs %s\" \"User Commands\"\n", roff(name), roff(version()))
	help := strings.TrimSuffix(n.Help, ".")
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(manName(n)), roff(strings.ToLower(help[:1])+help[1:]))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B dlfs %s\n[flags]", roff(commandPath(n)))
	for _, arg := range n.Positional {
		fmt.Fprintf(&b, " %s", roff(arg.Summary()))
	}
	fmt.Fprintf(&b, "\n.SH DESCRIPTION\n%s\n", roff(n.Help))
	if len(n.Aliases) > 0 {
		fmt.Fprintf(&b, "Also called %s.\n", roff(strings.Join(n.Aliases, ", ")))
	}
	for _, arg := range n.Positional {
		fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roff(strings.ToUpper(arg.Name)), roff(arg.Help))
	}
	group := ""
	for i, f := range n.Flags {
		if f.Hidden {
			continue
		}
		title := "Flags"
		if f.Group != nil {
			title = f.Group.Title
		}
		if i == 0 || title != group {
			group = title
			fmt.Fprintf(&b, ".SH %s\n", roff(strings.ToUpper(title)))
		}
		fmt.Fprintf(&b, ".TP\n%s\n%s\n", manFlag(f), roff(manFlagHelp(f)))
	}
	fmt.Fprintf(&b, ".SH SEE ALSO\n.BR dlfs (1)\n")
	return b.String()
}

// manFlag returns a flag with its value in roff, as it is typed, such as "-j,
// --jobs=8". Flags without a value have none.
func manFlag(f *kong.Flag) string {
	name := "--" + f.Name
	if f.Short != 0 {
		name = fmt.Sprintf("-%c, --%s", f.Short, f.Name)
	}
	if f.IsBool() || f.IsCounter() {
		return ".B " + roff(name)
	}
	return fmt.Sprintf(".BI %s %s", roff(strings.ReplaceAll(name, " ", "\u00a0"))+"=", roff(f.FormatPlaceHolder()))
}

// manFlagHelp returns the help of a flag, with its other names and its environment
// variable.
func manFlagHelp(f *kong.Flag) string {
	text := f.Help
	if len(f.Aliases) > 0 {
		text += " Also --" + strings.Join(f.Aliases, ", --") + "."
	}
	if len(f.Envs) > 0 && f.Envs[0] != "-" {
		text += " ($" + strings.Join(f.Envs, ", $") + ")"
	}
	return text
}

// roff escapes a text for roff: backslashes, hyphens, which would otherwise become
// dashes, and a period or quote at the beginning, which would begin a request. Newlines
// become spaces.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ", "\u00a0", `\ `).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		return `\&` + s
	}
	return s
}
