package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/cache"
	"dlfs/fetch"
	"dlfs/fetch/origintest"
)

// asked asks the process on dir, and returns what it answers.
func asked(t *testing.T, dir, method, path string) (status int, body []byte) {
	t.Helper()
	a, err := ask(t.Context(), dir, method, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	if body, err = io.ReadAll(a); err != nil {
		t.Fatal(err)
	}
	return a.resp.StatusCode, body
}

// want asks for a value that there must be.
func want[V any](t *testing.T, dir, path string) (v V) {
	t.Helper()
	status, body := asked(t, dir, "GET", path)
	if err := json.Unmarshal(body, &v); err != nil || status != http.StatusOK {
		t.Fatalf("GET %s: %d %s: %v", path, status, body, err)
	}
	return v
}

// fetching starts a fetch of n files, and of "held", which stops after three blocks, and
// of "gone", which the origin does not have. It returns once nothing else is to come.
func fetching(t *testing.T, n int) (dir string, o *origintest.Origin, let chan struct{}) {
	t.Helper()
	o = origintest.New()
	url := o.Serve(t)
	let = make(chan struct{})
	var list strings.Builder
	add := func(name string, size int64) {
		o.Put("/"+name, origintest.File{Content: origintest.Content{Seed: uint64(size), Size: size}, ETag: `"1"`})
		fmt.Fprintf(&list, "%s\t%s/%s?sig=CANARY\n", name, url, name)
	}
	add("held", 10*cache.BlockSize)
	add("gone", 100)
	for i := range n {
		add(fmt.Sprintf("dir/File%03d", i), 1000+int64(i))
	}
	held := origintest.HoldAfter(3*cache.BlockSize, let).On("held")
	o.Inject(held, origintest.Status(404).On("gone"))
	tmp := t.TempDir()
	dir = filepath.Join(tmp, "out")
	write(t, filepath.Join(tmp, "list.txt"), []byte(list.String()))
	p := startDlfs(t, nil, "fetch", filepath.Join(tmp, "list.txt"), dir, "--split", "1", "--timeout", "10m")
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.exited
	})
	if err := held.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	awaitSummary(t, dir, func(s Summary) bool { return s.FilesComplete == n && s.FilesFailed == 1 })
	return dir, o, let
}

// awaitSummary returns the first Summary that is as it should be.
func awaitSummary(t *testing.T, dir string, good func(Summary) bool) Summary {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(hang); ; <-tick.C {
		s := want[Summary](t, dir, "/summary")
		if good(s) {
			return s
		}
		if time.Now().After(until) {
			t.Fatalf("still %+v", s)
		}
	}
}

// TestLooks: the socket tells a page what it shows, and does what its buttons ask.
func TestLooks(t *testing.T) {
	t.Parallel()
	dir, o, let := fetching(t, 30)
	s := want[Summary](t, dir, "/summary")
	if s.PID == 0 || s.Dir != dir || !s.Ends || s.FilesTotal != 32 || s.States["complete"] != 30 || s.States["fetching"] != 1 ||
		s.HostsTotal != 1 || s.Hosts[0].Prefetch != 1 || len(s.Active) != 1 || s.Active[0].Name != "held" || s.DiskFree <= 0 || s.DiskFull != "" {
		t.Errorf("%+v", s)
	}
	for path, n := range map[string]int{"/files?limit=3": 32, "/files?q=file&sort=name&desc=1&limit=3": 30, "/files?state=complete&offset=27": 30} {
		if sel := want[Selection](t, dir, path); sel.Total != n || len(sel.Files) != 3 {
			t.Errorf("%s selects %d and shows %d: %+v", path, sel.Total, len(sel.Files), sel.Files)
		}
	}
	if sel := want[Selection](t, dir, "/files?q=FILE&sort=name&desc=1&offset=1&limit=1"); sel.Files[0].Name != "dir/File028" {
		t.Errorf("%+v", sel)
	}
	if sel := want[Selection](t, dir, "/files?offset=1000"); sel.Total != 32 || sel.Files == nil || len(sel.Files) != 0 {
		t.Errorf("%+v", sel)
	}
	d := want[fetch.Detail](t, dir, "/file?name=held")
	if d.State != "fetching" || len(d.Map) != 2 || d.Map[0].Count != 3 || d.Map[1].State != fetch.CellsFlight || len(d.Mirrors) != 1 {
		t.Errorf("%+v", d)
	}
	for _, path := range []string{"/file?name=other", "/file", "/file?name=held&cells=x", "/files?offset=-1", "/files?limit=x", "/files?state=good", "/files?sort=age"} {
		if status, body := asked(t, dir, "GET", path); status != http.StatusUnprocessableEntity || len(body) == 0 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	for _, path := range []string{"/summary", "/files", "/file?name=gone"} {
		if _, body := asked(t, dir, "GET", path); strings.Contains(string(body), "CANARY") {
			t.Errorf("%s tells a secret: %s", path, body)
		}
	}
	o.Clear()
	for path, answer := range map[string]string{"/retry?name=held": "0", "/retry?name=gone": "1", "/first?name=held": ""} {
		if status, body := asked(t, dir, "POST", path); status != http.StatusOK || string(body) != answer {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	awaitSummary(t, dir, func(s Summary) bool { return s.FilesComplete == 31 && s.FilesFailed == 0 })
	if status, body := asked(t, dir, "POST", "/retry"); status != http.StatusOK || string(body) != "0" {
		t.Errorf("/retry: %d %s", status, body)
	}
	for _, path := range []string{"/first", "/first?name=other", "/retry?name=other"} {
		if status, _ := asked(t, dir, "POST", path); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", path, status)
		}
	}
	asked(t, dir, "POST", "/pause")
	if !want[Summary](t, dir, "/summary").Paused {
		t.Error("a pause is not told")
	}
	asked(t, dir, "POST", "/resume")
	close(let)
}

// TestMemo: what is costly is computed again when it is old, when another thing is asked
// for, and after an error.
func TestMemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memo[string, int]
		n := 0
		get := func(key string, takes time.Duration, err error) int {
			v, _ := m.get(key, time.Second, func() (int, error) {
				<-time.After(takes)
				n++
				return n, err
			})
			return v
		}
		for i, step := range []struct {
			key   string
			takes time.Duration
			err   error
			after time.Duration
			want  int
		}{
			{key: "a", want: 1},
			{key: "a", want: 1},
			{key: "b", want: 2},
			{key: "b", after: 2 * time.Second, want: 3},
			{key: "c", err: io.EOF, want: 4},
			{key: "c", takes: time.Minute, want: 5},
			{key: "c", after: 90 * time.Minute, want: 5},
			{key: "c", after: 11 * time.Minute, want: 6},
		} {
			<-time.After(step.after)
			if got := get(step.key, step.takes, step.err); got != step.want {
				t.Errorf("step %d: %d, want %d", i, got, step.want)
			}
		}
		<-time.After(3 * time.Hour) // the timers end
	})
}

// A wrong number in a question of the page is told with the name of its parameter.
func TestNumberOf(t *testing.T) {
	for text, want := range map[string]int{"": 20, "0": 0, "7": 7, "-1": -1, "x": -1, "1e3": -1, "99999999999999999999": -1} {
		n, err := numberOf(url.Values{"cells": {text}}, "cells", 20)
		if want < 0 && (err == nil || !strings.Contains(err.Error(), "cells")) || want >= 0 && (n != want || err != nil) {
			t.Errorf("cells=%s: %d, %v", text, n, err)
		}
	}
}
