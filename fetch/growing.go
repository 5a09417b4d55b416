package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"dlfs/cache"
	"dlfs/fetch/hosts"
	"dlfs/fetch/origin"
	"dlfs/listfile/digest"
)

// maxRestarts is how often in one run a body of unknown length may break off
// before its file fails: each costs the whole of it.
const maxRestarts = 5

// growth is a file of unknown length being fetched: one request for the whole,
// into a stream that readers follow. It lives until the origin has sent everything: if the
// request breaks off before, the file is fetched from its start again.
type growth struct {
	// Constant data
	file   *File
	stream *cache.Stream

	// Guarded by file.mu.
	moved chan struct{} // closed, and replaced, when bytes came or it ended
	over  bool
	err   error // why it ended before its end; nil if it did not
}

// movedLocked wakes the readers that wait for more bytes. The caller holds file.mu.
func (g *growth) movedLocked() {
	close(g.moved)
	g.moved = make(chan struct{})
}

// grow ends first contact with an origin that does not say how long the file
// is. from is its response, if there is one already, which then has a place of m's host
// for the class.
func (c *contact) grow(m *mirror, from *response, class hosts.Class) {
	done := func() {}
	if from != nil {
		done = func() { m.host.Put(class) }
	}
	from, err := c.whole(m, from)
	if err != nil {
		done()
		c.fail(m, err)
		return
	}
	f, v := c.file, from.body.Version()
	// The first answer had no length, and the one to the whole file has one: the file is filled in
	// blocks like all others.
	if v.Size != origin.UnknownSize { // now it does say
		said := from.body.Digest()
		from.close()
		done()
		blob, err := c.create(m, v, said)
		c.pin(found{blob: blob, proven: true}, err)
		return
	}
	g, err := newGrowth(f, v)
	if err != nil {
		from.close()
		done()
		c.pin(found{}, err)
		return
	}
	// Readers who waited for the contact follow the growth from here on.
	c.end(func() { f.mu.cur, f.mu.failure = g, nil })
	f.set.log.Info("origin does not say how long the file is; it is read to its end", "name", f.name)
	go func() { // owned by the Set; Close waits
		defer f.set.flights.Done()
		g.run(m, from)
		done()
	}()
}

// whole is the response to read, asked for anew if there is none.
func (c *contact) whole(m *mirror, from *response) (*response, error) {
	if from != nil {
		return from, nil
	}
	asked := time.Now()
	ctx, cancel := context.WithCancel(origin.Urgent(c.file.set.ctx, &c.urgent))
	body, err := m.res.GetWhole(ctx, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	return &response{body, asked, ctx, cancel, &c.urgent}, nil
}

// newGrowth makes the stream that a body goes into. It counts as a flight.
func newGrowth(f *File, v origin.Version) (*growth, error) {
	stream, err := f.set.store.Stream(f.name, cache.Version(v))
	if err != nil {
		return nil, err
	}
	if !f.set.begin() {
		stream.Abandon()
		return nil, errClosing
	}
	f.set.grows(1)
	return &growth{file: f, stream: stream, moved: make(chan struct{})}, nil
}

// run reads the response to its end, and settles what came.
func (g *growth) run(m *mirror, from *response) {
	err := g.follow(from.body)
	said := from.body.Digest()
	from.close()
	if err == nil {
		err = g.doubt(m, from.body.Cut())
	}
	if err == nil {
		err = listedOtherwise(g.file.Entry(), g.stream.Present())
	}
	g.ended(m, said, err)
}

// follow copies the body into the stream, to its end.
func (g *growth) follow(body *origin.Body) error {
	buffers := &g.file.set.buffers
	buf := buffers.get()
	defer buffers.put(buf)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if err := g.append(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF { // io.EOF itself: an error that wraps it is a failure
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// doubt asks HEAD whether a body that ended without a word of its length ended
// where the file does: one that was cut by a proxy may look just as well. If HEAD
// does not tell, and the connection may have been cut (origin.Body.Cut), the body is read
// once more: it is believed when it ends at the same byte again.
func (g *growth) doubt(m *mirror, cut bool) error {
	f := g.file
	n, ok := m.res.Length(f.set.ctx)
	have := g.stream.Present()
	if ok && n != have {
		return &origin.Error{Kind: origin.Restart, URL: m.res.URL(), Err: fmt.Errorf("body ended after %d bytes, and HEAD says that the file has %d", have, n)}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if again := f.mu.conduct.cutAt == have+1; !ok && cut && !again {
		f.mu.conduct.cutAt = have + 1
		return &origin.Error{Kind: origin.Restart, URL: m.res.URL(), Err: fmt.Errorf("connection was closed after %d bytes, and nothing says that they are all", have)}
	}
	return nil
}

// boundPatience is how long a growth waits for room that --max-size does not give. What is
// stored of it cannot be evicted, so waiting longer would keep that room for nothing.
const boundPatience = time.Minute

// append waits for room if the disk is full, since to start again costs more. In a store
// with a bound, other files make room if a reader has the file open.
func (g *growth) append(p []byte) error {
	// A batch job (opts.Serve is false) fails at once, so that it ends with the exit code of a full
	// disk. A mount waits.
	f, err := g.file, g.stream.Append(p)
	began := time.Now()
	for errors.Is(err, cache.ErrNoSpace) && f.set.opts.Serve {
		if bound := errors.Is(err, cache.ErrBound); bound && f.set.holds(f) && f.set.room.makeFor(f.set.ctx, int64(len(p))+cache.BlockSize) {
			err = g.stream.Append(p)
			continue
		} else if bound && time.Since(began) > boundPatience {
			return fmt.Errorf("the origin does not tell how long the file is, so it is stored as a whole, and --max-size had no room for more than %d bytes of it; raise --max-size, or unpin other files", g.stream.Present())
		}
		t := time.NewTimer(retryFull)
		select {
		case <-t.C:
		case <-f.set.ctx.Done():
			t.Stop()
			return errClosing
		}
		err = g.stream.Append(p)
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	g.movedLocked()
	return nil
}

// ended ends a growth. Without an error what came is the whole file: it is finished in the store
// and becomes the fill of the file. With one it is abandoned, and settleLocked decides whether the
// file starts again or fails. Readers who wait get the rest or that error.
func (g *growth) ended(m *mirror, said digest.Digest, err error) {
	f := g.file
	defer f.set.grows(-1)
	var blob *cache.Blob
	if err == nil {
		blob, err = g.stream.Finish()
	}
	if err != nil {
		g.stream.Abandon()
	}
	f.change(func() {
		f.mu.cur = nil
		g.err = g.settleLocked(m, err)
		if err == nil {
			blob.SetNote(cache.Note{URL: m.hash, Digest: said.String()})
			f.pinLocked(blob).proven = true
		}
		g.over = true
		g.movedLocked()
	})
}

// settleLocked decides what the error that ended a growth means for the file. It returns
// the error that readers are to get, nil if there was none.
func (g *growth) settleLocked(m *mirror, err error) error {
	f := g.file
	switch {
	case err == nil:
	case f.set.ctx.Err() != nil:
		return errClosing
	case origin.KindOf(err) == origin.Restart && f.mu.conduct.restarts < maxRestarts:
		f.mu.conduct.restarts++
		f.set.log.Warn("body of unknown length broke off; starting the file again", "name", f.name, "err", err)
		return fmt.Errorf("%w: %w", ErrStale, err)
	case errors.Is(err, cache.ErrNoSpace): // a full disk is no failure of the file
	case originError(err) == nil:
		f.failLocked(err)
	default:
		if others, hope := f.dropLocked(m, err); !others { // else the next one has its turn
			f.failLocked(hope)
		}
	}
	return err
}

// readAt reads what there is at off, at least a byte, waiting for it if
// need be; at the end of the file it returns io.EOF.
func (g *growth) readAt(ctx context.Context, p []byte, off int64) (int, error) {
	var began time.Time // the wait; zero while there was none
	for {
		g.file.mu.Lock()
		moved, over, err := g.moved, g.over, g.err
		g.file.mu.Unlock()
		if have := g.stream.Present(); off < have {
			return g.stream.ReadAt(p[:min(int64(len(p)), have-off)], off)
		}
		switch {
		case err != nil:
			return 0, err
		case over:
			return 0, io.EOF
		}
		if began.IsZero() {
			began = time.Now()
			defer func() { g.file.set.readWait.observe(time.Since(began)) }()
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (g *growth) copy() Copy            { return g.stream }
func (g *growth) acquire() error        { return g.stream.Acquire() }
func (g *growth) release()              { g.stream.Release() }
func (g *growth) has(off, _ int64) bool { return off < g.stream.Present() }
