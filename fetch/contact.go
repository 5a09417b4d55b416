package fetch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"dlfs/cache"
	"dlfs/fetch/hosts"
	"dlfs/fetch/origin"
	"dlfs/fetch/peers"
	"dlfs/listfile"
	"dlfs/listfile/digest"
)

// contact is a first contact under way: it asks the origin for the version of a file, and
// ends by pinning one, or with an error. There are two ways to it: probe asks with the
// least traffic because a caller wants to know the size; fetch is prefetch's, and its
// first request goes on to be its first flight.
type contact struct {
	file   *File
	began  time.Time
	done   chan struct{} // closed when the contact has ended
	asking atomic.Bool   // peers are being asked
	begs   atomic.Bool   // a peer is being asked that may ask this machine before it answers
	urgent atomic.Bool   // a reader waits for it
}

// Probe returns the file's copy, asking the origin for the version if it is not
// known. It blocks for the network, until ctx ends. While it waits, prefetch
// gives way.
func (f *File) Probe(ctx context.Context) (Copy, error) { return f.contact(ctx, true) }

// contact returns what is known of the file. If nothing is, it joins the first contact that is
// under way, or begins one. A failure that is recent is returned at once, so that many callers
// do not ask the origin one after the other.
func (f *File) contact(ctx context.Context, urgent bool) (Copy, error) {
	for {
		f.mu.Lock()
		var err error
		if f.copy() == nil {
			err = f.loadLocked(nil)
		}
		known, under := f.copy(), f.mu.contact
		if known == nil && err == nil && under == nil {
			if err = f.mu.failure.recent(); err == nil {
				if under = f.contactLocked(func(c *contact) { c.probe(urgent) }); under == nil {
					err = errClosing
				}
			}
		}
		if under != nil && urgent {
			under.urgent.Store(true)
		}
		f.mu.Unlock()
		if known != nil || err != nil {
			return known, err
		}
		if err := under.await(ctx, urgent); err != nil {
			return nil, err
		}
	}
}

// contactLocked begins first contact in the background; there must be none under way. how
// must end it. It returns nil if the set is closing.
func (f *File) contactLocked(how func(*contact)) *contact {
	if !f.set.begin() {
		return nil
	}
	c := &contact{file: f, began: time.Now(), done: make(chan struct{})}
	f.mu.contact = c
	f.set.workers.do(f.set.ctx, func() {
		defer f.set.flights.Done()
		how(c)
	})
	return c
}

// end ends the contact: do changes the file by what was found, and those who wait look
// again.
func (c *contact) end(do func()) {
	c.file.set.probe.observe(time.Since(c.began))
	c.file.change(func() {
		do()
		c.file.mu.contact = nil
		close(c.done)
	})
}

// found is the version that a first contact told.
type found struct {
	blob   *cache.Blob // nil if the origin does not say how long the file is
	proven bool        // a GET told it
}

// pin ends the contact with a version, or with an error that is no mirror's.
func (c *contact) pin(v found, err error) {
	c.end(func() {
		if err == nil {
			fi := c.file.pinLocked(v.blob)
			fi.proven = v.proven
			fi.restLocked()
		} else {
			c.file.failLocked(err)
		}
	})
}

// fail ends the contact with what m answered: the next mirror has its turn when prefetch
// looks again.
func (c *contact) fail(m *mirror, err error) {
	f := c.file
	c.end(func() {
		others := false
		if originError(err) != nil && f.set.ctx.Err() == nil {
			others, err = f.dropLocked(m, err)
		}
		if !others {
			f.failLocked(err)
		}
	})
}

// eachMirror tries ask of one mirror after the other, until it goes well or
// fails for a reason that is no mirror's fault.
func (c *contact) eachMirror(ask func(*mirror) error) error {
	f := c.file
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

// probe asks for the version with the least traffic. When no reader waits for it,
// it takes no reader's place.
func (c *contact) probe(urgent bool) {
	if c.viaPeers(urgent, false) {
		return
	}
	var v found
	var from *mirror
	err := c.eachMirror(func(m *mirror) (err error) {
		from = m
		v, err = c.ask(m, urgent)
		return err
	})
	if err == nil && v.blob == nil {
		c.grow(from, nil, hosts.Bulk)
		return
	}
	if originError(err) != nil && c.viaPeers(urgent, true) {
		return
	}
	c.pin(v, err)
}

// ask asks mirror m for the version, and makes the blob of it. The blob is nil, without an error,
// if the origin does not say how long the file is. If the answer was to a GET, its body may be the
// first block, which is kept, and it proves that the origin sends this version. An urgent contact
// takes a reader's place at the host.
func (c *contact) ask(m *mirror, urgent bool) (found, error) {
	f := c.file
	ctx := origin.Urgent(f.set.ctx, &c.urgent)
	if urgent {
		if err := m.host.TakeReader(f.set.ctx); err != nil {
			return found{}, err
		}
		defer m.host.PutReader()
	}
	f.mu.Lock()
	useHead := !f.mu.conduct.headLies
	f.mu.Unlock()
	v, head, err := m.res.Probe(ctx, useHead)
	if err != nil || v.Size == origin.UnknownSize {
		return found{}, err
	}
	var said digest.Digest
	if head != nil { // the body may be all of the file, and then no other GET tells a digest
		said = m.res.Said(v)
	}
	blob, err := c.create(m, v, said)
	if err != nil {
		return found{}, err
	}
	if head != nil {
		if err := keepHead(blob, head); err != nil && !errors.Is(err, cache.ErrNoSpace) { // the version is known
			f.set.log.Warn("first block is not kept", "name", f.name, "err", err)
		}
	}
	return found{blob: blob, proven: head != nil}, nil
}

// listedOtherwise is the error of a file of n bytes that has another size in the
// list. Another mirror may have the right one.
func listedOtherwise(e *listfile.Entry, n int64) error {
	size := e.Said().Size
	if size < 0 || size == n {
		return nil
	}
	err := fmt.Errorf("the list says %d bytes and the origin has %d; correct the list", size, n)
	return &origin.Error{Kind: origin.Permanent, Err: err}
}

// create makes the blob of a version that m told, with the digest it said the
// bytes have, if any.
func (c *contact) create(m *mirror, v origin.Version, said digest.Digest) (*cache.Blob, error) {
	f, e := c.file, c.file.Entry()
	if err := listedOtherwise(e, v.Size); err != nil {
		return nil, err
	}
	if err := c.outvoted(m, word{v.Size, m.res.Said(v)}); err != nil {
		return nil, err
	}
	blob, err := c.make(v, said)
	if unfinished := new(cache.UnfinishedError); f.set.opts.AdoptPartial && errors.As(err, &unfinished) {
		blob, err = c.takeOver(m, v, unfinished)
	}
	if err != nil {
		return nil, err
	}
	note := blob.Note()
	note.URL, note.Digest = m.hash, said.String()
	blob.SetNote(note)
	return blob, nil
}

// make makes the blob of a version in the store.
func (c *contact) make(v origin.Version, said digest.Digest) (*cache.Blob, error) {
	f, e := c.file, c.file.Entry()
	create := f.set.store.Create
	if known := !said.IsZero() || !e.Said().Digest.IsZero(); known && !f.set.opts.Serve { // in a mount it could be read before it is compared
		create = f.set.store.CreateProven
	}
	return create(f.name, cache.Version(v))
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

// fetch asks m for the start of a file whose version is not known, and goes on
// streaming it: a small file costs one request. It has a place of m's host for a
// speculative class.
func (c *contact) fetch(m *mirror, class hosts.Class) {
	f := c.file
	if f.set.store.Occupied(f.name) { // perhaps to be adopted: ask before fetching
		m.host.Put(class)
		c.probe(false)
		return
	}
	from, err := c.open(m, class)
	if err != nil {
		m.host.Put(class)
		if originError(err) == nil || !c.viaPeers(false, true) {
			c.fail(m, err)
		}
		return
	}
	body := from.body
	if body.Version().Size == origin.UnknownSize {
		c.grow(m, from, class)
		return
	}
	blob, err := c.create(m, body.Version(), body.Digest())
	if err != nil || blob.Complete() || !f.set.begin() {
		from.close()
		m.host.Put(class)
		if originError(err) != nil {
			c.fail(m, err)
		} else {
			c.pin(found{blob: blob}, err)
		}
		return
	}
	var fl *flight
	c.end(func() {
		fi := f.pinLocked(blob)
		fi.noRanges = !body.Ranged()
		fl = fi.enlistLocked(m, class, 0, body.End(), &stream{body, from.asked, from.ctx, from.cancel, from.urgent})
		fl.holds++
	})
	fl.run()
}

// open makes the request of fetch, whose answer goes on to be the first flight. How much is asked
// for depends on how long that flight may be: all where one request is to bring the file, little
// where a reader may come, else maxExtent. The caller closes the response or hands it on.
func (c *contact) open(m *mirror, class hosts.Class) (*response, error) {
	s, asked := c.file.set, time.Now()
	ctx, cancel := context.WithCancel(origin.Urgent(origin.WithRest(s.ctx, s.rest(m.host)), &c.urgent))
	first := int64(maxExtent)
	if s.oneRequest() {
		first = math.MaxInt64
	}
	if s.opts.Serve {
		first = m.host.Beside(min(max(m.host.Worth(), firstExtent), maxExtent))
	}
	if class == hosts.Ahead {
		first = m.host.Small()
	}
	if s.peering != nil {
		first = min(first, peers.ExtentSize) // the next extent may be another machine's
	}
	body, err := m.res.Get(ctx, nil, 0, first)
	if err != nil {
		cancel()
		return nil, err
	}
	m.host.FirstByte(time.Since(asked))
	return &response{body, asked, ctx, cancel, &c.urgent}, nil
}

// response is the response of a first contact, to be streamed on.
type response struct {
	body   *origin.Body
	asked  time.Time // when the request was made
	ctx    context.Context
	cancel context.CancelFunc
	urgent *atomic.Bool // as of contact
}

// close ends the request, and with it the connection if the body was not read to its
// end.
func (r *response) close() {
	r.body.Close()
	r.cancel()
}
