package fetch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"dlfs/listfile/digest"
)

// TestFileWithHolesIsAdoptedByItsDigest: a backup restores zeros as holes, and so an
// unfinished file of another program looks. A digest tells one from the other; in
// both cases the file stays. A mount, where the file could be read before it is
// compared, does not adopt it.
func TestFileWithHolesIsAdoptedByItsDigest(t *testing.T) {
	const size = 2 << 20
	zeros := make([]byte, size)
	for _, tt := range []struct {
		name        string
		whole, keep bool
		state, says string
	}{
		{"whole", true, false, "complete", ""},
		{"unfinished", false, false, "mismatch", "output directory"},
		{"whole, in a mount", true, true, "failed", "has holes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.add("a", size)
				sum := sha256.Sum256(zeros)
				want, err := digest.FromHex(digest.SHA256, hex.EncodeToString(sum[:]))
				check(t, err)
				x.detail().Digest = want
				x.opts.Serve = tt.keep
				content := bytes.Clone(zeros)
				path := filepath.Join(x.dir, "a")
				check(t, errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, size)))
				if !tt.whole {
					f, err := os.OpenFile(path, os.O_WRONLY, 0)
					check(t, err)
					content[size-1] = 1
					_, err = f.WriteAt(content[size-1:], size-1)
					check(t, errors.Join(err, f.Close()))
				}
				x.start()
				if tt.keep {
					x.File("a").Probe(t.Context()) // its error is in the state
				} else {
					check(t, x.Run(t.Context()))
				}
				x.wantState("a", tt.state, tt.says)
				if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
					t.Errorf("the file was touched: %v", err)
				}
			})
		})
	}
}
