package cache

// Hold has a complete, durable blob lose no block until the matching Unhold, so that the
// kernel may read its file by itself: it shows holes as zeros. Hold reports false, and holds
// nothing, where that cannot be promised. The caller has an Acquire until Unhold.
//
// A program may have mapped the file, and keep the mapping when it has closed the file. So
// Evict passes over a blob whose file is open anywhere else, and Hold refuses where the
// system does not tell that.
func (b *Blob) Hold() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := &b.mu
	if m.holds == 0 {
		f := b.file.Load()
		if m.abandoned || b.bits == nil || f == nil || !b.Complete() || m.unsynced != nil || m.claimed {
			return false
		}
		if _, err := openElsewhere(f); err != nil {
			return false
		}
	}
	m.holds++
	return true
}

// Unhold undoes one Hold.
func (b *Blob) Unhold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.holds--
}

// InUse reports whether the last Evict passed over the blob because it is held, or because its
// file is open elsewhere.
func (b *Blob) InUse() bool { return b.inUse.Load() }

// notInUseLocked reports whether neither a Hold nor another program keeps the blob's blocks.
func (b *Blob) notInUseLocked() bool {
	elsewhere := false
	if f := b.file.Load(); f != nil && b.mu.holds == 0 {
		elsewhere, _ = openElsewhere(f) // without an answer there was no Hold, so there is no mapping
	}
	b.inUse.Store(b.mu.holds > 0 || elsewhere)
	return !b.inUse.Load()
}
