package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"dlfs/listfile"
)

// shardFlag is fetch's and verify's. It is never taken from the environment: the
// tasks of a job array may as well have a list each.
type shardFlag struct {
	Shard shard `env:"-" placeholder:"I/N" help:"Take only the entries whose names hash to shard I of N, from 0 to N-1. Machines that run one shard each, of the same list, divide it among them. To have one DIR, on a shared filesystem, each needs a --state of its own."`
}

// shard is one part of a list that is divided into of parts, numbered from 0. The
// zero value is the whole list.
type shard struct{ index, of uint64 }

// UnmarshalText reads "I/N". I is from 0 to N-1, as the indexes of job
// arrays are.
func (s *shard) UnmarshalText(text []byte) error {
	i, n, _ := strings.Cut(string(text), "/")
	index, err := strconv.ParseUint(i, 10, 32)
	of, err2 := strconv.ParseUint(n, 10, 32)
	if err != nil || err2 != nil || of == 0 {
		return fmt.Errorf("%q is no shard; write I/N, such as 0/8 for the first of eight", printable(string(text)))
	}
	if index >= of {
		return fmt.Errorf("there is no shard %d of %d; they are numbered from 0 to %d", index, of, of-1)
	}
	*s = shard{index, of}
	return nil
}

// String is what UnmarshalText reads.
func (s shard) String() string { return fmt.Sprintf("%d/%d", s.index, s.of) }

// has reports whether the entry of that name is the shard's. The first eight bytes
// of the name's SHA-256, big-endian, modulo the number of shards, are the shard's
// index. Machines must agree on it, so it never changes.
func (s shard) has(name string) bool {
	if s.of == 0 {
		return true
	}
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:8])%s.of == s.index
}

// of returns the lister of a shard of the list.
func (l *lister) of(s shard) *lister {
	part := *l
	part.shard = s
	return &part
}

// take leaves the entries of the lister's shard in the list, and says how many
// they are. A shard may have none.
func (l *lister) take(list *listfile.List) {
	if l.shard.of == 0 {
		return
	}
	var own []listfile.Entry
	for _, e := range list.Entries {
		if l.shard.has(e.Name) {
			own = append(own, e)
		}
	}
	if !l.quiet {
		fmt.Fprintf(l.notes, "dlfs: shard %s has %d of %d entries\n", l.shard, len(own), len(list.Entries))
	}
	list.Entries = own
}
