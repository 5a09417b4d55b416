package main

import "testing"

func TestStatistics(t *testing.T) {
	f := figures{{wall: 3, speed: 1}, {wall: 1}, {wall: 2}, {wall: 10}}
	if s, ok := f.of(wall); !ok || s != (stat{2.5, 1, 10}) {
		t.Errorf("wall: %v, %v", s, ok)
	}
	if s, ok := f.of(speed); ok {
		t.Errorf("speed, which one sample has: %v", s)
	}
	if s, ok := figures(nil).of(wall); ok {
		t.Errorf("wall of nothing: %v", s)
	}
	hundred := make([]float64, 101)
	for i := range hundred {
		hundred[i] = float64(i)
	}
	for p, want := range map[float64]float64{0: 0, 0.5: 50, 0.99: 99, 0.995: 99.5, 1: 100} {
		if got := percentile(hundred, p); got != want {
			t.Errorf("percentile %v: %v, want %v", p, got, want)
		}
	}
	if got := percentile([]float64{7}, 0.99); got != 7 {
		t.Errorf("percentile of one: %v", got)
	}
}

func TestTexts(t *testing.T) {
	for _, tt := range []struct {
		m    metric
		v    float64
		want string
	}{
		{wall, 12.345, "12.3 s"}, {wall, 123.4, "123 s"}, {median, 0.0514, "51.4 ms"}, {median, 0.00000123, "1.23 µs"},
		{speed, 160e6, "160 MB/s"}, {speed, 11_271e6, "11271 MB/s"}, {peak, 22_500_000, "22.5 MB"},
		{randomReads, 545_000, "545 k/s"}, {requests, 0, "0"}, {traffic, 1.0071, "1.007"}, {cpu, 0, "0.00 µs"},
	} {
		if got := tt.m.text(tt.v); got != tt.want {
			t.Errorf("%s %v: %q, want %q", tt.m, tt.v, got, tt.want)
		}
	}
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1 << 10: "1 KiB", 3 << 20: "3 MiB", 10 * gib: "10 GiB", 5 << 40: "5 TiB"} {
		if got := sizeText(n); got != want {
			t.Errorf("size %d: %q, want %q", n, got, want)
		}
	}
	if got, want := (sample{speed: 2e6, cpu: 1}).String(), "CPU per GiB 1.00 s, speed 2.00 MB/s"; got != want {
		t.Errorf("sample %q, want %q", got, want)
	}
}

func TestGoals(t *testing.T) {
	all := map[string]figures{
		ours:    {{wall: 1, peak: 60e6}, {wall: 3, peak: 70e6}, {wall: 2, peak: 60e6}},
		"peer":  {{wall: 4}, {wall: 5}, {wall: 4}},
		"other": {{speed: 1}},
		"still": {{wall: 0}},
	}
	for _, tt := range []struct {
		goal          goal
		measured, met bool
		ratio         float64
		text          string
	}{
		{goal{metric: wall, than: "peer", bound: atMost(0.5)}, true, true, 0.5, "≤ 0.5 ×"},
		{goal{metric: wall, than: "peer", bound: atMost(0.49)}, true, false, 0.5, "≤ 0.49 ×"},
		{goal{metric: wall, than: "peer", bound: atLeast(0.5)}, true, true, 0.5, "≥ 0.5 ×"},
		{goal{metric: wall, than: "peer", bound: atLeast(0.51)}, true, false, 0.5, "≥ 0.51 ×"},
		{goal{of: "peer", metric: wall, than: ours, bound: atMost(2)}, true, true, 2, "≤ 2 ×"},
		{goal{metric: peak, bound: atMost(64e6)}, true, true, 0, "≤ 64.0 MB"},
		{goal{metric: peak, bound: atMost(59e6)}, true, false, 0, "≤ 59.0 MB"},
		{goal{metric: wall}, true, true, 0, "works"},
		{goal{metric: wall, than: "nobody", bound: atMost(1)}, false, false, 0, "≤ 1 ×"},
		{goal{metric: wall, than: "other", bound: atMost(1)}, false, false, 0, "≤ 1 ×"},
		{goal{metric: wall, than: "still", bound: atMost(1)}, false, false, 0, "≤ 1 ×"},
		{goal{metric: requests, bound: atMost(0)}, false, false, 0, "≤ 0"},
	} {
		v := tt.goal.judge(all)
		if v.measured != tt.measured || v.met != tt.met || v.ratio != tt.ratio || tt.goal.text() != tt.text {
			t.Errorf("%+v: %+v, %q", tt.goal, v, tt.goal.text())
		}
	}
}

func TestTableLine(t *testing.T) {
	r := rowReport{Name: "row", goals: []goal{
		{metric: wall, than: "peer", bound: atMost(0.4)},
		{of: "other way", metric: wall, than: ideal, bound: atLeast(1)},
	}, Figures: map[string]figures{
		ours: {{wall: 1}, {wall: 3}, {wall: 2}}, "peer": {{wall: 4}, {wall: 4}, {wall: 5}},
		"other way": {{wall: 3}}, ideal: {{wall: 3}},
	}}
	if got, want := r.String(), `| row | wall | 2.00 s (1.00 s – 3.00 s) | peer 4.00 s (4.00 s – 5.00 s) | 0.50 | ≤ 0.4 × | **not met** |
| row: other way | wall | 3.00 s | ideal 3.00 s | 1.00 | ≥ 1 × | met |
`; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
