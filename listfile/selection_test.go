package listfile

import "testing"

// TestPatterns: what a pattern is of, beyond what package path knows.
func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"train/**", "train/a/b.tar", true},
		{"train/**", "training/b.tar", false},
		{"train/**/*.tar", "train/b.tar", true},
		{"train/**/*.tar", "train/a/b/c.tar", true},
		{"**/b/**", "a/b/c/d", true},
		{"b.tar", "a/b.tar", true},
		{"/b.tar", "a/b.tar", false},
		{"x{1,2}.bin", "x{1,2}.bin", true}, // braces are part of names
		{"x{1,2}.bin", "x1.bin", false},
		{`x\{1}`, "x{1}", true},
		{"x[{}]", "x{", true},
		{"x[!{}]", "x{", false},
		{"caf?", "café", true},
	} {
		s, err := newSelection([]string{tt.pattern}, nil)
		if err != nil {
			t.Errorf("%q: %v", tt.pattern, err)
		} else if got := s.keeps(tt.name); got != tt.want {
			t.Errorf("%q of %q: %v", tt.pattern, tt.name, got)
		}
	}
	for _, pattern := range []string{"[a", `a\`, "a[", "[]"} {
		if _, err := newSelection(nil, []string{pattern}); err == nil {
			t.Errorf("%q is taken", pattern)
		}
	}
}
