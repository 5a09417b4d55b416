package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// contributing returns the page for contributors.
func contributing(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../.github/CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestContributingRunsTests checks that each long trial on the page is of a test that
// exists, with flags that its package has.
func TestContributingRunsTests(t *testing.T) {
	commands := regexp.MustCompile(`(?m)^go test \./(\S+) -run '?([^'\s]+)'? (.*)$`).FindAllStringSubmatch(contributing(t), -1)
	if len(commands) < 10 {
		t.Fatalf("%d long trials", len(commands))
	}
	ofGo := regexp.MustCompile(`^(timeout|v|count|args)$`)
	for _, m := range commands {
		source := testSource(t, "../../"+m[1])
		for _, pattern := range strings.Split(m[2], "|") {
			if !strings.Contains(source, "func "+strings.TrimSuffix(pattern, "$")) {
				t.Errorf("%s has no test %s", m[1], pattern)
			}
		}
		for _, flag := range regexp.MustCompile(`(?:^| )-([a-z-]+)`).FindAllStringSubmatch(m[3], -1) {
			if !ofGo.MatchString(flag[1]) && !strings.Contains(source, `"`+flag[1]+`",`) {
				t.Errorf("the tests of %s have no flag -%s", m[1], flag[1])
			}
		}
	}
}

// testSource returns the text of the test files of a package.
func testSource(t *testing.T, dir string) string {
	t.Helper()
	paths, err := filepath.Glob(dir + "/*_test.go")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no tests in %s: %v", dir, err)
	}
	var source strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	return source.String()
}

// TestContributingNamesPackages checks that the layout on the page has every package.
func TestContributingNamesPackages(t *testing.T) {
	_, layout, found := strings.Cut(contributing(t), "\n## Layout\n")
	if !found {
		t.Fatal("no layout")
	}
	root, seen := os.DirFS("../.."), map[string]bool{}
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		dir := filepath.Dir(path)
		if err != nil || filepath.Ext(path) != ".go" || seen[dir] || strings.HasPrefix(path, "testdata/") {
			return err
		}
		seen[dir] = true
		if !strings.Contains(layout, "| `"+dir+"` |") {
			t.Errorf("the layout does not have %s", dir)
		}
		return nil
	})
	if err != nil || len(seen) < 15 {
		t.Errorf("%d packages: %v", len(seen), err)
	}
}
