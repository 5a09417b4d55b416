package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents returns the README, the pages of the reference, and what is for
// contributors, each by its path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("doc/*.md")
	if err != nil {
		t.Fatal(err)
	}
	docs := make(map[string]string)
	for _, path := range append(paths, "../../README.md", "../../.github/CONTRIBUTING.md", "../dlfs-bench/README.md") {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		docs[path] = string(b)
	}
	return docs
}

// TestReadmeNamesTests checks that the tests that the documents name exist.
func TestReadmeNamesTests(t *testing.T) {
	var source strings.Builder
	for _, dir := range []string{".", "../../listfile", "../../cache", "../../fetch", "../../fetch/origin", "../../fs"} {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f.Name(), "_test.go") {
				text, err := os.ReadFile(dir + "/" + f.Name())
				if err != nil {
					t.Fatal(err)
				}
				source.Write(text)
			}
		}
	}
	named := 0
	for path, text := range documents(t) {
		for _, m := range regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(text, -1) {
			named++
			if !strings.Contains(source.String(), "func "+m[1]+"(") {
				t.Errorf("%s names %s, which there is not", path, m[1])
			}
		}
	}
	if named < 100 {
		t.Errorf("the documents name %d tests", named)
	}
}

// TestReadmeLinks checks that the files exist that the documents link to.
func TestReadmeLinks(t *testing.T) {
	linked := 0
	for path, text := range documents(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			linked++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			}
		}
	}
	if linked < 8 {
		t.Errorf("%d links", linked)
	}
}

// TestReadmeIsShort: the README is for newcomers, and names every page.
func TestReadmeIsShort(t *testing.T) {
	doc := readme(t)
	if n := len(strings.Fields(doc)); n > 1500 {
		t.Errorf("the README has %d words; move some to a page of doc", n)
	}
	for _, topic := range topics() {
		if !strings.Contains(doc, "](cmd/dlfs/doc/"+topic+".md)") {
			t.Errorf("the README does not name the page %s", topic)
		}
	}
}
