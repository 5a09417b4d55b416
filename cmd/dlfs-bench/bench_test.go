package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dlfs/cache/hosttest"

	"go.uber.org/goleak"
)

// TestMain lets this binary play its parts, too.
func TestMain(m *testing.M) {
	if code, ok := play(); ok {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

// newBench returns a bench without any tools.
func newBench(t *testing.T, rounds int) *bench {
	return &bench{rounds: rounds, disk: t.TempDir(), mem: t.TempDir(), tools: new(tools), log: t.Output()}
}

// sampler is a contestant whose samples are known.
func sampler(name string, turns *[]string, m metric, values ...float64) contestant {
	return contestant{name: name, run: func(_ context.Context, round int) (sample, error) {
		*turns = append(*turns, name)
		return sample{m: values[round]}, nil
	}}
}

func TestContestantsTakeTurns(t *testing.T) {
	var turns []string
	ended := 0
	r := row{name: "r", set: func(_ context.Context, s *stage) ([]contestant, error) {
		s.atEnd(func() error { ended++; return nil })
		return []contestant{
			sampler("a", &turns, wall, 1, 2, 3, 4), sampler("b", &turns, wall, 5, 6, 7, 8), sampler("c", &turns, wall, 9, 9, 9, 9),
		}, nil
	}}
	all, err := newBench(t, 4).measure(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(turns, ""), "abc"+"acb"+"cab"+"cba"; got != want {
		t.Errorf("turns %s, want %s", got, want)
	}
	if s, ok := all["b"].of(wall); !ok || s != (stat{6.5, 5, 8}) {
		t.Errorf("b: %v, %v", s, ok)
	}
	if ended != 1 {
		t.Errorf("cleaned up %d times", ended)
	}
}

// What cannot be measured, or fails, is said, and the other rows go on.
func TestRowsThatAreNotMeasured(t *testing.T) {
	var turns []string
	never := func(context.Context, *bench) string { return "there is no |" }
	works := func(context.Context, *stage) ([]contestant, error) {
		return []contestant{sampler(ours, &turns, wall, 1, 1)}, nil
	}
	rows := []row{
		{name: "needy", needs: []need{never}, set: works},
		{name: "long", long: true, set: works},
		{name: "late", set: func(context.Context, *stage) ([]contestant, error) { return nil, &leftOut{"too late"} }},
		{name: "broken", set: func(_ context.Context, s *stage) ([]contestant, error) {
			s.atEnd(func() error { return errors.New("cannot\nclean up") })
			return nil, errors.New("cannot begin")
		}},
		{name: "partial", goals: []goal{{metric: wall, than: "peer", bound: atMost(1)}}, set: func(ctx context.Context, s *stage) ([]contestant, error) {
			peer := sampler("peer", &turns, wall, 1, 1)
			peer.needs = []need{never}
			all, err := works(ctx, s)
			return append(all, peer), err
		}},
		{name: "good", goals: []goal{{metric: wall}, {metric: wall, than: ours}}, set: works},
	}
	b := newBench(t, 2)
	b.short = true
	r := b.run(t.Context(), rows)
	var out bytes.Buffer
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(out.String(), "|---|\n")
	want := `| broken | | | | | | **failed**: cannot begin / cannot / clean up |
| partial | wall |  | peer |  | ≤ 1 × | not measured |
| good | wall | 1.00 s |  |  | works | met |
| good | wall | 1.00 s | dlfs 1.00 s | 1.00 |  |  |

Left out:

- needy: there is no \|
- long: takes too long for a short run
- late: too late
- partial: peer: there is no \|
`
	if table != want {
		t.Errorf("got\n%s\nwant\n%s", table, want)
	}
	if err := r.failed(); err == nil || err.Error() != "1 of 3 rows failed" {
		t.Errorf("failed() = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.left = nil
	if r := b.run(ctx, rows[5:]); len(r.Rows) != 0 || len(r.LeftOut) != 1 || r.LeftOut[0] != "good: interrupted" {
		t.Errorf("interrupted: %+v", r)
	}
}

func TestTableIsPutIntoADocument(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	put := func(name, text string) (string, error) {
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		r := &report{Machine: "a machine", Rows: []rowReport{{Name: name}}}
		err := r.put(path, "")
		got, _ := os.ReadFile(path)
		return string(got), err
	}
	tableBegins, tableEnds := tableLines("")
	for _, text := range []string{"no place", "one line\n" + tableBegins, tableEnds + tableBegins} {
		if got, err := put("x", text); err == nil || got != text {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	}
	first, err := put("first", "before\n"+tableBegins+tableEnds+"after\n")
	if err != nil || !strings.HasPrefix(first, "before\n"+tableBegins+"a machine") || !strings.HasSuffix(first, tableEnds+"after\n") {
		t.Errorf("%q, %v", first, err)
	}
	if second, err := put("second", ""); err != nil || second != first {
		t.Errorf("%q, %v", second, err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-run", "("}, {"-run", "no such row"}, {"-rounds", "-1"}, {"argument"}, {"-nonsense"}} {
		if err := run(context.Background(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

func TestRowsHaveNamesOfTheirOwn(t *testing.T) {
	for _, z := range []sizes{longSizes, shortSizes} {
		names := make(map[string]bool)
		for _, r := range allRows(z) {
			if names[r.name] || len(r.goals) == 0 || r.set == nil {
				t.Errorf("row %q: another has its name, or it has no goal or nothing to do", r.name)
			}
			names[r.name] = true
		}
	}
}

// A fetch and a mount, measured from one end to the other.
func TestRows(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	tiny := shortSizes
	tiny.paced, tiny.unknown = load{1, 2 * mib}, load{8, 64 << 10}
	if why := needFuse(t.Context(), nil); why != "" {
		missing(t, why)
	}
	var rows []row
	for _, r := range allRows(tiny) {
		if strings.HasPrefix(r.name, "fetch 2 MiB at 20 MB/s") || strings.HasPrefix(r.name, "ls -l of 8 ") {
			rows = append(rows, r)
		}
	}
	b := newBench(t, 2)
	file := filepath.Join(t.TempDir(), "figures.json")
	var out bytes.Buffer
	if _, err := b.do(t.Context(), rows, "", file, &out); err != nil {
		t.Fatal(err)
	}
	figure := `[\d.]+ \S+ \([\d.]+ \S+ – [\d.]+ \S+\)`
	want := regexp.MustCompile(`(?s)^[^\n]+ cores, [^\n]+\n\nMedians of 2 rounds.*\|---\|
\| fetch 2 MiB at 20 MB/s a connection, -s8 -x8 \| speed \| ` + figure + ` \| ideal 160 MB/s \| [\d.]+ \| ≥ 0.97 × \| \S*met\S* \|
\| ls -l of 8 unprobed entries, first byte after 50ms \| wall \| ` + figure + ` \| ideal 50.0 ms \| [\d.]+ \| ≤ 1.3 × \| (met|\*\*not met\*\*) \|
$`)
	if !want.MatchString(strings.ReplaceAll(out.String(), "**not met**", "met")) {
		t.Errorf("got\n%s", &out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 2 || len(r.Rows[1].Figures[ours]) != 2 || r.Rows[1].Figures[ours][0][requests] < 8 {
		t.Errorf("figures %s", text)
	}
	for _, dir := range []string{b.disk, b.mem} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%v is left, %v", left, err)
		}
	}
}

// missing skips the test, or fails where everything must run.
func missing(t *testing.T, why string) {
	t.Helper()
	hosttest.Need(t, errors.New(why))
}

func TestPollEnds(t *testing.T) {
	never := func() (bool, error) { return false, nil }
	if err := poll(t.Context(), time.Millisecond, 10*time.Millisecond, "never", never); err == nil || !strings.HasPrefix(err.Error(), "never: ") {
		t.Errorf("got %v", err)
	}
}
