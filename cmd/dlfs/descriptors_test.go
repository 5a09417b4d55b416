package main

import "testing"

// TestFileShares: what is shared out is less than the limit, and never nothing.
func TestFileShares(t *testing.T) {
	for _, limit := range []uint64{0, 16, 64, 128, 256, 1024, 4096, 1 << 20, 1 << 40, ^uint64(0)} {
		s := fileSharesOf(limit)
		if s.requests < 2 || s.unsynced < 2 || s.readers < 2 || s.requests > 4096 || s.unsynced > 1024 {
			t.Errorf("of %d: %+v", limit, s)
		}
		idle := s.requests / 2
		if total := uint64(ownFiles + s.requests + idle + s.unsynced + s.readers); limit >= 64 && total > limit {
			t.Errorf("of %d, %d are shared out: %+v", limit, total, s)
		}
	}
}
