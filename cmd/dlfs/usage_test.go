package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func helpOf(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(context.Background(), args, stdio{in: strings.NewReader(""), out: &out, err: &errs}); code != exitOK || errs.Len() > 0 {
		t.Fatalf("%q: exit code %d, %s", args, code, errs.String())
	}
	return out.String()
}

// TestHelpTellsUsualFlags: --help fits on two screens, and --help-all has the rest.
func TestHelpTellsUsualFlags(t *testing.T) {
	var told []string
	for _, command := range []string{"mount", "fetch", "verify"} {
		short, all := helpOf(t, command, "--help"), helpOf(t, command, "--help-all")
		if n := strings.Count(short, "\n"); n > 70 {
			t.Errorf("the help of %s has %d lines", command, n)
		}
		if strings.Contains(short, "--trust-size") || !strings.Contains(all, "--trust-size") || !strings.Contains(short, "--help-all\n") {
			t.Errorf("%s: flags are told in the wrong help", command)
		}
		if strings.Contains(short, "$DLFS") {
			t.Errorf("the help of %s names variables", command)
		}
		told = append(told, short)
	}
	for _, flag := range usualFlags {
		if !slices.ContainsFunc(told, func(help string) bool {
			return strings.Contains(help, "--"+flag)
		}) {
			t.Errorf("no help tells of --%s", flag)
		}
	}
	if help := helpOf(t, "umount", "--help"); strings.Contains(help, "flags more") {
		t.Errorf("a command with few flags hides some: %s", help)
	}
}

func TestUsageMistakes(t *testing.T) {
	for says, want := range map[string]string{
		`unexpected argument fetc, did you mean "fetch"?`:               `unexpected argument fetc, did you mean "fetch"? "dlfs --help" tells more`,
		`unknown flag -o, did you mean one of "-h", "-d", "-n", "-H"?`:  `unknown flag -o; "dlfs --help" tells more`,
		`unknown flag --dri, did you mean one of "--dir", "--dry-run"?`: `unknown flag --dri, did you mean one of "--dir", "--dry-run"? "dlfs --help" tells more`,
		`[<rate>]: "abc" is no rate`:                                    `rate: "abc" is no rate; "dlfs --help" tells more`,
		`<pattern> ...: no`:                                             `pattern: no; "dlfs --help" tells more`,
	} {
		if got := usageMistake(errors.New(says)).Error(); got != want {
			t.Errorf("%s is told as %s, want %s", says, got, want)
		}
	}
}
