package cache

// Note is what the caller wants remembered of a blob. The store keeps it with
// the blob's version and does not interpret it, except that it
// clears Verified where it can no longer answer for the bytes.
type Note struct {
	// URL is a hash of the URL that told the blob's version, 0 if none. The
	// state never holds a URL, which may grant access.
	URL uint64

	// Digest is what the bytes must hash to or were found to hash to, in the
	// caller's text form; "" if nothing is known of that.
	Digest string

	// Verified says that the bytes were compared with Digest, and agreed.
	Verified bool

	// Refuted is the digest that the bytes did not have which the blob is to replace,
	// those of a finished file or its own; "" if there are none. It is kept until the
	// blob is published.
	Refuted string
}

// unverified returns the note for bytes that were not compared with a digest.
func (n Note) unverified() Note {
	n.Verified = false
	return n
}

// Note returns what SetNote was last given, in this run or an earlier one. It
// takes no lock.
//
// Verified is false again for a file that the store finds in the output
// directory and cannot tell from another one of its size: adopted after a crash,
// or of another time than it was published with.
func (b *Blob) Note() Note { return *b.note.Load() }

// SetNote has n remembered. It does not block; n is durable after the next sync.
// The note of an abandoned blob is not recorded.
func (b *Blob) SetNote(n Note) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if *b.note.Swap(&n) != n && !b.mu.abandoned {
		b.store.put(b)
	}
}
