package listfile

import "testing"

// Names that only some file systems can tell apart are told.
func TestCaseClash(t *testing.T) {
	for _, tt := range []struct {
		names         []string
		first, second string
		n             int
	}{
		{[]string{"a", "b"}, "", "", 0},
		{nil, "", "", 0},
		{[]string{"A.txt", "b", "a.txt"}, "A.txt", "a.txt", 1},
		{[]string{"A", "a", "é", "É", "e\u0301"}, "A", "a", 3},
		{[]string{"d/x", "D/x"}, "d/x", "D/x", 1},
		{[]string{"d/x", "D/y"}, "", "", 0},
		{[]string{"\u212b", "\u00e5"}, "\u212b", "\u00e5", 1}, // Å, as the unit
		{[]string{"ς", "σ"}, "ς", "σ", 1},
	} {
		l := &List{}
		for _, name := range tt.names {
			l.Entries = append(l.Entries, Entry{Name: name})
		}
		if a, b, n := l.CaseClash(); a != tt.first || b != tt.second || n != tt.n {
			t.Errorf("%q: %q, %q, %d", tt.names, a, b, n)
		}
	}
}
