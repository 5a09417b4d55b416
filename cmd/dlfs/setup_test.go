package main

import (
	"strings"
	"testing"
)

// TestSetupContainer: the images start from nothing, and the one that fetches has no
// privileges. .ci/containers builds and runs them.
func TestSetupContainer(t *testing.T) {
	for kind, user := range map[string]bool{"fetch": true, "mount": false} {
		text, _, code := setup(t, "container", kind)
		if code != exitOK || !strings.Contains(text, "\nFROM scratch\n") || !strings.HasSuffix(text, "\nENTRYPOINT [\"dlfs\", \""+kind+"\"]\n") {
			t.Errorf("setup container %s: exit code %d, %s", kind, code, text)
		}
		if got := strings.Contains(text, "\nUSER 1000:1000\n"); got != user {
			t.Errorf("setup container %s: an ordinary user: %v, want %v", kind, got, user)
		}
	}
	for _, args := range [][]string{{"container"}, {"container", "other"}} {
		text, why, code := setup(t, args...)
		if code != exitUsage || text != "" || strings.Count(why, "\n") != 1 {
			t.Errorf("setup %q: exit code %d, %q, %q", args, code, text, why)
		}
	}
}
