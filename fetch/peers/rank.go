package peers

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

// maxRank bounds how many machines are asked for one extent, so that where none of a
// thousand can give it the origin is asked soon.
const maxRank = 32

// Key is an extent of a file, as it is hashed.
type Key uint64

// KeyOf returns the key of an extent of the file of that name. Machines must agree on it,
// so it never changes: it is of the first eight bytes, big-endian, of the SHA-256 of the
// name.
func KeyOf(name string, index int64) Key {
	return Key(mix(hash(name) + uint64(index)))
}

// candidate is a machine with the hash of its name.
type candidate struct {
	name string
	hash uint64
}

// newCandidate returns a machine with the hash of its name, which is the same on all
// machines.
func newCandidate(name string) candidate { return candidate{name, hash(name)} }

// hash returns the first eight bytes of the SHA-256 of s. It is a fixed function, since
// all machines must rank alike, also those of another version or processor.
func hash(s string) uint64 {
	sum := sha256.Sum256([]byte(s))
	return binary.BigEndian.Uint64(sum[:8])
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014): each bit of x changes
// every bit of the result with the probability one half.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Rank returns the machines that may own the extent, the owner first: those of the
// highest score, maxRank at most, without those that are left out now and those that
// unfit reports. Slow ones come last. unfit may be nil. This machine is among them if it has
// a high score.
func (r *Ring) Rank(k Key, unfit func(name string) bool, now time.Time) []string {
	names, _ := r.rank(k, unfit, now)
	return names
}

// rank is Rank. It also returns the slow machines whose score is above that of the first rank.
func (r *Ring) rank(k Key, unfit func(name string) bool, now time.Time) (names, passed []string) {
	r.mu.Lock()
	all := r.all
	r.mu.Unlock()
	best := make([]scored, 0, maxRank+1)
	var slow []scored
	for i := range all {
		s := scored{&all[i], mix(all[i].hash ^ uint64(k)), false}
		if len(best) == maxRank && s.compare(best[maxRank-1]) > 0 { // it is too low even if it is not slow
			continue
		}
		var out bool
		if out, s.slow = r.state(s.name, now); out || unfit != nil && unfit(s.name) {
			continue
		}
		if s.slow {
			slow = append(slow, s)
		}
		at, _ := slices.BinarySearchFunc(best, s, scored.compare)
		best = slices.Insert(best, at, s)
		best = best[:min(len(best), maxRank)]
	}
	names = make([]string, len(best))
	for i, s := range best {
		names[i] = s.name
	}
	for _, s := range slow {
		if s.score > best[0].score {
			passed = append(passed, s.name)
		}
	}
	return names, passed
}

// scored is a candidate with its score for an extent.
type scored struct {
	*candidate
	score uint64
	slow  bool
}

// compare is below 0 if a comes before b.
func (a scored) compare(b scored) int {
	switch {
	case a.slow && !b.slow:
		return 1
	case b.slow && !a.slow:
		return -1
	}
	return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.name, b.name))
}
