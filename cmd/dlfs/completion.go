package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"dlfs/fs"
	"dlfs/listfile"
)

// completionCmd prints the script that has a shell complete commands of dlfs. The help of each
// field is what a user reads.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: ${enum}."`
}

// Run prints what a shell is to read so that it completes commands of dlfs.
func (c *completionCmd) Run(std stdio) error {
	_, err := fmt.Fprint(std.out, completionScripts[c.Shell])
	return err
}

// completeWord is the word that the scripts begin a question with.
const completeWord = "complete-line"

// completionScripts are the scripts, by shell. They ask the dlfs on the command line
// for each word, so that they know the flags of the version that is installed, and need
// no update with it.
var completionScripts = map[string]string{
	"bash": `# bash completion of dlfs: source <(dlfs completion bash)
_dlfs() {
	local IFS=$'\n'
	COMPREPLY=($("${COMP_WORDS[0]}" complete-line "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
	if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then
		compopt -o nospace
	fi
}
complete -o filenames -F _dlfs dlfs
`,
	"zsh": `#compdef dlfs
# zsh completion of dlfs: source <(dlfs completion zsh)
_dlfs() {
	local -a all
	all=("${(@f)$("${words[1]}" complete-line "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	compadd -S '' -- "${(@M)all:#*/}"
	compadd -- "${(@)all:#*/}"
}
compdef _dlfs dlfs
`,
	"fish": `# fish completion of dlfs: dlfs completion fish | source
complete -c dlfs -f -a '(set -l line (commandline -opc); $line[1] complete-line $line[2..] (commandline -ct) 2>/dev/null)'
`,
}

// completing is how long a shell is kept waiting for candidates. Names that come later
// are not offered.
const completing = 2 * time.Second

// completeLine prints what the last of words may become, one a line. words is the
// command line without the program, up to the cursor.
func completeLine(ctx context.Context, parser *kong.Kong, words []string, std stdio) error {
	ctx, cancel := context.WithTimeout(ctx, completing)
	defer cancel()
	if len(words) == 0 {
		words = []string{""}
	}
	words, split := joinEquals(words)
	l := newLine(parser.Model.Node, words)
	for _, word := range l.candidates(ctx) {
		if split {
			_, word, _ = strings.Cut(word, "=")
		}
		if _, err := fmt.Fprintln(std.out, word); err != nil {
			return err
		}
	}
	return nil
}

// joinEquals puts a flag and its value together that bash has divided at the equals
// sign (COMP_WORDBREAKS, bash(1)). split says that this concerns the last word: bash
// then wants the value alone as the candidate.
func joinEquals(words []string) (joined []string, split bool) {
	for i := 0; i < len(words); i++ {
		if words[i] != "=" || len(joined) == 0 || !strings.HasPrefix(joined[len(joined)-1], "-") {
			joined, split = append(joined, words[i]), false
			continue
		}
		value := ""
		if i+1 < len(words) {
			i++
			value = words[i]
		}
		joined[len(joined)-1] += "=" + value
		split = true
	}
	return joined, split
}

// line is a command line whose last word is being written.
type line struct {
	node       *kong.Node // the command; the program before one is given
	flags      []*kong.Flag
	arguments  []string   // those of the command so far
	value      *kong.Flag // the word is the value of this flag; nil if it is not
	word       string
	prefix     string // of each candidate: "--flag=" where the value is in the same word
	onlyOthers bool   // after --, nothing is a flag
}

// newLine reads the words of a command line. The last word is the one to be completed,
// and may be empty.
func newLine(app *kong.Node, words []string) *line {
	l := &line{node: app, flags: app.Flags, word: words[len(words)-1]}
	for _, word := range words[:len(words)-1] {
		l.take(word)
	}
	if name, value, ok := strings.Cut(l.word, "="); ok && l.value == nil && strings.HasPrefix(name, "--") {
		if l.value = l.flag(name); l.value != nil {
			l.prefix, l.word = name+"=", value
		}
	}
	return l
}

// take goes on by one word of the line that is complete: a command, a flag, the value of the flag
// before it, or an argument.
func (l *line) take(word string) {
	switch {
	case l.value != nil:
		l.value = nil
	case word == "--":
		l.onlyOthers = true
	case strings.HasPrefix(word, "-") && word != "-" && !l.onlyOthers:
		if f := l.flag(word); f != nil && !f.IsBool() && !f.IsCounter() && !strings.Contains(word, "=") {
			l.value = f
		}
	case l.node.Type == kong.ApplicationNode:
		for _, child := range l.node.Children {
			if child.Name == word || slices.Contains(child.Aliases, word) {
				l.node, l.flags = child, append(slices.Clone(l.flags), child.Flags...)
				return
			}
		}
	default:
		for _, child := range l.node.Children {
			if child.Name == word {
				l.node, l.flags = child, append(slices.Clone(l.flags), child.Flags...)
				return
			}
		}
		l.arguments = append(l.arguments, word)
	}
}

// flag returns the flag that a word is, by its name, an alias or its letter; nil if it
// is none. Of letters that are joined, as in -qn, the last one is the flag, because
// only that one can take a value.
func (l *line) flag(word string) *kong.Flag {
	name, _, _ := strings.Cut(word, "=")
	for _, f := range l.flags {
		long := strings.TrimPrefix(name, "--")
		if strings.HasPrefix(name, "--") && (f.Name == long || slices.Contains(f.Aliases, long)) {
			return f
		}
		if !strings.HasPrefix(name, "--") && f.Short != 0 && strings.HasSuffix(name, string(f.Short)) {
			return f
		}
	}
	return nil
}

// candidates returns what the word may become, each whole, sorted, and none twice.
func (l *line) candidates(ctx context.Context) (list []string) {
	for _, c := range l.choices(ctx) {
		if strings.HasPrefix(c, l.word) {
			list = append(list, l.prefix+c)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// choices returns what the last word of the line may be: a value of the flag before it, a flag,
// a command, a name of the list, a topic of help, or another value of the argument.
func (l *line) choices(ctx context.Context) []string {
	switch {
	case l.value != nil:
		return l.valuesOf(l.value.Value)
	case strings.HasPrefix(l.word, "-") && !l.onlyOthers:
		var names []string
		for _, f := range l.flags {
			if !f.Hidden {
				names = append(names, "--"+f.Name)
			}
		}
		return names
	case len(l.node.Children) > 0:
		var names []string
		for _, child := range l.node.Children {
			if !child.Hidden {
				names = append(names, child.Name)
			}
		}
		return names
	}
	at := l.argument(len(l.arguments))
	switch {
	case at == nil:
		return nil
	case at.Name == "name", at.Name == "pattern":
		return l.names(ctx)
	case at.Name == "topic":
		return topics()
	}
	return l.valuesOf(at)
}

// argument returns the n-th positional argument of the command, counted from 0, and the
// last one for all that follow if it takes several; nil if there is none.
func (l *line) argument(n int) *kong.Value {
	all := l.node.Positional
	switch {
	case n < len(all):
		return all[n]
	case len(all) > 0 && all[len(all)-1].IsSlice():
		return all[len(all)-1]
	}
	return nil
}

// valuesOf returns the values that a flag or an argument may have: those of its enum,
// mountpoints and directories, or files. It is nil for a value that cannot be listed,
// such as a number.
func (l *line) valuesOf(v *kong.Value) []string {
	switch what := strings.ToLower(v.Tag.PlaceHolder); {
	case v.Enum != "":
		return v.EnumSlice()
	case v.Name == "dir", v.Name == "mountpoint", what == "dir":
		points, err := fs.Mounts()
		if err != nil {
			points = nil // directories will do
		}
		return append(points, paths(l.word, true)...)
	case v.Name == "list", what == "file", v.Name == "file":
		return paths(l.word, false)
	}
	return nil
}

// paths returns the directories that begin with word, each with a slash at its end, and
// the files unless only directories are wanted. Hidden ones are left out unless word
// has the period.
func paths(word string, onlyDirs bool) (list []string) {
	dir, begin := filepath.Split(word)
	entries, err := os.ReadDir(filepath.Clean(dir + "."))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil || strings.HasPrefix(e.Name(), ".") && begin == "" {
			continue
		}
		if info.IsDir() {
			list = append(list, dir+e.Name()+"/")
		} else if !onlyDirs {
			list = append(list, dir+e.Name())
		}
	}
	return list
}

// namesOffered is how many names of files are proposed.
const namesOffered = 1000

// names returns names of files that begin as the word does: those of the list on the command
// line, or those of the process that has the directory on the command line. Errors give no
// names, since a shell has no place to show them.
func (l *line) names(ctx context.Context) (names []string) {
	if len(l.arguments) == 0 {
		return nil
	}
	if l.node.Positional[0].Name == "list" {
		return namesOfList(l.arguments[0], l.word)
	}
	q := url.Values{"q": {l.word}, "limit": {fmt.Sprint(namesOffered)}}
	a, err := ask(ctx, l.arguments[0], "GET", "/files?"+q.Encode(), nil)
	if err != nil {
		return nil
	}
	defer a.close()
	a.value = answerMost
	var found Selection
	if err := json.NewDecoder(a).Decode(&found); err != nil {
		return nil
	}
	for _, f := range found.Files {
		names = append(names, f.Name)
	}
	return names
}

// namesOfList returns the first names of a list that begin so, at most namesOffered.
// What is right of a wrong list is used, and all errors give no names.
func namesOfList(path, begin string) (names []string) {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil // a pipe might never end
	}
	list, _ := listfile.Parse(f, path, listfile.Options{}) // what is right of it will do
	if list == nil {
		return nil
	}
	for i := range list.Entries {
		if name := list.Entries[i].Name; strings.HasPrefix(name, begin) && len(names) < namesOffered {
			names = append(names, name)
		}
	}
	return names
}
