package listfile

import (
	"hash/maphash"
	"testing"
)

// TestNamesOfOneHash: two names are two, also if their hashes are one.
func TestNamesOfOneHash(t *testing.T) {
	l := &List{}
	x := newIndex(l)
	put := func(name string) (bool, error) {
		e := Entry{Name: name, URL: "http://h/" + name, Line: len(l.Entries) + 1}
		repeated, err := x.add(e, len(l.Entries))
		if !repeated && err == nil {
			l.Entries = append(l.Entries, e)
		}
		return repeated, err
	}
	if repeated, err := put("a"); repeated || err != nil {
		t.Fatal(repeated, err)
	}
	x.files.add(maphash.String(x.seed, "b"), 0) // as if the hashes of a and b were one
	for _, name := range []string{"b", "c"} {
		if repeated, err := put(name); repeated || err != nil {
			t.Errorf("%s: %v, %v", name, repeated, err)
		}
		if repeated, err := put(name); !repeated || err != nil {
			t.Errorf("%s again: %v, %v", name, repeated, err)
		}
	}
	if e := x.find("b"); e == nil || e.Line != 2 || x.find("d") != nil {
		t.Errorf("found %+v", e)
	}
	if _, err := put("b/x"); err == nil {
		t.Error("a file lies in a file")
	}
}
