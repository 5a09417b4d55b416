package listfile

import (
	"crypto/sha256"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxComponent = 255  // NAME_MAX of Linux, in bytes
	maxName      = 4000 // below PATH_MAX (4096), with room for the directory it lies in

	// reservedDir holds dlfs' own state in the output directory.
	reservedDir = ".dlfs"
)

// checkName returns the first rule that a name breaks, or nil. A name that it accepts
// satisfies io/fs.ValidPath and path/filepath.IsLocal, can be created on any Linux file
// system, and prints as one line. Every name passes through here, whether it comes from
// the list, a URL or an origin. The error is a *longName if only the length is wrong,
// which callers cure with shorten.
func checkName(name string) error {
	if name == "" {
		return errEmptyName
	}
	if !isPlainASCII(name) {
		if !utf8.ValidString(name) {
			return fmt.Errorf("name %s is not valid UTF-8; write it in UTF-8", quote(name))
		}
		if c, found := findControl(name); found {
			return fmt.Errorf("name %s holds the control character %U; remove it", quote(name), c)
		}
	}
	switch {
	case strings.Contains(name, `\`):
		return fmt.Errorf("name %s holds a backslash; use / between directories", quote(name))
	case name[0] == '/':
		return fmt.Errorf("name %s is absolute; remove the leading /", quote(name))
	case len(name) > maxName:
		return &longName{fmt.Sprintf("name %s has %d bytes, more than %d; shorten it", quote(name), len(name), maxName)}
	case name[len(name)-1] == '/':
		return fmt.Errorf("name %s ends in /; name a file, not a directory", quote(name))
	}
	return checkComponents(name)
}

// checkComponents checks what stands between the slashes of a name.
func checkComponents(name string) error {
	for component := range strings.SplitSeq(name, "/") {
		switch {
		case component == "":
			return fmt.Errorf("name %s has an empty component; remove the extra /", quote(name))
		case component == "." || component == "..":
			return fmt.Errorf("name %s has a component %q; write the path without it", quote(name), component)
		case len(component) > maxComponent:
			return &longName{fmt.Sprintf("name %s has a component of %d bytes, more than %d; shorten it",
				quote(name), len(component), maxComponent)}
		}
	}
	if first, _, _ := strings.Cut(name, "/"); isReserved(first) {
		return fmt.Errorf("name %s lies in %s, where dlfs keeps its own state; use another name",
			quote(name), reservedDir)
	}
	return nil
}

// isReserved reports whether a component is the directory of the state on some disk:
// FAT and others ignore case and remove dots and spaces at the end, so ".DLFS. " would
// be created as ".dlfs". The component is not empty.
func isReserved(component string) bool {
	return component[0] == '.' && fold(strings.TrimRight(component, ". ")) == reservedDir
}

// findControl returns the first control character of s: C0, DEL or C1.
func findControl(s string) (c rune, found bool) {
	i := strings.IndexFunc(s, unicode.IsControl)
	if i < 0 {
		return 0, false
	}
	c, _ = utf8.DecodeRuneInString(s[i:])
	return c, true
}

// longName is the error of a name that is too long and breaks no other rule that was
// checked before its length.
type longName struct{ msg string }

func (e *longName) Error() string { return e.msg }

// shorten returns a name that is short enough. A component that is too long becomes its
// beginning, "~" with the first 6 bytes of its SHA-256 in hexadecimal, and its
// extension if that has at most 16 bytes; so two long names that differ at the end stay
// two. Of a name that is too long as a whole only the last component is kept. The same
// name is always shortened to the same, because a later run must find the file again.
// The beginning is cut at the boundary of a character.
func shorten(name string) string {
	if len(name) > maxName {
		name = name[strings.LastIndexByte(name, '/')+1:]
	}
	parts := strings.Split(name, "/")
	for i, part := range parts {
		if len(part) <= maxComponent {
			continue
		}
		hash := sha256.Sum256([]byte(part))
		end := fmt.Sprintf("~%x", hash[:6])
		if ext := path.Ext(part); len(ext) <= 16 {
			end += ext
		}
		begin := part[:maxComponent-len(end)]
		for !utf8.ValidString(begin) {
			begin = begin[:len(begin)-1]
		}
		parts[i] = begin + end
	}
	return strings.Join(parts, "/")
}
