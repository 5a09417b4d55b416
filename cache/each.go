package cache

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Each calls f with every name a sync has recorded, in the order of their bytes,
// and its blob, as Lookup gives it. A name whose state does not hold any more is
// left out. It ends at the first error, also of f, and returns it. It blocks for
// the disk and for f.
//
// Nobody else has blobs of these names meanwhile: of two blobs of one
// generation, each would know only of its own blocks.
func (s *Store) Each(f func(name string, b *Blob) error) error {
	return s.Recorded(func(name string, lookup func() (*Blob, error)) error {
		b, err := lookup()
		if b == nil || err != nil {
			return err
		}
		return f(name, b)
	})
}

// Recorded calls f with every name a sync has recorded, in the order of their
// bytes, and with what does for that name what Lookup does, at a fraction of its
// cost: the record is known. So lookup is to be called only while f runs, and
// only if no blob of that name was had since the store was opened. Where part of
// the index is damaged, names may be left out that Lookup still finds. Recorded
// ends at the first error, also of f, and returns it. It blocks for the disk and
// for f.
func (s *Store) Recorded(f func(name string, lookup func() (*Blob, error)) error) error {
	for next := recordPrefix; next != nil; {
		some, then, err := s.index.records(next)
		if err != nil {
			return fmt.Errorf("read what is recorded: %w", err)
		}
		for _, n := range some {
			if err := f(n.name, func() (*Blob, error) { return s.lookup(n.name, n.record) }); err != nil {
				return err
			}
		}
		next = then
	}
	return nil
}

// named is a record and its name.
type named struct {
	name   string
	record record
}

// recordsAtOnce is how many records are read in one transaction. Nothing that is
// written to the index must wait for who makes use of them.
const recordsAtOnce = 1000

// records returns some records from a key on, and the key of the next one, nil if
// they were the last, or a damaged table hides the others.
func (x *index) records(from []byte) (some []named, next []byte, err error) {
	err = x.walk(recordPrefix, from, func(item *badger.Item) (more bool, err error) {
		if len(some) == recordsAtOnce {
			next = item.KeyCopy(nil)
			return false, nil
		}
		return true, item.Value(func(sealed []byte) error {
			name := string(item.Key()[len(recordPrefix):])
			if r, ok := x.trustRecord(name, item.Key(), sealed); ok {
				some = append(some, named{name, r})
			}
			return nil
		})
	})
	if errors.Is(err, errDamaged) {
		return some, nil, nil
	}
	return some, next, err
}
