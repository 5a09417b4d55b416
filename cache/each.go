package cache

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// Each calls f with every name a sync has recorded, in the order of their bytes,
// and its blob, as Lookup gives it. A name whose state does not hold any more is
// left out. It ends at the first error, also of f, and returns it. It blocks for
// the disk and for f.
//
// The caller makes sure that no other goroutine has a blob of these names meanwhile: two
// blobs of one generation would each know only the blocks that were put into it.
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
	found := stock{blobs: namesIn(s.blobs, stockAtMost), top: namesIn(s.root, stockAtMost)}
	var some []named
	for next := recordPrefix; next != nil; {
		var then []byte
		var err error
		some, then, err = s.index.records(some[:0], next)
		if err != nil {
			return fmt.Errorf("read what is recorded: %w", err)
		}
		untouched := s.index.untouched(some, found)
		for i, n := range some {
			lookup := func() (*Blob, error) {
				if untouched[i] {
					return s.blob(n.name, n.record.gen, n.record.version, n.record.note), nil
				}
				return s.lookup(n.name, n.record)
			}
			if err := f(n.name, lookup); err != nil {
				return err
			}
		}
		next = then
	}
	return nil
}

// stock is what stands in a store's directories. Of a long list that was looked at
// and hardly fetched, it spares two stats for each file.
type stock struct {
	blobs map[string]bool // nil if they are many
	top   map[string]bool // in the output directory itself; nil if they are many
}

// stockAtMost bounds what taking stock may cost, in names of a directory.
const stockAtMost = 1 << 17

// namesIn is what stands in a directory, nil if that is atMost names or more, or
// cannot be read: then each name has to be looked for.
func namesIn(dir *os.Root, atMost int) map[string]bool {
	d, err := dir.Open(".")
	if err != nil {
		return nil
	}
	defer d.Close()
	names, err := d.Readdirnames(atMost)
	if err != nil && !errors.Is(err, io.EOF) || len(names) >= atMost {
		return nil
	}
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

// nothing reports that neither a blob of the record nor anything under its name
// can be there.
func (k stock) nothing(n named) bool {
	first, _, _ := strings.Cut(n.name, "/")
	return !n.record.published && k.blobs != nil && k.top != nil && !k.blobs[blobID(n.record.gen)] && !k.top[first]
}

// named is a record and its name.
type named struct {
	name   string
	record record
}

// recordsAtOnce is how many records are read in one transaction. Nothing that is
// written to the index must wait for who makes use of them.
const recordsAtOnce = 1000

// records appends to none, which is empty, some records from a key on, and returns the key
// of the next one, nil if they were the last, or a damaged table hides the others.
func (x *index) records(none []named, from []byte) (some []named, next []byte, err error) {
	some = none
	err = x.walk(recordPrefix, from, func(item *badger.Item) (more bool, err error) {
		if len(some) == recordsAtOnce {
			next = item.KeyCopy(nil)
			return false, nil
		}
		return true, x.content(item, func(content []byte) {
			name := string(item.Key()[len(recordPrefix):])
			if r, ok := x.decode(name, content); ok {
				some = append(some, named{name, r})
			}
		})
	})
	if errors.Is(err, errDamaged) {
		return some, nil, nil
	}
	return some, next, err
}

// untouched reports for each record whether nothing was ever done for it: nothing
// stands of it, and there are no bits. It costs a seek, where reading the bits costs
// an iterator.
func (x *index) untouched(some []named, found stock) []bool {
	untouched := make([]bool, len(some))
	err := x.view(func(txn *badger.Txn) error {
		opt := badger.DefaultIteratorOptions
		opt.PrefetchValues = false
		opt.Prefix = chunkPrefix // so that tables of nothing but records are not looked into
		it := txn.NewIterator(opt)
		defer it.Close()
		for i, n := range some {
			if found.nothing(n) {
				prefix := generationPrefix(n.record.gen)
				it.Seek(prefix)
				untouched[i] = !it.ValidForPrefix(prefix)
			}
		}
		return nil
	})
	if err != nil { // Lookup will meet the error again, and return it
		clear(untouched)
	}
	return untouched
}
