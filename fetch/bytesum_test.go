package fetch

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestByteSum(t *testing.T) {
	var s byteSum
	want := func(v int64) {
		t.Helper()
		if got := s.value(); got != v {
			t.Errorf("sum is %d, want %d", got, v)
		}
	}
	want(0)
	s.add(math.MaxInt64)
	want(math.MaxInt64)
	s.add(5)
	want(math.MaxInt64)
	s.add(-7)
	want(math.MaxInt64 - 2)
	for range 1000 {
		s.add(math.MaxInt64)
	}
	want(math.MaxInt64)
	for range 1000 {
		s.add(-math.MaxInt64)
	}
	want(math.MaxInt64 - 2)
	s = byteSum{}
	random, plain := rand.New(rand.NewPCG(1, 2)), int64(0)
	for range 10_000 {
		n := random.Int64N(1 << 40)
		s.add(n)
		plain += n
		if k := random.Int64N(plain + 1); random.IntN(2) == 0 {
			s.add(-k)
			plain -= k
		}
		want(plain)
	}
}
