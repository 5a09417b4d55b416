package cache

import (
	"fmt"
)

// Each calls f with every name a sync has recorded, in the order of their bytes,
// and its blob, as Lookup gives it. A name whose state does not hold any more is
// left out. It ends at the first error, also of f, and returns it. It blocks for
// the disk and for f.
//
// Nobody else has blobs of these names meanwhile: of two blobs of one
// generation, each would know only of its own blocks.
func (s *Store) Each(f func(name string, b *Blob) error) error {
	keys, err := s.index.keys(recordPrefix, recordPrefix)
	if err != nil {
		return fmt.Errorf("read the names: %w", err)
	}
	for _, key := range keys {
		name := string(key[len(recordPrefix):])
		b, err := s.Lookup(name)
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		if err := f(name, b); err != nil {
			return err
		}
	}
	return nil
}
