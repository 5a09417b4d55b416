package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dlfs/cache/hosttest"
)

// newStage returns a stage that ends with the test.
func newStage(t *testing.T) *stage {
	s := &stage{bench: newBench(t, 1)}
	t.Cleanup(func() {
		if err := s.end(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestReader(t *testing.T) {
	dir := t.TempDir()
	l := load{3, 10_000}
	if err := l.store(dir); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for i := range l.Count {
		paths = append(paths, filepath.Join(dir, l.folder(), string(rune('0'+i))))
	}
	for _, tt := range []struct {
		name         string
		job          readJob
		bytes, reads int64
	}{
		{"whole", readJob{Block: 4096, Bytes: whole}, 30_000, 9},
		{"by two threads", readJob{Block: 4096, Bytes: whole, Threads: 2}, 30_000, 9},
		{"the first byte", readJob{Block: 1, Bytes: 1}, 3, 3},
		{"up to 5000", readJob{Block: 4096, Bytes: 5000}, 15_000, 6},
		{"strides", readJob{Block: 1, Stride: 5000}, 6, 6},
		{"opens", readJob{Opens: 5}, 0, 0},
		{"at random", readJob{Block: 100, Reads: 50, Threads: 2}, 10_000, 100},
	} {
		tt.job.Paths = paths
		r, err := read(t.Context(), tt.job, nil)
		if err != nil || r.Bytes != tt.bytes || r.Reads != tt.reads || r.Wall <= 0 || r.P50 <= 0 && tt.reads > 0 || r.P99 < r.P50 {
			t.Errorf("%s: %+v, %v", tt.name, r, err)
		}
	}
	for _, job := range []readJob{{Block: 4096, Bytes: whole}, {Block: 100}} {
		job.Paths, job.For = paths, 50*time.Millisecond
		if r, err := read(t.Context(), job, nil); err != nil || r.Wall < 0.05 {
			t.Errorf("%+v: %+v, %v", job, r, err)
		}
	}
	job := readJob{Paths: []string{filepath.Join(dir, "absent")}, Block: 1, Bytes: 1}
	if _, err := read(t.Context(), job, nil); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("an absent file: %v", err)
	}
}

// A bare request is a read; an origin counts it, and waits before it.
func TestOrigin(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	s, l := newStage(t), load{2, 100_000}
	o, err := s.origin(context.WithoutCancel(t.Context()), originSpec{Loads: []load{l}, FirstByte: 20 * time.Millisecond, Rate: 50_000_000}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := read(t.Context(), readJob{Paths: []string{l.url(o.url, 1)}, Block: 4096, Reads: 3}, nil)
	if err != nil || r.Bytes != 3*4096 || r.P50 < 0.02 {
		t.Errorf("read %+v, %v", r, err)
	}
	if c, err := o.counts(); err != nil || c != (originCounts{Requests: 4, BodyBytes: 3 * 4096}) { // a HEAD, too
		t.Errorf("counts %+v, %v", c, err)
	}
	if _, err := read(t.Context(), readJob{Paths: []string{l.url(o.url, 2)}, Block: 1, Bytes: 1}, nil); err == nil {
		t.Error("a third file of two was read")
	}
}

func TestWeb(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	b := newBench(t, 1)
	var err error
	if b.tools, err = findTools(t.Context(), "/bin/true", ""); err != nil {
		t.Fatal(err)
	}
	if why := needNginx(t.Context(), b); why != "" {
		missing(t, why)
	}
	l := load{2, 5000}
	for range 2 { // the files are there, then
		url, err := b.serve(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		r, err := read(t.Context(), readJob{Paths: []string{l.url(url, 1)}, Block: 4096, Bytes: whole}, nil)
		if err != nil || r.Bytes != l.Size {
			t.Errorf("read %+v, %v", r, err)
		}
	}
	if err := b.web.close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(b.mem); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestLoadsAreChecked(t *testing.T) {
	l, dir := load{2, 100_000}, t.TempDir()
	name := func(i int) string { return []string{"0", "1"}[i] }
	if err := l.store(dir); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, l.folder())
	if err := l.check(dir, name, true); err != nil {
		t.Error(err)
	}
	bad := l.content(1).Bytes()
	bad[77_777]++
	for _, tt := range []struct {
		bytes []byte
		deep  bool
		want  string
	}{{bad, false, ""}, {bad, true, "wrong byte at offset 77777"}, {bad[:99_999], false, "99999 bytes"}} {
		if err := os.WriteFile(filepath.Join(dir, "1"), tt.bytes, 0o600); err != nil {
			t.Fatal(err)
		}
		err := l.check(dir, name, tt.deep)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("deep %v: %v, want %q", tt.deep, err, tt.want)
		}
	}
}

func TestWhatAProcessTakes(t *testing.T) {
	got, err := spend(command(t.Context(), "sh", "-c", "i=0; while [ $i -lt 10000 ]; do i=$((i+1)); done"))
	if err != nil || got.cpu <= 0 || got.wall <= 0 || got.peak < 100<<10 {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = spend(command(t.Context(), "sh", "-c", "echo one >&2; echo two >&2; echo three >&2; exit 3"))
	if err == nil || !strings.HasSuffix(err.Error(), "exit status 3: two / three") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := spend(command(ctx, "sleep", "1000")); err == nil {
		t.Error("it outlived its context")
	}
	n, err := countLines(command(t.Context(), "printf", `one 1\ntwo\none 2\nno end 1`), "1")
	if err != nil || n != 1 {
		t.Errorf("%d lines, %v", n, err)
	}
}
