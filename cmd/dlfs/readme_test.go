package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dlfs/fetch"
	"dlfs/fetch/origintest"
)

func readme(t *testing.T) string {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// fences returns the bodies of the fenced blocks with that info string.
func fences(doc, info string) (blocks []string) {
	for _, part := range strings.Split(doc, "\n```"+info+"\n")[1:] {
		body, _, _ := strings.Cut(part, "\n```")
		blocks = append(blocks, body)
	}
	return blocks
}

// TestReadme runs the README's examples: its list, served by a local origin,
// and every line of its console blocks, in order.
func TestReadme(t *testing.T) {
	need(t, canMount())
	doc, dir, mnt := readme(t), t.TempDir(), filepath.Join(t.TempDir(), "data")
	origin := origintest.New()
	for i, path := range []string{"/images/a.tar", "/images/b.tar", "/labels.csv"} {
		origin.Put(path, origintest.File{Content: origintest.Content{Seed: uint64(i), Size: 300_001}})
	}
	here := strings.NewReplacer("https://origin.example", origin.Serve(t), "/mnt/data", mnt)
	_, list, _ := strings.Cut(doc, "\n```\nfile_name")
	list, _, _ = strings.Cut("file_name"+list, "\n```")
	write(t, filepath.Join(dir, "list.txt"), []byte(here.Replace(list)))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "dlfs")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", mnt).Run() }) // fails unless the test did
	ran := 0
	for _, block := range fences(doc, "console") {
		for line := range strings.Lines(block) {
			command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
			if !ok {
				continue
			}
			out := sh(t, dir, `PATH=$PWD:$PATH; `+here.Replace(command))
			t.Logf("$ %s\n%s", command, out)
			ran++
		}
	}
	if ran < 6 {
		t.Errorf("ran %d commands; has the README lost its examples?", ran)
	}
}

// TestReadmeKeys holds the tables of the page "output" to what is printed.
func TestReadmeKeys(t *testing.T) {
	doc := documents(t)["doc/output.md"]
	for _, v := range []any{Status{Entries: []fetch.EntryStatus{{}}}, jsonFrame{}, fetch.EntryStatus{}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var keys map[string]any
		if err := json.Unmarshal(b, &keys); err != nil {
			t.Fatal(err)
		}
		for key := range keys {
			if !strings.Contains(doc, "`"+key+"`") {
				t.Errorf("doc/output.md does not explain the key %s", key)
			}
		}
	}
}

// TestReadmeExitCodes holds the table of exit codes to the codes.
func TestReadmeExitCodes(t *testing.T) {
	doc := documents(t)["doc/output.md"]
	_, table, _ := strings.Cut(doc, "| code | meaning |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var told []int
	for row := range strings.Lines(table) {
		n, err := strconv.Atoi(strings.TrimSpace(strings.Split(row, "|")[1]))
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, n)
	}
	want := []int{exitOK, exitFailed, exitUsage, exitInterrupted, exitDiskFull, exitNeedsURL, exitMismatch}
	if !slices.Equal(told, want) {
		t.Errorf("doc/output.md tells the codes %v; they are %v", told, want)
	}
}
