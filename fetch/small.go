package fetch

import "dlfs/fetch/hosts"

// Foresee has the file fetched, if it is small, because a reader goes through files in some
// order and will come to this one soon. It blocks for what the store has of the file, not
// for the network. What is fetched counts as read-ahead, and if the host has no place for
// it now nothing happens.
func (f *File) Foresee() {
	if f.set.peering != nil { // the bytes may be another machine's to ask for
		f.ForeseeStat()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	size := f.mu.entry.Said().Size // less than 0 if the list does not say it
	known := f.copy()
	if known != nil {
		size = known.Version().Size
	}
	if known != nil && known.Present() == size || !f.idle() {
		return
	}
	m := f.mirrorsLocked().free(hosts.Ahead)
	if m == nil || size > m.host.Small() || f.loadLocked(nil) != nil { // the open of the file tells that error, too
		return
	}
	fi := f.fill()
	if f.mu.cur != nil && (fi == nil || len(fi.flights) > 0) || !m.host.Try(hosts.Ahead) {
		return
	}
	if fi == nil {
		if f.contactLocked(func(c *contact) { c.fetch(m, hosts.Ahead) }) != nil {
			return // the contact has the place
		}
	} else if off, n := fi.unassigned(0, min(fi.blob.Version().Size, m.host.Small())); n > 0 && f.set.begin() {
		fi.launchLocked(m, hosts.Ahead, off, off+n).holds++
		return
	}
	m.host.Put(hosts.Ahead)
}

// ForeseeStat asks for the size of the file, because a program asks for the sizes of files in
// some order and is likely to come to this one. It blocks as Foresee does.
func (f *File) ForeseeStat() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.copy() != nil || !f.idle() || f.loadLocked(nil) != nil || f.copy() != nil {
		return
	}
	m := f.mirrorsLocked().free(hosts.Ahead)
	if m == nil || !m.host.Try(hosts.Ahead) {
		return
	}
	if f.contactLocked(func(c *contact) { c.probe(false); m.host.Put(hosts.Ahead) }) == nil {
		m.host.Put(hosts.Ahead)
	}
}

// idle reports whether the origin may be asked about the file although no reader waits for
// the answer. The caller holds f.mu.
func (f *File) idle() bool {
	return !f.mu.removed && f.mu.failure == nil && f.mu.contact == nil && f.set.store.FullSince().IsZero()
}
