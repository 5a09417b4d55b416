package cache

import (
	"math"
	"time"
)

// Outline is the generation, size and date of a blob without a present block. It takes the
// place of the blob in memory while the blob is not in use: the blobs of a million files
// whose sizes were asked for would take a gigabyte. An outline is immutable. Store.Restore
// makes the blob again.
type Outline struct {
	gen     uint64
	size    int64
	modTime int64 // Unix seconds, noModTime if there is none
}

const noModTime = math.MinInt64

// Outline returns the outline of the blob; false if more is to be said of it: blocks that are
// present or begun, a digest, a file that it replaces. The caller is the only one to have the
// blob, and gives it up for the outline.
func (b *Blob) Outline() (*Outline, bool) {
	note := b.Note()
	note.URL = 0
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.Present() > 0 || b.mu.refs > 0 || b.mu.published || b.mu.abandoned || b.mu.publish != nil ||
		b.mu.replaces != (standing{}) || b.failures.Load() > 0 || b.evictions.Load() > 0 || note != (Note{}) || b.version.Size == 0 {
		return nil, false
	}
	return outlineOf(b.gen, b.version), true
}

// outlineOf keeps what a file at rest needs of a version: its size, and its time in whole
// seconds.
func outlineOf(gen uint64, v Version) *Outline {
	o := &Outline{gen: gen, size: v.Size, modTime: noModTime}
	if t := v.ModTime(); !t.IsZero() {
		o.modTime = t.Unix()
	}
	return o
}

// Generation is that of the blob.
func (o *Outline) Generation() uint64 { return o.gen }

// Version returns the version without its validators.
func (o *Outline) Version() Version { return Version{Size: o.size} }

// ModTime is the time that the origin gave the version, zero if it gave none.
func (o *Outline) ModTime() time.Time {
	if o.modTime == noModTime {
		return time.Time{}
	}
	return time.Unix(o.modTime, 0).UTC()
}

// Present is 0.
func (o *Outline) Present() int64 { return 0 }

// Published is false.
func (o *Outline) Published() bool { return false }

// Restore returns the blob of an outline, nil if the index does not have it any more. It
// blocks for the disk.
func (s *Store) Restore(name string, o *Outline) (*Blob, error) {
	if b := s.unrecorded(name); b != nil {
		if b.gen != o.gen {
			return nil, nil
		}
		return b, nil
	}
	r, ok, err := s.index.record(name)
	if err != nil || !ok || r.gen != o.gen || r.published || r.replaces != (standing{}) {
		return nil, err
	}
	return s.blob(name, r.gen, r.version, r.note), nil
}

// unrecorded returns the blob of that name whose record is to be written, or just being
// written; nil if there is none.
func (s *Store) unrecorded(name string) *Blob {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.mu.records[name]; b != nil {
		return b
	}
	return s.mu.recording[name]
}
