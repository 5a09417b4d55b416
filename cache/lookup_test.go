package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestLstatAgreesWithRoot looks at names that stand there and at names that do not, in
// directories and behind symbolic links, also such that lead out of the output directory.
func TestLstatAgreesWithRoot(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	out, elsewhere := s.Path(), t.TempDir()
	check(t, errors.Join(
		os.Mkdir(filepath.Join(out, "dir"), 0o755),
		os.WriteFile(filepath.Join(out, "dir", "file"), []byte("a"), 0o644),
		os.WriteFile(filepath.Join(elsewhere, "file"), []byte("a"), 0o644),
		os.Symlink("dir", filepath.Join(out, "within")),
		os.Symlink(filepath.Join(out, "dir"), filepath.Join(out, "absolute")),
		os.Symlink(elsewhere, filepath.Join(out, "out")),
		os.Symlink("../"+filepath.Base(elsewhere), filepath.Join(out, "above")),
		os.Symlink("nothing", filepath.Join(out, "dangling"))))
	for _, dir := range []string{".", "dir", "missing", "missing/too", "within", "absolute", "out", "above", "dangling", "dir/file"} {
		for _, base := range []string{"file", "none"} {
			name := filepath.Join(dir, base)
			got, err := s.lstat(name)
			want, wantErr := s.root.Lstat(name)
			missing, wantMissing := errors.Is(err, fs.ErrNotExist), errors.Is(wantErr, fs.ErrNotExist)
			if (err == nil) != (wantErr == nil) || missing != wantMissing || err == nil && !os.SameFile(got, want) {
				t.Errorf("%s: %v, %v; root has %v, %v", name, got, err, want, wantErr)
			}
			if s.Occupied(name) == wantMissing {
				t.Errorf("%s: occupied %v, root says %v", name, !wantMissing, wantErr)
			}
		}
		got, err := s.lstat(dir)
		want, wantErr := s.root.Lstat(dir)
		if (err == nil) != (wantErr == nil) || err == nil && !os.SameFile(got, want) {
			t.Errorf("%s: %v, %v; root has %v, %v", dir, got, err, want, wantErr)
		}
	}
}
