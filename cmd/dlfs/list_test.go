package main

import (
	"strings"
	"testing"

	"dlfs/listfile"
)

// TestClashOnDisk: names that a disk takes for one are refused there, and only there.
func TestClashOnDisk(t *testing.T) {
	for _, tt := range []struct {
		names []string
		want  string // both names; "" if they do not clash
	}{
		{[]string{"a", "b"}, ""},
		{[]string{"dir/a", "DIR/A"}, `"dir/a" and "DIR/A"`},
		{[]string{"caf\u00e9", "cafe\u0301"}, "are one file"},
	} {
		entries := make([]listfile.Entry, len(tt.names))
		for i, name := range tt.names {
			entries[i].Name = name
		}
		if err := clashOnDisk(entries, false); err != nil {
			t.Errorf("%q on a disk that knows case: %v", tt.names, err)
		}
		err := clashOnDisk(entries, true)
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.names, err, tt.want)
		}
	}
}
