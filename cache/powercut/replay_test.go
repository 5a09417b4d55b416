//go:build linux

package powercut

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Inodes of these tests.
const (
	dirID = 2 + iota
	fileID
	otherID
)

func mkdir(id, parent int, name string) []change {
	return []change{{kind: made, id: id, mode: os.ModeDir | 0o700}, {kind: linked, id: id, dir: parent, name: name}}
}

func mkfile(id, parent int, name string) []change {
	return []change{{kind: made, id: id, mode: 0o600}, {kind: linked, id: id, dir: parent, name: name}}
}

func rename(id, from int, name string, to int, newName string) []change {
	return []change{{kind: linked, id: id, dir: to, name: newName}, {kind: unlinked, id: id, dir: from, name: name, after: true}}
}

func fsync(id int) []change { return []change{{kind: synced, id: id}} }

func disk(calls ...[]change) *Disk {
	d := New()
	for _, c := range calls {
		d.doLocked(c...)
	}
	return d
}

// found lists what is in an image: names, and what files hold.
func found(t *testing.T, m Image) string {
	t.Helper()
	dir := t.TempDir()
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	var all []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		line := strings.TrimPrefix(path, dir+"/")
		if !e.IsDir() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += "=" + strings.ReplaceAll(string(content), "\x00", "0")
		}
		all = append(all, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// everyCut returns all that may be found at the end of a log, sorted.
func everyCut(t *testing.T, d *Disk, strict bool) string {
	t.Helper()
	r := d.Log().Replay(strict)
	for r.Step() {
	}
	var all []string
	for set := range 1 << r.Units() {
		all = append(all, found(t, r.CutUnits(func(unit int) bool { return set>>unit&1 == 1 })))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " | ")
}

func TestWhatMayBeFound(t *testing.T) {
	write := func(d *Disk, id int, data string, off int64) *Disk {
		d.writeLocked(id, []byte(data), off)
		return d
	}
	then := func(d *Disk, calls ...[]change) *Disk {
		for _, c := range calls {
			d.doLocked(c...)
		}
		return d
	}
	for _, c := range []struct {
		what            string
		disk            *Disk
		lenient, strict string
	}{
		{"a new file", disk(mkfile(fileID, rootID, "f")), " | f=", " | f="},
		{"a new file, forced", disk(mkfile(fileID, rootID, "f"), fsync(fileID)), "f=", " | f="},
		{"its directory forced", disk(mkfile(fileID, rootID, "f"), fsync(rootID)), "f=", "f="},
		{"a file in a new directory, forced", disk(mkdir(dirID, rootID, "d"), mkfile(fileID, dirID, "f"), fsync(fileID)),
			"d d/f=", " | d | d d/f="},
		{"bytes forced, then more", then(write(then(write(disk(mkfile(fileID, rootID, "f"), fsync(rootID)), fileID, "ab", 0), fsync(fileID)), fileID, "cd", 2)),
			"f=ab | f=abcd", "f=ab | f=abcd"},
		{"renamed over a name", disk(mkfile(fileID, rootID, "new"), mkfile(otherID, rootID, "old"), fsync(rootID), rename(fileID, rootID, "new", rootID, "old")),
			"new= old= | old=", "new= old= | old="},
		{"renamed, the target forced", disk(mkdir(dirID, rootID, "d"), mkfile(fileID, rootID, "f"), fsync(rootID), rename(fileID, rootID, "f", dirID, "g"), fsync(dirID)),
			"d d/g= | d d/g= f=", "d d/g= | d d/g= f="},
		{"renamed, the place it left forced", disk(mkdir(dirID, rootID, "d"), mkfile(fileID, rootID, "f"), fsync(rootID), rename(fileID, rootID, "f", dirID, "g"), fsync(rootID)),
			"d d/g=", "d d/g="},
		{"unlinked", disk(mkfile(fileID, rootID, "f"), fsync(rootID), []change{{kind: unlinked, id: fileID, dir: rootID, name: "f"}}),
			" | f=", " | f="},
		{"cut short", then(write(disk(mkfile(fileID, rootID, "f")), fileID, "abcd", 0), fsync(fileID), fsync(rootID), []change{{kind: sized, id: fileID, size: 1}}),
			"f=a | f=abcd", "f=a | f=abcd"},
		{"cut short and grown", then(write(disk(mkfile(fileID, rootID, "f")), fileID, "abcd", 0), fsync(rootID), []change{{kind: sized, id: fileID, size: 1}}, []change{{kind: sized, id: fileID, size: 2}}, fsync(fileID)),
			"f=a0", "f=a0"},
	} {
		if got := everyCut(t, c.disk, false); got != c.lenient {
			t.Errorf("%s: found %q, want %q", c.what, got, c.lenient)
		}
		if got := everyCut(t, c.disk, true); got != c.strict {
			t.Errorf("%s, strict: found %q, want %q", c.what, got, c.strict)
		}
	}
}

// TestModels writes pages over forced ones, and counts what the models find.
func TestModels(t *testing.T) {
	d := disk(mkfile(fileID, rootID, "f"), fsync(rootID))
	d.writeLocked(fileID, []byte(strings.Repeat("a", 2*pageSize)), 0)
	d.doLocked(fsync(fileID)...)
	d.writeLocked(fileID, []byte(strings.Repeat("b", 3*pageSize)), 0)
	r := d.Log().Replay(true)
	for r.Step() {
	}
	rng := rand.New(rand.NewPCG(1, 1))
	states := map[string]int{}
	for range 400 {
		image := r.Cut(Some, rng)
		f := image.tree[fileID]
		got := make([]byte, f.size)
		f.read(got, 0)
		if len(got) != 2*pageSize && len(got) != 3*pageSize {
			t.Fatalf("a size of %d", len(got))
		}
		for at := 0; at < len(got); at += sectorSize { // no sector is torn
			if s := string(got[at : at+sectorSize]); strings.Trim(s, s[:1]) != "" || at < 2*pageSize && s[0] == 0 {
				t.Fatalf("sector at %d is %q", at, s)
			}
		}
		torn := ""
		for page := range 2 {
			p := string(got[page*pageSize:][:pageSize])
			switch strings.Trim(p, p[:1]) {
			case "":
				torn += p[:1]
			default:
				torn += "?"
			}
		}
		states[fmt.Sprint(torn, len(got)/pageSize)]++
	}
	for _, want := range []string{"aa2", "ab2", "ba2", "bb2", "aa3", "bb3", "?b3"} {
		if states[want] == 0 {
			t.Errorf("%q was never found: %v", want, states)
		}
	}
	for model, want := range map[Model]string{Nothing: strings.Repeat("a", 2*pageSize), Everything: strings.Repeat("b", 3*pageSize)} {
		if got := found(t, r.Cut(model, rng)); got != "f="+want {
			t.Errorf("%v: found %.20q, %d bytes", model, got, len(got))
		}
	}
}

// TestFrom goes on from an image: all in it is forced.
func TestFrom(t *testing.T) {
	first := disk(mkdir(dirID, rootID, "d"), mkfile(fileID, dirID, "f"), mkfile(otherID, rootID, "g"))
	r := first.Log().Replay(true)
	r.To(first.Log().Len())
	second := From(r.Cut(Everything, nil))
	second.doLocked(change{kind: unlinked, id: otherID, dir: rootID, name: "g"})
	if got := everyCut(t, second, true); got != "d d/f= | d d/f= g=" {
		t.Errorf("found %q", got)
	}
	if second.mu.lastID != otherID {
		t.Errorf("the last inode is %d, and numbers must not come twice", second.mu.lastID)
	}
}

// TestKill goes on without a power cut: nothing is forced by that.
func TestKill(t *testing.T) {
	first := disk(mkfile(fileID, rootID, "f"), mkfile(otherID, rootID, "g"))
	r := first.Log().Replay(true)
	r.To(1) // in the middle of a call, which is ended
	second := r.Kill()
	second.doLocked(mkfile(otherID, rootID, "h")...)
	if got := everyCut(t, second, true); got != " | f= | f= h= | h=" {
		t.Errorf("found %q", got)
	}
}
