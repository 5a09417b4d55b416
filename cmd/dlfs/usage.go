package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// usualFlags are the flags that --help shows of a command with many flags. --help-all
// shows all.
var usualFlags = []string{
	"help", "help-all", "config", "dir", "daemon", "dry-run", "save-failed", "prefetch", "until-complete", "read-timeout", "allow-other",
	"check-integrity", "jobs", "limit-rate", "header", "include", "exclude", "checksums", "progress", "verbose", "quiet", "log-file",
}

// manyFlags is from how many flags on a command is told of by its usual ones.
const manyFlags = 30

// helpOptions are those of every help.
var helpOptions = kong.HelpOptions{Compact: true}

// plainHelp is the help of a flag without its environment variable, which one sentence
// tells for all.
func plainHelp(v *kong.Value) string { return v.Help }

// shortHelp prints what --help does: of a command with many flags, the usual ones.
func shortHelp(options kong.HelpOptions, ctx *kong.Context) error {
	more := 0
	if command := ctx.Selected(); command != nil && len(command.Flags) >= manyFlags {
		for _, flag := range command.Flags {
			if !flag.Hidden && !slices.Contains(usualFlags, flag.Name) {
				flag.Hidden = true
				more++
			}
		}
	}
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil || more == 0 {
		return err
	}
	_, err := fmt.Fprintf(ctx.Stdout, "\n%s: dlfs %s --help-all\n", count(more, "flag more", "flags more"), ctx.Selected().Name)
	return err
}

// helpAll is the flag that prints the help with every flag.
type helpAll bool

// IgnoreDefault has kong leave the flag alone unless it is given.
func (helpAll) IgnoreDefault() {}

// BeforeReset prints the help and ends the command.
func (helpAll) BeforeReset(ctx *kong.Context) error {
	options := helpOptions
	options.ValueFormatter = plainHelp
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	_, err := fmt.Fprint(ctx.Stdout, "\nEach flag can also be given as an environment variable, such as DLFS_JOBS=16.\n")
	ctx.Kong.Exit(0)
	return err
}

// suggestionsMost is how many flags or commands are proposed in place of a wrong one.
const suggestionsMost = 3

var (
	positional  = regexp.MustCompile(`^\[?<([a-z]+)>( \.\.\.)?\]?: `)
	suggestions = regexp.MustCompile(`, did you mean one of (.*)\?$`)
)

// usageMistake returns the exit for a command line that does not parse. The words of
// kong are changed in two places: the name of an argument stands without its brackets,
// and a long list of proposals is left out.
func usageMistake(err error) error {
	text := positional.ReplaceAllString(err.Error(), "$1: ")
	if m := suggestions.FindStringSubmatch(text); m != nil && strings.Count(m[1], ",") >= suggestionsMost {
		text = strings.TrimSuffix(text, m[0])
	}
	separator := ";"
	if strings.HasSuffix(text, "?") {
		separator = ""
	}
	return &exitError{exitUsage, &mistake{text + separator + " \"dlfs --help\" tells more", err}}
}

// mistake is an error of the parser in words of this program.
type mistake struct {
	text string
	err  error // error of the parser, or of the write if the help could not be printed
}

func (m *mistake) Error() string { return m.text }
func (m *mistake) Unwrap() error { return m.err }
