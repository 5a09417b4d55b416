package main

import (
	"fmt"
	"testing"
)

func TestShardIsReadAsWritten(t *testing.T) {
	for _, text := range []string{"0/1", "0/8", "7/8", "999/1000"} {
		var s shard
		if err := s.UnmarshalText([]byte(text)); err != nil || s.String() != text {
			t.Errorf("%q is read as %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "1", "/", "1/", "/1", "0/0", "1/1", "8/8", "-1/8", "+1/8", "1/-8", "1/8/2", " 1/8", "1.0/8", "a/b", "0/99999999999"} {
		var s shard
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %v, want an error", text, s)
		}
	}
}

func TestShardsDivideNames(t *testing.T) {
	const names = 4000
	for _, n := range []uint64{1, 2, 7, 64} {
		counts := make([]int, n)
		for i := range names {
			owners := 0
			for index := range n {
				if (shard{index, n}).has(fmt.Sprintf("train/%05d.tar", i)) {
					counts[index]++
					owners++
				}
			}
			if owners != 1 {
				t.Fatalf("name %d is in %d shards of %d, want 1", i, owners, n)
			}
		}
		for index, count := range counts {
			if share := names / int(n); count < share/3 || count > share*2 {
				t.Errorf("shard %d/%d has %d names of %d", index, n, count, names)
			}
		}
	}
}

// The shard of a name is the same in every release: machines that divide a list
// may not run the same one.
func TestShardOfANameStays(t *testing.T) {
	// printf %s NAME | sha256sum | head -c 16, as a number, modulo 8
	for name, index := range map[string]uint64{"a.bin": 2, "b.bin": 1, "c.bin": 2, "dir/d.bin": 7, "é.tar": 4} {
		if s := (shard{index, 8}); !s.has(name) {
			t.Errorf("%s is not in shard %s", name, s)
		}
	}
}
