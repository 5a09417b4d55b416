package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// On a filesystem whose rename(2) cannot refuse to replace, a file that has the name stays, and
// what a crash has left between the link and the unlink is finished.
func TestLinkOrRename(t *testing.T) {
	write := func(dir *os.File, name, text string) {
		check(t, os.WriteFile(filepath.Join(dir.Name(), name), []byte(text), 0o600))
	}
	for _, tt := range []struct {
		about   string
		prepare func(from, to *os.File)
		err     error
		want    string // of the file under the new name
	}{
		{"free name", func(from, _ *os.File) { write(from, "blob", "new") }, nil, "new"},
		{"name of another file", func(from, to *os.File) {
			write(from, "blob", "new")
			write(to, "name", "old")
		}, fs.ErrExist, "old"},
		{"name of a link to nothing", func(from, to *os.File) {
			write(from, "blob", "new")
			check(t, os.Symlink("nowhere", filepath.Join(to.Name(), "name")))
		}, fs.ErrExist, ""},
		{"crash after the link", func(from, to *os.File) {
			write(from, "blob", "new")
			check(t, os.Link(filepath.Join(from.Name(), "blob"), filepath.Join(to.Name(), "name")))
		}, nil, "new"},
		{"blob that is gone", func(from, to *os.File) {}, fs.ErrNotExist, ""},
	} {
		from, to := openDir(t, t.TempDir()), openDir(t, t.TempDir())
		tt.prepare(from, to)
		err := linkOrRename(int(from.Fd()), "blob", int(to.Fd()), "name")
		if tt.err == nil && err != nil || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.about, err, tt.err)
		}
		got, _ := os.ReadFile(filepath.Join(to.Name(), "name")) // "" where there is none
		if string(got) != tt.want {
			t.Errorf("%s: the file has %q, want %q", tt.about, got, tt.want)
		}
		_, err = os.Lstat(filepath.Join(from.Name(), "blob"))
		if stays := err == nil; stays != (tt.err == fs.ErrExist) {
			t.Errorf("%s: the blob's own name stays: %v", tt.about, stays)
		}
	}
}

// Two files are the same only if they have the same bytes and end at the same place.
func TestSameBytes(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	const long = 2<<20 + 7
	whole := pattern("a", 0, long)
	other := pattern("a", 0, long)
	other[long-1]++
	for about, tt := range map[string]struct {
		a, b []byte
		want bool
	}{
		"equal":                {whole, whole, true},
		"last byte":            {whole, other, false},
		"shorter by a byte":    {whole, whole[:long-1], false},
		"shorter by the rest":  {whole, whole[:2<<20], false},
		"longer by the rest":   {whole[:2<<20], whole, false},
		"both empty":           {nil, nil, true},
		"one empty":            {nil, whole[:1], false},
		"equal to a piece end": {whole[:1<<20], whole[:1<<20], true},
	} {
		dir := t.TempDir()
		file := func(name string, p []byte) *os.File {
			check(t, os.WriteFile(filepath.Join(dir, name), p, 0o600))
			return openDir(t, filepath.Join(dir, name))
		}
		if same, err := s.sameBytes(file("a", tt.a), file("b", tt.b)); same != tt.want || err != nil {
			t.Errorf("%s: %v, %v", about, same, err)
		}
	}
}

// openDir opens a directory or a file until the test ends.
func openDir(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	check(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}
