package hosttest

import (
	"errors"
	"flag"
	"fmt"
	"testing"
)

// asked is a test that notes what became of it.
type asked struct {
	testing.TB
	skipped, failed string
}

func (a *asked) Helper()                           {}
func (a *asked) Skip(args ...any)                  { a.skipped = fmt.Sprint(args...) }
func (a *asked) Fatalf(format string, args ...any) { a.failed = fmt.Sprintf(format, args...) }

// TestNeed: what is missing skips a test, and fails it where all must run.
func TestNeed(t *testing.T) {
	missing := errors.New("no such device")
	for _, c := range []struct {
		all             string
		why             error
		skipped, failed string
	}{
		{"", nil, "", ""},
		{"1", nil, "", ""},
		{"", missing, "no such device", ""},
		{"1", missing, "", "DLFS_TEST_ALL is set, and yet: no such device"},
	} {
		t.Setenv(All, c.all)
		var a asked
		if Need(&a, c.why); a.skipped != c.skipped || a.failed != c.failed {
			t.Errorf("%s=%s, %v: skipped %q, failed %q", All, c.all, c.why, a.skipped, a.failed)
		}
	}
}

// TestNeedForExamples: examples are left out where something is missing, and never where all
// must run.
func TestNeedForExamples(t *testing.T) {
	missing := errors.New("no network")
	skip := flag.Lookup("test.skip").Value
	before := skip.String()
	t.Cleanup(func() {
		if err := skip.Set(before); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct {
		all  string
		why  error
		want string
	}{
		{"", nil, before},
		{"1", missing, before},
		{"", missing, "^Example"},
	} {
		t.Setenv(All, c.all)
		if NeedForExamples(c.why); skip.String() != c.want {
			t.Errorf("%s=%s, %v: -test.skip is %q, want %q", All, c.all, c.why, skip, c.want)
		}
	}
}

// TestRootCanWhatOthersCan: who is root here can do what the others ask for.
func TestRootCanWhatOthersCan(t *testing.T) {
	t.Logf("root: %v; mounts: %v; FUSE: %v; FUSE of others: %v", Root(), Mounts(), FUSE(), OthersFUSE())
	if Root() == nil && Mounts() != nil {
		t.Errorf("root cannot mount: %v", Mounts())
	}
	if OthersFUSE() == nil && FUSE() != nil {
		t.Errorf("others can mount what root cannot: %v", FUSE())
	}
}
