package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"unicode"
)

// systemdCmd prints units of systemd. The help of each field is what a user reads.
type systemdCmd struct {
	List       string   `arg:"" help:"List to mount: a file or a URL."`
	Mountpoint string   `arg:"" help:"Where to mount it."`
	Flags      []string `arg:"" optional:"" help:"Flags for \"dlfs mount\", after --."`

	User bool   `help:"Units for this user's own systemd instead of the machine's."`
	Name string `placeholder:"NAME" help:"Name of the service; dlfs- and the mountpoint if not given."`
	To   string `placeholder:"DIR" help:"Write the units as files in DIR instead of printing them."`
}

// units is what the templates of units are filled with. Each field is escaped for
// where it stands.
type units struct {
	Name   string // of the service, without suffix
	What   string // is mounted, for people
	User   bool
	Needs  string // paths that must be mounted before
	Start  string // command line
	Reload string // command line
	Watch  string // path of the list
}

// Run prints the units, or with --to writes them as files, and says on standard error what to do
// next. A list that is a file has three units more, which reload it when it changes.
func (c *systemdCmd) Run(std stdio) error {
	if err := c.check(std); err != nil {
		return err
	}
	u, err := c.units()
	if err != nil {
		return err
	}
	files := []string{"dlfs.service"}
	if u.Watch != "" {
		files = append(files, "dlfs-list.path", "dlfs-list.service", "dlfs-reload.service")
	}
	var names []string
	for i, file := range files {
		name := u.Name + strings.TrimPrefix(file, "dlfs")
		names = append(names, name)
		text, err := template.ParseFS(dist, "dist/"+file)
		if err != nil {
			return err
		}
		if c.To == "" && i > 0 {
			fmt.Fprintln(std.out)
		}
		err = c.write(name, std.out, func(w io.Writer) error { return text.Execute(w, u) })
		if err != nil {
			return err
		}
	}
	c.tellNext(std.err, names)
	return nil
}

// check refuses what would only fail at boot, where the message is in the journal
// alone. The flags after -- are parsed as the command line of mount would be.
func (c *systemdCmd) check(std stdio) error {
	if c.List == "-" {
		return usageError("standard input is not there at boot; give the list as a file or a URL")
	}
	for _, s := range append([]string{c.List, c.Mountpoint, c.Name}, c.Flags...) {
		if strings.ContainsFunc(s, unicode.IsControl) {
			return usageError("%q has a control character, which a unit cannot hold; remove it", s)
		}
	}
	if strings.Contains(c.Name, "/") {
		return usageError("--name %s has a slash; give the name of a unit", c.Name)
	}
	return checkCommand(std, "mount", c.List, c.Mountpoint, c.Flags)
}

// units returns the values that the templates of the units are filled with. Paths are absolute,
// since a service has no working directory of its own.
func (c *systemdCmd) units() (u units, err error) {
	self, err := os.Executable()
	if err != nil {
		return u, err
	}
	list, err := absolute(c.List)
	if err != nil {
		return u, err
	}
	point, err := filepath.Abs(c.Mountpoint)
	if err != nil {
		return u, err
	}
	u = units{Name: c.Name, User: c.User, What: unitText(shown(list) + " on " + point)}
	if u.Name == "" {
		u.Name = "dlfs" + unitName(point)
	}
	// Without --daemon: systemd watches the process that it has started, which tells it when the
	// mount is live (sd_notify(3)).
	u.Start = unitCommand(append([]string{self, "mount", list, point}, c.Flags...)...)
	u.Reload = unitCommand(self, "reload", point)
	// The service waits for the filesystems that the mountpoint and the list are on
	// (RequiresMountsFor= in systemd.unit(5)).
	u.Needs = unitWord(filepath.Dir(point))
	if !isURL(list) {
		u.Watch = unitText(list)
		u.Needs += " " + unitWord(filepath.Dir(list))
	}
	return u, nil
}

// write has one unit written to the file of that name in --to, or to out without --to.
// The unit before it stays if a write fails.
func (c *systemdCmd) write(name string, out io.Writer, unit func(io.Writer) error) error {
	if c.To == "" {
		return unit(out)
	}
	path := filepath.Join(c.To, name)
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("unit: %w", err)
	}
	if err := errors.Join(unit(f), f.Close()); err != nil {
		return fmt.Errorf("unit %s: %w", path, err)
	}
	return nil
}

// tellNext writes to w how the units with these names come into force.
func (c *systemdCmd) tellNext(w io.Writer, names []string) {
	systemctl, dir := "systemctl", "/etc/systemd/system"
	if c.User {
		systemctl, dir = "systemctl --user", "~/.config/systemd/user"
	}
	if c.To == "" {
		fmt.Fprintf(w, "dlfs: save each unit under its name in %s, or have --to do it; then run\n", dir)
	} else {
		fmt.Fprintf(w, "dlfs: %s in %s; once that is %s, run\n", strings.Join(names, ", "), c.To, dir)
	}
	// The first two are the service and the path unit. The path unit starts the other ones.
	fmt.Fprintf(w, "dlfs: %s daemon-reload && %s enable --now %s\n", systemctl, systemctl, strings.Join(names[:min(2, len(names))], " "))
}

// unitName turns a path into a part of a unit's name that no shell needs quoted.
func unitName(path string) string {
	return strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '.') {
			return r
		}
		return '-'
	}, strings.TrimSuffix(path, "/"))
}

// unitText escapes a text that is the whole of a setting: systemd.unit(5) expands
// specifiers, which begin with %.
func unitText(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// unitWord quotes a text as one word of a setting (systemd.syntax(7)).
func unitWord(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(s) + `"`
}

// unitCommand returns a command line for a unit (systemd.service(5)). A dollar sign
// begins a variable there, so it is doubled. Words that need no quotes have none, for
// people who read the unit.
func unitCommand(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strings.ReplaceAll(w, "$", "$$")
		if w == "" || strings.ContainsFunc(w, func(r rune) bool { return !isPlainInUnit(r) }) {
			quoted[i] = unitWord(quoted[i])
		}
	}
	return strings.Join(quoted, " ")
}

// isPlainInUnit reports whether a character means itself in a command line, also
// outside of quotes.
func isPlainInUnit(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_./:=@,+?&$~", r)
}
