package main

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestSimulatedPolicies: each policy has the hits that a walk by hand has.
func TestSimulatedPolicies(t *testing.T) {
	trace := func(blocks string) (all []touch) {
		for _, b := range blocks {
			all = append(all, touch{Off: int64(b)})
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		policy policy
		blocks string
		hits   string // "x" for each read that is a hit
	}{
		{"LRU", newLine(2, true), "abacab", "..x.x."},
		{"FIFO", newLine(2, false), "abacab", "..x..."},
		{"S3-FIFO, a block that is read three times survives a scan", newS3FIFO(4, 1), "aaabcdefga", ".xx......x"},
		{"S3-FIFO, a block that comes back soon stays", newS3FIFO(4, 1), "abcdeafghia", "..........x"},
	} {
		got := ""
		for _, at := range trace(tt.blocks) {
			if tt.policy.read(at) {
				got += "x"
			} else {
				got += "."
			}
		}
		if got != tt.hits {
			t.Errorf("%s: %s has hits %s, want %s", tt.name, tt.blocks, got, tt.hits)
		}
	}
}

// TestTraces: the most likely block has the share of reads that the law gives it, every read
// is inside a file, and a scan is beside each one.
func TestTraces(t *testing.T) {
	l, scan := load{4, 10 * skewedBlock}, load{2, 3 * skewedBlock}
	const reads = 50_000
	trace := zipf(rand.New(rand.NewPCG(1, 2)), l, skewedBlock, reads, 0.9)
	counts, sum := map[touch]int{}, 0.0
	for k := range 40 {
		sum += math.Pow(float64(k+1), -0.9)
	}
	most := 0
	for _, at := range trace {
		counts[at]++
		most = max(most, counts[at])
		if at.File < 0 || at.File >= l.Count || at.Off < 0 || at.Off >= l.Size || at.Off%skewedBlock != 0 {
			t.Fatalf("%+v is no block of %v", at, l)
		}
	}
	if share := float64(most) / reads; len(counts) != 40 || math.Abs(share-1/sum) > 0.02 {
		t.Errorf("%d blocks are read, one with a share of %.3f, want 40 and %.3f", len(counts), share, 1/sum)
	}
	both := beside(trace[:7], 4, scan, skewedBlock)
	if len(both) != 14 || both[1] != (touch{4, 0}) || both[9] != (touch{5, skewedBlock}) || both[13] != (touch{4, 0}) || both[12] != trace[6] {
		t.Errorf("%+v", both)
	}
	if best := bestShare(40, trace, reads/2, l.Count); best != 1 {
		t.Errorf("with room for everything the best hit share is %v", best)
	}
}

// TestReadsAlongATrace: each read of a trace is done once, however many threads there are.
func TestReadsAlongATrace(t *testing.T) {
	dir, l := t.TempDir(), load{2, 64 << 10}
	if err := l.store(dir); err != nil {
		t.Fatal(err)
	}
	job := readJob{Paths: []string{filepath.Join(dir, l.folder(), "0"), filepath.Join(dir, l.folder(), "1")}, Block: 4096, Threads: 3}
	for i := range 100 {
		job.Trace = append(job.Trace, touch{i % 2, int64(i%16) * 4096})
	}
	r, err := read(t.Context(), job, nil)
	if err != nil || r.Reads != 100 || r.Bytes != 100*4096 {
		t.Errorf("%+v, %v", r, err)
	}
	job.Trace[99].File, job.Trace[99].Off = 1, l.Size-100
	if r, err := read(t.Context(), job, nil); err != nil || r.Bytes != 99*4096+100 {
		t.Errorf("at the end of the file: %+v, %v", r, err)
	}
}

// TestDiskIsWatched: what was allocated at any time counts, and holes do not.
func TestDiskIsWatched(t *testing.T) {
	dir := t.TempDir()
	if err := (load{2, mib}).sparse(dir); err != nil {
		t.Fatal(err)
	}
	empty, err := allocated(dir)
	if err != nil || empty >= mib {
		t.Errorf("files of nothing but holes have %d bytes, %v", empty, err)
	}
	over := watchDisk(dir)
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, make([]byte, 4*mib), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := settle(dir); err != nil { // the filesystem has counted them
		t.Fatal(err)
	}
	now, err := allocated(dir)
	if err != nil || now < 4*mib {
		t.Errorf("%d bytes, %v", now, err)
	}
	most, err := over()
	if err != nil || most < 4*mib || most > now+mib {
		t.Errorf("the most was %d bytes of %d, %v", most, now, err)
	}
}

func TestBoundedRowsHaveNamesOfTheirOwn(t *testing.T) {
	for _, short := range []bool{false, true} {
		names := map[string]bool{}
		for _, r := range boundedRows(short) {
			if names[r.name] || len(r.goals) == 0 || r.set == nil {
				t.Errorf("row %q: another has its name, or it has no goal or nothing to do", r.name)
			}
			names[r.name] = true
		}
	}
}
