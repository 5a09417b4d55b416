package origin

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Netrc holds the logins of a netrc file (ftp(1)). It does not change, and so
// is safe for concurrent use. A nil *Netrc holds none.
type Netrc struct {
	machines []machine // in the order of the file

	// Warning is one line for the user about the file, "" if all is well.
	Warning string
}

type machine struct {
	name            string // "" for the default
	login, password string
}

// NetrcPath is where the user's netrc file is to be: $NETRC, else .netrc in the
// home directory; "" if there is none. Nothing says that the file exists.
func NetrcPath() string {
	if path := os.Getenv("NETRC"); path != "" {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".netrc")
}

// netrcMost bounds a netrc file, in bytes: one that is a device may have no end.
const netrcMost = 1 << 20

// ReadNetrc reads a netrc file. One that others can read is used, with a
// Warning. The error names the file, and the line if that does not parse, but
// nothing of what it says. The caller closes the file.
func ReadNetrc(f *os.File) (*Netrc, error) {
	path := f.Name()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, netrcMost+1))
	if err != nil {
		return nil, err
	}
	if len(text) > netrcMost {
		return nil, fmt.Errorf("%s is longer than any netrc file, %d bytes", path, netrcMost)
	}
	n, err := parseNetrc(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if mode := info.Mode(); mode.IsRegular() && mode.Perm()&0o077 != 0 {
		n.Warning = fmt.Sprintf("%s holds passwords and is open to others (%v); chmod 600 makes it private", path, mode.Perm())
	}
	return n, nil
}

// parseNetrc reads words, which may stand on as many lines as they like. As in
// curl, one that starts with a quote ends with the next, and keywords are in any
// case. A number sign in the place of a keyword starts a comment; words that are
// none of the keywords are of no concern here.
func parseNetrc(text string) (*Netrc, error) {
	n, line, keyword := &Netrc{}, 0, "" // that wants a value
	macro := false                      // until an empty line
	for rest := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		line++
		if macro {
			macro = strings.TrimSpace(rest) != ""
			continue
		}
		for rest = trimLeft(rest); rest != "" && !macro; rest = trimLeft(rest) {
			if keyword == "" && rest[0] == '#' {
				break
			}
			var word string
			var err error
			if word, rest, err = netrcWord(rest); err != nil {
				return nil, fmt.Errorf("line %d: %w", line, err)
			}
			switch lower := strings.ToLower(word); {
			case keyword != "":
				if keyword == "machine" && word == "" {
					return nil, fmt.Errorf("line %d: machine without a name", line)
				}
				n.set(keyword, word)
				keyword, macro = "", keyword == "macdef"
			case lower == "default":
				n.machines = append(n.machines, machine{})
			case slices.Contains([]string{"machine", "login", "password", "account", "macdef"}, lower):
				keyword = lower
			}
		}
	}
	if keyword != "" {
		return nil, fmt.Errorf("line %d: %s has no value", line, keyword)
	}
	return n, nil
}

// trimLeft removes the white space that parts the words of a netrc file from the start
// of s.
func trimLeft(s string) string { return strings.TrimLeft(s, " \t\r\n\v\f") }

// set takes the value of a keyword. An account is for ftp alone.
func (n *Netrc) set(keyword, value string) {
	if keyword == "machine" {
		n.machines = append(n.machines, machine{name: value})
	}
	if len(n.machines) == 0 {
		return
	}
	switch m := &n.machines[len(n.machines)-1]; keyword {
	case "login":
		m.login = value
	case "password":
		m.password = value
	}
}

// netrcWord cuts the first word off s, which starts with one. A word may stand in double quotes, in
// which a backslash quotes the next character, and \n, \r and \t are what they are in C.
func netrcWord(s string) (word, rest string, err error) {
	if s[0] != '"' {
		if i := strings.IndexAny(s, " \t\r\n\v\f"); i >= 0 {
			return s[:i], s[i:], nil
		}
		return s, "", nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteString(cmp.Or(map[byte]string{'n': "\n", 'r': "\r", 't': "\t"}[s[i]], s[i:i+1]))
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("quote is not closed")
}

// login returns the login for a machine, a host without a port: that of the
// first of this name. The machine "" is the default, for hosts that have none.
// If user is not "", only of that user.
func (n *Netrc) login(name, user string) (login, password string, ok bool) {
	if n == nil {
		return "", "", false
	}
	for _, m := range n.machines {
		if strings.EqualFold(m.name, name) && (user == "" || user == m.login) {
			return m.login, m.password, true
		}
	}
	return "", "", false
}
