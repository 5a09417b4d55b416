package fetch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"dlfs/cache"
	"dlfs/fetch/origin"
	"dlfs/listfile/digest"
)

// First contact pins a file's version. There are two ways to it: a probe, which
// asks with the least traffic because somebody wants to know the size, and
// prefetch's, whose first request goes on to be its first flight.

// Probe returns the file's copy, asking the origin for the version if it is not
// known. It blocks for the network, until ctx ends. While it waits, prefetch
// gives way.
func (f *File) Probe(ctx context.Context) (Copy, error) { return f.contact(ctx, true) }

func (f *File) contact(ctx context.Context, urgent bool) (Copy, error) {
	for {
		f.mu.Lock()
		err := f.loadLocked()
		c, probing := f.copyLocked(), f.mu.probing
		if c == nil && err == nil && probing == nil {
			if err = f.recentLocked(); err == nil {
				if probing = f.contactLocked(func() { f.probe(urgent) }); probing == nil {
					err = errClosing
				}
			}
		}
		f.mu.Unlock()
		if c != nil || err != nil {
			return c, err
		}
		select {
		case <-probing:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// contactLocked runs first contact in the background: once, however many ask.
// what must end it. It returns nil if the set is closing.
func (f *File) contactLocked(what func()) chan struct{} {
	if !f.set.begin() {
		return nil
	}
	f.mu.probing = make(chan struct{})
	go func() { // owned by the Set; Close waits
		defer f.set.flights.Done()
		what()
	}()
	return f.mu.probing
}

// contactedLocked wakes who waits for first contact.
func (f *File) contactedLocked() {
	close(f.mu.probing)
	f.mu.probing = nil
}

// found is the version that a first contact told.
type found struct {
	blob   *cache.Blob // nil if the origin does not say how long the file is
	proven bool        // a GET told it
}

// contacted ends first contact.
func (f *File) contacted(v found, err error) {
	f.change(func() {
		if err == nil {
			f.pinLocked(v.blob).proven = v.proven
		} else {
			f.failLocked(err)
		}
		f.contactedLocked()
	})
}

// eachMirror tries ask of one mirror after the other, until it goes well or
// fails for a reason that is no mirror's fault.
func (f *File) eachMirror(ask func(*mirror) error) error {
	for {
		f.mu.Lock()
		m := f.mirrorsLocked().hopeful()
		f.mu.Unlock()
		err := ask(m)
		if err == nil || originError(err) == nil || f.set.ctx.Err() != nil {
			return err
		}
		f.mu.Lock()
		others, hope := f.dropLocked(m, err)
		f.mu.Unlock()
		if !others {
			return hope
		}
	}
}

// probe asks for the version with the least traffic. When nobody waits for it,
// it takes no reader's place.
func (f *File) probe(urgent bool) {
	var v found
	var from *mirror
	err := f.eachMirror(func(m *mirror) (err error) {
		from = m
		v, err = f.askVersion(m, urgent)
		return err
	})
	if err == nil && v.blob == nil {
		f.grow(from, nil)
		return
	}
	f.contacted(v, err)
}

func (f *File) askVersion(m *mirror, urgent bool) (found, error) {
	ctx := f.set.ctx
	if urgent {
		ctx = origin.Urgent(ctx)
		if err := m.host.takeReader(f.set.ctx); err != nil {
			return found{}, err
		}
		defer m.host.putReader()
	}
	f.mu.Lock()
	useHead := !f.mu.headLies
	f.mu.Unlock()
	v, head, err := m.res.Probe(ctx, useHead)
	if err != nil || v.Size == origin.UnknownSize {
		return found{}, err
	}
	var said digest.Digest
	if head != nil { // which may be all of the file, so that no other GET tells
		said = m.res.Said(v)
	}
	blob, err := f.create(m, v, said)
	if err != nil {
		return found{}, err
	}
	if head != nil {
		err := keepHead(blob, head)
		if errors.Is(err, cache.ErrNoSpace) {
			f.set.noteFull()
		} else if err != nil { // the version is known all the same
			f.set.log.Warn("first block is not kept", "name", f.name, "err", err)
		}
	}
	return found{blob: blob, proven: head != nil}, nil
}

// listedOtherwise is the error of a file of n bytes that has another size in the
// list. Another mirror may have the right one.
func (f *File) listedOtherwise(n int64) error {
	size := listedSize(f.Entry())
	if size < 0 || size == n {
		return nil
	}
	err := fmt.Errorf("the list says %d bytes and the origin has %d; correct the list", size, n)
	return &origin.Error{Kind: origin.Permanent, Err: err}
}

// create makes the blob of a version that m told, with the digest it said the
// bytes have, if any.
func (f *File) create(m *mirror, v origin.Version, said digest.Digest) (*cache.Blob, error) {
	if err := f.listedOtherwise(v.Size); err != nil {
		return nil, err
	}
	create := f.set.store.Create
	if known := !said.IsZero() || !listed(f.Entry()).IsZero(); known && !f.set.opts.Keep { // in a mount it could be read before it is compared
		create = f.set.store.CreateProven
	}
	blob, err := create(f.name, cache.Version(v))
	if err != nil {
		return nil, err
	}
	note := blob.Note()
	note.URL, note.Digest = m.hash, said.String()
	blob.SetNote(note)
	return blob, nil
}

// keepHead stores the first bytes a probe brought, as far as they are blocks.
func keepHead(blob *cache.Blob, head []byte) error {
	if n := int64(len(head)); n == 0 || n%cache.BlockSize != 0 && n != blob.Version().Size {
		return nil
	}
	if err := blob.Acquire(); err != nil {
		return err
	}
	defer blob.Release()
	return blob.Put(0, head)
}

// firstContact asks m for the start of a file whose version is not known, and
// goes on streaming it: a small file costs one request. It has a prefetch place
// of m's host.
func (f *File) firstContact(m *mirror) {
	if f.set.store.Occupied(f.name) { // perhaps to be adopted: ask before fetching
		m.host.put(bulk)
		f.probe(false)
		return
	}
	asked := time.Now()
	ctx, cancel := context.WithCancel(origin.WithRest(f.set.ctx, f.set.rest(m.host)))
	first := int64(maxExtent)
	if f.set.oneRequest() {
		first = math.MaxInt64
	}
	if f.set.opts.Keep {
		first = m.host.beside(min(max(m.host.worth(), firstExtent), maxExtent))
	}
	body, err := m.res.Get(ctx, nil, 0, first)
	if err != nil {
		cancel()
		m.host.put(bulk)
		f.firstFailed(m, err)
		return
	}
	m.host.firstByte(time.Since(asked))
	from := &contact{body, ctx, cancel}
	if body.Version().Size == origin.UnknownSize {
		f.grow(m, from)
		return
	}
	blob, err := f.create(m, body.Version(), body.Digest())
	if originError(err) != nil {
		from.close()
		m.host.put(bulk)
		f.firstFailed(m, err)
		return
	}
	if err != nil || blob.Complete() || !f.set.begin() {
		from.close()
		m.host.put(bulk)
		f.contacted(found{blob: blob}, err)
		return
	}
	var fl *flight
	f.change(func() {
		fi := f.pinLocked(blob)
		fi.noRanges = !body.Ranged()
		f.contactedLocked()
		fl = fi.enlistLocked(m, bulk, 0, body.End(), from)
		fl.holds++
	})
	fl.run()
}

// firstFailed ends first contact with one mirror: the next one has its turn when
// prefetch looks again.
func (f *File) firstFailed(m *mirror, err error) {
	f.change(func() {
		others := false
		if originError(err) != nil && f.set.ctx.Err() == nil {
			others, err = f.dropLocked(m, err)
		}
		if !others {
			f.failLocked(err)
		}
		f.contactedLocked()
	})
}

// contact is the response of a first contact, to be streamed on.
type contact struct {
	body   *origin.Body
	ctx    context.Context
	cancel context.CancelFunc
}

func (c *contact) close() {
	c.body.Close()
	c.cancel()
}
