package listfile

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestRename is what becomes of entries whose names are asked for: one that cannot
// be named costs no other.
func TestRename(t *testing.T) {
	const text = `http://h/1/content
http://h/2/content
http://h/3/content
http://h/dir/
listed.bin	http://h/5
http://h/6/content
http://h/7/content
http://h/8/last
http://h/9/content
http://h/9/content
`
	l, err := Parse(strings.NewReader(text), "list", Options{NameFrom: Disposition})
	if err != nil {
		t.Fatal(err)
	}
	dead := errors.New("host is dead")
	err = l.Rename([]Answer{{Name: "one"}, {Name: "one"}, {Err: dead}, {}, {}, {Name: "listed.bin"}, {Name: ".."}, {}, {Name: "nine"}, {Name: "nine"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"one", "content", "content~3", "unnamed", "listed.bin", "content~6", "content~7", "last", "nine"}
	refused := []string{"", "already stands on line 1", "host is dead", "does not name the file", "", "already stands on line 5", `has a component ".."`, "", ""}
	var names []string
	for i, e := range l.Entries {
		names = append(names, e.Name)
		if i >= len(want) {
			break
		}
		why := ""
		if e.Details != nil && e.Details.Refused != nil {
			why = e.Details.Refused.Error()
		}
		if !strings.Contains(why, refused[i]) || (why == "") != (refused[i] == "") {
			t.Errorf("%s is refused with %q, want %q", e.URL, why, refused[i])
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("names are %q, want %q", names, want)
	}
	if l.Folded != 1 || !errors.Is(l.Entries[2].Details.Refused, dead) {
		t.Errorf("%d are folded, want 1; %v", l.Folded, l.Entries[2].Details.Refused)
	}
}

// TestRenameKeepsWhatIsWanted: patterns are about the names that origins give.
func TestRenameKeepsWhatIsWanted(t *testing.T) {
	opts := Options{NameFrom: Disposition, Include: []string{"*.bin"}}
	l, err := Parse(strings.NewReader("http://h/1/content\nhttp://h/2/guess.bin\nhttp://h/3/x\n"), "list", opts)
	if err != nil || len(l.Entries) != 3 {
		t.Fatalf("%+v, %v", l, err)
	}
	if err := l.Rename([]Answer{{Name: "a.bin"}, {Name: "a.txt"}, {Err: errors.New("dead")}}, opts); err != nil {
		t.Fatal(err)
	}
	if len(l.Entries) != 2 || l.Entries[0].Name != "a.bin" || l.Entries[1].Name != "x" || l.LeftOut != 1 {
		t.Errorf("%+v", l)
	}
}
