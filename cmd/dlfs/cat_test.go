package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"dlfs/fetch/origintest"
)

// What GET says rules: a HEAD that tells another version costs dlfs cat no error.
func TestCatWhereHeadTellsAnotherVersion(t *testing.T) {
	for name, lie := range map[string]*origintest.Fault{
		"another tag":  origintest.Header("ETag", `"of-another-layer"`).Method("HEAD"),
		"another size": origintest.HeadLength(100),
	} {
		o := origintest.New()
		o.Put("/a", origintest.File{Content: origintest.Content{Seed: 1, Size: 200_000}})
		o.Inject(lie)
		list := filepath.Join(t.TempDir(), "list")
		if err := os.WriteFile(list, []byte(o.Serve(t)+"/a\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(io.NewSectionReader(origintest.Content{Seed: 1, Size: 200_000}, 0, 200_000))
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"cat", list, "a"}, {"cat", "--range=150000-", list, "a"}} {
			out, err := dlfs(t, args...).Output()
			if err != nil {
				t.Errorf("%s: %v: %v", name, args, err)
			}
			if from := len(want) - len(out); len(out) == 0 || !bytes.Equal(out, want[from:]) || from != 0 && from != 150_000 {
				t.Errorf("%s: %v printed %d bytes that are not the file's", name, args, len(out))
			}
		}
		if lie.Hits() == 0 {
			t.Errorf("%s: HEAD was not asked", name)
		}
	}
}
