package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeNamesTests checks that the tests that the README names exist.
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
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(readme), -1)
	if len(named) < 20 {
		t.Errorf("the README names %d tests", len(named))
	}
	for _, m := range named {
		if !strings.Contains(source.String(), "func "+m[1]+"(") {
			t.Errorf("the README names %s, which there is not", m[1])
		}
	}
}
