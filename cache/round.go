package cache

// What the next round of the syncer (sync.go) has to do is noted here, under Store.mu.

// put has the next round record b under its name, as b is then. A store that only reads has no
// rounds, and put does nothing there.
func (s *Store) put(b *Blob) {
	if s.readOnly() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.records[b.name] = b
}

// forgetRecord has the next round not record b. The record of another blob of the same name,
// which has come since, stays.
func (s *Store) forgetRecord(b *Blob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.records[b.name] == b {
		delete(s.mu.records, b.name)
	}
}

// touch has the next round look at b: it syncs the bytes of b that are not durable, writes its
// bits, and publishes b if b is complete and that is wanted.
func (s *Store) touch(b *Blob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.touched[b] = struct{}{}
}

// Behind reports whether so many blobs are not durable yet that no further ones
// should be begun if that can wait. It bounds the descriptors that a long list of
// small files takes on a slow disk.
func (s *Store) Behind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.touched)+s.mu.syncing >= s.opts.MaxUnsynced
}

// wrote counts n bytes put into b, and wakes the syncer when SyncBytes bytes are not durable or
// the blobs are half of MaxUnsynced. It does not block: a syncer that is awake, or about to be,
// needs no second call.
func (s *Store) wrote(b *Blob, n int64) {
	s.mu.Lock()
	s.mu.touched[b] = struct{}{}
	s.mu.unsyncedBytes += n
	due := s.mu.unsyncedBytes >= s.opts.SyncBytes || len(s.mu.touched) >= s.opts.MaxUnsynced/2
	s.mu.Unlock()
	if due {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}
