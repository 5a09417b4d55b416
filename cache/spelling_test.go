package cache

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"dlfs/cache/hosttest"
)

// TestSpelling stands for a disk that ignores case where the kernel has none: what is
// in the directory tells how a name is spelled.
func TestSpelling(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	if s.folds {
		t.Skip("the disk of temporary files ignores case; TestDiskThatIgnoresCase is of that")
	}
	check(t, os.Mkdir(filepath.Join(s.Path(), "sub"), 0o755))
	check(t, os.WriteFile(filepath.Join(s.Path(), "sub", "b"), nil, 0o600))
	for name, want := range map[string]bool{"sub/b": true, "sub/B": false} {
		s.folds = true
		got, err := s.spelled(name)
		check(t, err)
		if got != want {
			t.Errorf("%s is spelled so: %v", name, got)
		}
		s.folds = false
		if got, err := s.spelled(name); !got || err != nil {
			t.Errorf("%s on a disk that knows case: %v, %v", name, got, err)
		}
	}
}

// TestDiskThatIgnoresCase: on FAT, and on ext4 where it ignores case, the file of
// one entry is not taken for that of another whose name differs in case. Neither is
// one overwritten.
func TestDiskThatIgnoresCase(t *testing.T) {
	features := map[string]string{"vfat": "/sys/module/vfat", "ext4": "/sys/fs/ext4/features/casefold"}
	for kind, steps := range map[string][]string{
		"vfat": {"truncate -s 100M img && mkfs.vfat img", "mount -o loop img at"},
		"ext4": {"truncate -s 100M img && mkfs.ext4 -q -O casefold img", "mount -o loop img at && mkdir at/dir && chattr +F at/dir"},
	} {
		t.Run(kind, func(t *testing.T) {
			if _, err := os.Stat(features[kind]); err != nil {
				t.Skipf("the kernel has no such disk: %v", err)
			}
			at := t.TempDir()
			run := func(command string) {
				cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
				cmd.Dir = at
				if out, err := cmd.CombinedOutput(); err != nil {
					hosttest.Need(t, fmt.Errorf("%s: %w: %s", command, err, out))
				}
			}
			check(t, os.Mkdir(at+"/at", 0o755))
			for _, step := range steps {
				run(step)
				t.Cleanup(func() { exec.Command("umount", at+"/at").Run() }) // nothing is mounted after the first step
			}
			s := open(t, at+"/at/dir", Options{})
			if !s.folds {
				t.Fatal("the disk is taken for one that knows case")
			}
			for _, name := range []string{"a", "sub/b"} {
				b, err := s.Create(name, version(blobSize))
				check(t, err)
				check(t, b.Acquire())
				putAll(t, b)
				check(t, publish(t, b))
				b.Release()
			}
			wantDir(t, filepath.Join(s.Path(), "sub"), "b")
			var inTheWay *InTheWayError
			for _, name := range []string{"A", "sub/B", "SUB/b"} {
				if _, err := s.Create(name, version(blobSize)); !errors.As(err, &inTheWay) {
					t.Errorf("create %s: %v", name, err)
				}
			}
			if _, err := s.Create("a", version(blobSize)); err != nil {
				t.Errorf("create a: %v", err)
			}
			check(t, s.Close())
		})
	}
}
