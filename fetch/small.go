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
	f.soon(func(fi *fill, m *mirror) bool {
		size := f.mu.entry.Said().Size // less than 0 if the list does not say it
		if fi != nil {
			size = fi.blob.Version().Size
		}
		if size > m.host.Small() {
			return false
		}
		if fi == nil {
			return f.contactLocked(func(c *contact) { c.fetch(m, hosts.Ahead) }) != nil
		}
		off, n := fi.unassigned(0, size)
		if n == 0 || !f.set.begin() {
			return false
		}
		fi.launchLocked(m, hosts.Ahead, off, off+n).holds++
		return true
	})
}

// ForeseeStat has the size of the file found out, because somebody asks for the sizes of
// files in some order. It blocks as Foresee does.
func (f *File) ForeseeStat() {
	f.soon(func(fi *fill, m *mirror) bool {
		return fi == nil && f.contactLocked(func(c *contact) {
			c.probe(false)
			m.host.Put(hosts.Ahead)
		}) != nil
	})
}

// soon calls launch with a mirror whose host has given a place for read-ahead, unless all is
// known of the file, or it is asked for already; fi is nil if its version is not known.
// launch reports whether it has taken the place.
func (f *File) soon(launch func(fi *fill, m *mirror) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.removed || f.mu.failure != nil || f.mu.contact != nil || !f.set.store.FullSince().IsZero() {
		return
	}
	if f.loadLocked(f.lookup) != nil { // which who opens the file will find, too
		return
	}
	fi := f.fill()
	if f.mu.cur != nil && (fi == nil || len(fi.flights) > 0 || fi.blob.Complete()) {
		return
	}
	m := f.mirrorFor(hosts.Ahead)
	if m == nil || !m.host.Try(hosts.Ahead) {
		return
	}
	if !launch(fi, m) {
		m.host.Put(hosts.Ahead)
	}
}
