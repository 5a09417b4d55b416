package fetch

import (
	"context"
	"time"

	"dlfs/fetch/origin"
	"dlfs/fetch/peers"
	"dlfs/listfile/digest"
)

// viaPeers ends the contact with what a peer says of the file, if one says something. Where
// the origin has shown another version in this run, it alone is believed.
// others says that the origin of this machine has refused, so that it is the turn of the
// other machines.
func (c *contact) viaPeers(urgent, others bool) bool {
	f, p := c.file, c.file.set.peering
	if p == nil {
		return false
	}
	c.asking.Store(true)
	defer c.asking.Store(false)
	f.mu.Lock()
	changed := f.mu.conduct.changes > 0 || f.mu.conduct.peersLie
	f.mu.Unlock()
	if changed {
		return false
	}
	unfit := map[string]bool{p.Ring.Self(): others}
	w := &walk{peering: p, wanted: f.set.ctx, name: f.name, urgent: urgent, pass: others, met: func(peer string, o peers.Outcome) { unfit[peer] = o == peers.Unfit }}
	w.course = p.Ring.Course(peers.KeyOf(f.name, 0), true, func(peer string) bool { return unfit[peer] }, time.Now())
	patience := peerPatience
	if urgent {
		patience = readerPatience
	}
	ctx, cancel := context.WithTimeout(f.set.ctx, patience)
	defer cancel()
	if !w.getVersion(ctx) || w.version.ETag == "" && w.version.LastModified == "" {
		return false // without a validator the origin could not prove that it has the same
	}
	said, err := digest.Parse(w.digest)
	if err != nil {
		said = digest.Digest{}
	}
	v := origin.Version(w.version)
	if listedOtherwise(f.Entry(), v.Size) != nil {
		return false
	}
	blob, err := c.make(v, said)
	if err != nil {
		return false // the origin's answer has the same fate, and tells it
	}
	note := blob.Note()
	note.URL, note.Digest = asUnasked, said.String()
	blob.SetNote(note)
	c.pin(found{blob: blob}, nil)
	return true
}

// asUnasked is the hash of the URL that told a version which a peer told: no URL's.
const asUnasked = 1

// toldByPeer reports whether a peer told the version, and no URL of this machine.
func (fi *fill) toldByPeer() bool { return fi.blob.Note().URL == asUnasked }

// misled reports whether a peer told the version, no byte of it is there, and err says that the
// origin has another one. The version may be one from before a change.
func (fi *fill) misled(err error) bool {
	if !fi.toldByPeer() || fi.blob.Present() > 0 {
		return false
	}
	kind := origin.KindOf(err)
	return kind == origin.Changed || kind == origin.Unproven || origin.NothingToCompare(err)
}
