package cache

import (
	"os"
	"path/filepath"
	"testing"

	"dlfs/cache/hosttest"
)

// TestLeftovers: a question removes the copies of killed questions, and nothing else: not a
// copy that is in use, nor what only has such a name.
func TestLeftovers(t *testing.T) {
	store, temp := closedStore(t), t.TempDir()
	t.Setenv("TMPDIR", temp)
	ask := func() *Store {
		t.Helper()
		r, err := OpenReadOnly(store, Options{})
		check(t, err)
		t.Cleanup(func() { check(t, r.Close()) })
		return r
	}
	killed := ask()
	copied := filepath.Join(temp, tempPrefix+"1")
	check(t, copyDir(copied, killed.snapshot))
	halfGone := filepath.Join(temp, tempPrefix+"2")
	check(t, os.Mkdir(halfGone, 0o700))
	check(t, os.WriteFile(filepath.Join(halfGone, tempLock), nil, 0o600))

	var kept []string
	keep := func(name string) string {
		kept = append(kept, name)
		return filepath.Join(temp, name)
	}
	kept = append(kept, filepath.Base(killed.snapshot))
	check(t, copyDir(keep(tempPrefix+"3"), store)) // as with --state
	check(t, os.WriteFile(keep(tempPrefix+"4"), nil, 0o600))
	target := t.TempDir()
	check(t, copyDir(target, killed.snapshot))
	check(t, os.Symlink(target, keep(tempPrefix+"5")))
	check(t, os.Mkdir(keep(tempPrefix+"6"), 0o700))
	check(t, os.Symlink(filepath.Join(target, tempLock), filepath.Join(temp, tempPrefix+"6", tempLock)))
	check(t, copyDir(keep("mine"), killed.snapshot))

	second := ask()
	wantDir(t, temp, append(kept, filepath.Base(second.snapshot))...)
	wantBlocks(t, lookup(t, killed, "unfinished"), 0, 2)
	if _, err := os.Stat(filepath.Join(target, tempLock)); err != nil {
		t.Errorf("a link was followed: %v", err)
	}
}

// TestLeftoversOfOthers: the copy of another user's question stays.
func TestLeftoversOfOthers(t *testing.T) {
	hosttest.Need(t, hosttest.Root())
	store, temp := closedStore(t), t.TempDir()
	t.Setenv("TMPDIR", temp)
	name := tempPrefix + "1"
	check(t, os.Mkdir(filepath.Join(temp, name), 0o700))
	check(t, os.WriteFile(filepath.Join(temp, name, tempLock), nil, 0o600))
	check(t, os.Chown(filepath.Join(temp, name), 12345, 12345))
	r, err := OpenReadOnly(store, Options{})
	check(t, err)
	check(t, r.Close())
	wantDir(t, temp, name)
}
