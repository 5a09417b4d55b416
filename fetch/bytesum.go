package fetch

import (
	"math"
	"math/bits"
)

// byteSum is a sum of sizes, of 128 bits: those of a list may be more than 2^63
// together, and what was added is taken away again. The zero value is 0.
type byteSum struct{ hi, lo uint64 }

// add adds n, which may be negative.
func (s *byteSum) add(n int64) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, uint64(n), 0)
	s.hi, _ = bits.Add64(s.hi, uint64(n>>63), carry)
}

// value returns the sum, which is not negative; math.MaxInt64 if it is more.
func (s byteSum) value() int64 {
	if s.hi > 0 || s.lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(s.lo)
}
