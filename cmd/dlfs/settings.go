package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// settings are flags that a file gives: that of --config, or the list itself. The order
// is: the command line, the environment, --config, the list; the first one that gives a
// flag decides.
type settings struct {
	values map[string][]string // by the name of the flag
	where  map[string]string   // "FILE:LINE" of each
}

// listMark begins a line of a list that gives flags. Other readers take the line for a
// comment.
const listMark = "#dlfs:"

// listMaySet are the flags that a list may give. A list often comes from others, who are
// not to have commands run, files written, or certificates trusted.
var listMaySet = []string{
	"header", "user-agent", "referer", "jobs", "split", "max-per-host", "limit-rate", "order", "tries", "timeout", "connect-timeout",
	"retry-wait", "max-wait", "base-url", "columns", "format", "name-from", "include", "exclude",
}

// add takes in one value of a flag, and where it was read, for messages. A flag may have
// several values.
func (s *settings) add(where, name, value string) {
	if s.values == nil {
		s.values, s.where = map[string][]string{}, map[string]string{}
	}
	// "jobs = 8" and "--jobs = 8" are the same, as users copy flags from a command line.
	name = strings.TrimPrefix(strings.TrimSpace(name), "--")
	s.values[name] = append(s.values[name], value)
	s.where[name] = where
}

// readConfig reads a file of lines "FLAG = VALUE", or FLAG alone for a flag that has no
// value. Empty lines and lines that begin with # are left out. Whether a flag exists is
// told later, by check.
func readConfig(path string) (s settings, err error) {
	f, err := openNamed(path)
	if err != nil {
		return s, usageError("--config: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		// A name alone is a switch, such as "quiet".
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			value = "true"
		}
		s.add(fmt.Sprintf("%s:%d", path, n), name, strings.TrimSpace(value))
	}
	if err := lines.Err(); err != nil {
		return s, usageError("--config: %s: %w", path, err)
	}
	return s, nil
}

// headMost is how much of a list is looked through for its flags, in bytes.
const headMost = 64 << 10

// readHead reads the flags of a list that is a regular file: "#dlfs: FLAG=VALUE ..." in
// the comments that it begins with. A value with spaces stands in double quotes. A list
// that cannot be opened, or is a pipe or a URL, gives no flags here: the error is told
// when the list is read. A flag that a list may not give is an error (listMaySet).
func readHead(path string) (s settings, err error) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return s, nil // reading the list will tell the error; a pipe can be read only once
	}
	f, err := os.Open(path)
	if err != nil {
		return s, nil
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, headMost))
	for n := 1; lines.Scan() && strings.HasPrefix(lines.Text(), "#"); n++ {
		rest, ok := strings.CutPrefix(lines.Text(), listMark)
		if !ok {
			continue
		}
		where := fmt.Sprintf("%s:%d", path, n)
		for _, word := range quotedWords(rest) {
			name, value, ok := strings.Cut(word, "=")
			if !ok || !slices.Contains(listMaySet, name) {
				return s, usageError("%s: a list may not set %q; it may set FLAG=VALUE for the flags %s", where, printable(name), strings.Join(listMaySet, ", "))
			}
			s.add(where, name, value)
		}
	}
	return s, nil
}

// quotedWords divides a line at blanks outside of double quotes, and removes the
// quotes. A word may be empty if it stands in quotes.
func quotedWords(line string) (words []string) {
	var word strings.Builder
	quoted, begun := false, false
	for _, r := range line + " " {
		switch {
		case r == '"':
			quoted, begun = !quoted, true
		case (r == ' ' || r == '\t' || r == '\r') && !quoted:
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	return words
}

// resolver returns the settings in kong's form. kong asks it for each flag that the command line
// does not give; a flag that the environment gives is left to the environment. Of several values,
// a flag that is no list takes the last one.
func (s settings) resolver() kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for _, env := range flag.Envs {
			if _, set := os.LookupEnv(env); set {
				return nil, nil
			}
		}
		values := s.values[flag.Name]
		switch {
		case len(values) == 0:
			return nil, nil
		case !flag.IsSlice():
			return values[len(values)-1], nil
		}
		all := make([]any, len(values))
		for i, v := range values {
			all[i] = v
		}
		return all, nil
	})
}

// check returns an error if a setting is no flag of any command.
func (s settings) check(app *kong.Application) error {
	for name, where := range s.where {
		if !hasFlag(app.Node, name) {
			return usageError("%s: there is no flag --%s; correct the name or remove it", where, printable(name))
		}
	}
	return nil
}

// hasFlag reports whether a command, or one below it, has a flag of that name.
func hasFlag(node *kong.Node, name string) bool {
	return slices.ContainsFunc(node.Flags, func(f *kong.Flag) bool { return f.Name == name }) ||
		slices.ContainsFunc(node.Children, func(child *kong.Node) bool { return hasFlag(child, name) })
}

// resolvers returns the settings of the list and of --config as resolvers of kong, for
// a command line that has been parsed without them. kong asks all of them, and the last
// one decides, so --config comes last.
func resolvers(config string, kctx *kong.Context) (list []kong.Resolver, err error) {
	var all []settings
	// The list is known only after the command line was parsed once; it is parsed again with the
	// resolvers that this returns.
	for _, p := range kctx.Path {
		if p.Positional == nil || p.Positional.Name != "list" || p.Positional.Target.String() == "-" {
			continue
		}
		head, err := readHead(p.Positional.Target.String())
		if err != nil {
			return nil, err
		}
		all = append(all, head)
	}
	if config != "" {
		s, err := readConfig(config)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	var errs []error
	for _, s := range all {
		if len(s.values) > 0 {
			errs = append(errs, s.check(kctx.Model))
			list = append(list, s.resolver())
		}
	}
	return list, errors.Join(errs...)
}
