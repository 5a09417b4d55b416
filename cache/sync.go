package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The syncer is the one goroutine that makes things durable, in rounds. A round
//
//  1. takes the blocks written since the last one,
//  2. forces their bytes to disk (fdatasync of each blob touched), once the kernel has
//     been told to begin with all of them,
//  3. then, and only then, writes their bits, in one synced batch,
//  4. publishes the blobs that are complete, whose bits are now all durable or left out
//     (claim.take).
//
// So a durable bit implies durable bytes. Bits of a generation turn off only in Evict, which
// makes that durable before the bytes go; otherwise any older state of the index is a safe
// subset. Dying between 2 and 3 costs fetching those blocks again; nothing costs a wrong byte.

// syncWidth is how many blobs are forced to disk at once: a journalling
// filesystem serves concurrent fdatasyncs with one journal commit.
const syncWidth = 8

// run is the syncer goroutine. It is owned by the Store, whose Close stops it
// and waits.
func (s *Store) run() {
	defer close(s.stopped)
	tick := time.NewTicker(s.opts.SyncEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.watchRoom()
			s.watchState()
			s.keepAlive()
			s.watchBound()
			s.round()
			s.index.tellTables()
		case <-s.wake:
			s.round()
		case call := <-s.calls:
			call()
		case <-s.stop:
			s.closeErr = s.round()
			return
		}
	}
}

// watchBound looks how large the state of a bounded store has become.
func (s *Store) watchBound() {
	if err := s.measureState(); err != nil {
		s.log.Debug("size of the state is not known", "err", err)
	}
}

// round does one sync. Its error says that something it took is not durable;
// that was given back, to be missing or to be taken again.
func (s *Store) round() error {
	s.mu.Lock()
	blobs, records := s.mu.touched, s.mu.records
	s.mu.touched, s.mu.records, s.mu.unsyncedBytes = map[*Blob]struct{}{}, map[string]*Blob{}, 0
	s.mu.syncing, s.mu.recording = len(blobs), records
	s.mu.Unlock()
	if len(blobs) == 0 && len(records) == 0 {
		return nil
	}

	claims := make([]*claim, 0, len(blobs))
	for b := range blobs {
		claims = append(claims, b.take())
	}
	defer func() {
		for _, c := range claims {
			c.blob.unclaim()
			c.blob.Release()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.mu.syncing, s.mu.recording = 0, nil
	}()
	step("blocks claimed")
	dataErr := s.forceAll(claims)
	step("all blobs forced")
	err := s.writeBits(claims, records)
	s.sayFailing(err)
	if isFull(err) {
		s.squeeze()
	}
	if err != nil {
		s.unwritten(claims, records)
	}
	step("bits written")
	for _, c := range claims {
		if c.dead {
			c.blob.answer(errAbandoned)
		}
	}
	if err != nil {
		return errors.Join(dataErr, err)
	}
	return errors.Join(dataErr, s.publishAll(claims))
}

// sayFailing tells once that the index cannot be written, and once that it can
// again.
func (s *Store) sayFailing(err error) {
	switch {
	case err != nil && !s.failing:
		s.log.Error("state is not durable yet; trying again", "err", err)
	case err == nil && s.failing:
		s.log.Info("state is durable again")
	}
	s.failing = err != nil
}

// forceAll forces the bytes of all claims to disk. A claim that fails has its
// blocks taken back; its error is kept in it and returned with the others.
func (s *Store) forceAll(claims []*claim) error {
	claims = slices.DeleteFunc(slices.Clone(claims), func(c *claim) bool { return len(c.taken) == 0 && !c.full })
	if len(claims) == 0 {
		return nil
	}
	sideBySide(claims, func(c *claim) { c.err = c.blob.prepare(c.full) })
	sideBySide(claims, func(c *claim) {
		if c.err == nil {
			c.err = c.blob.force(c.full)
		}
		if c.err != nil {
			if isFull(c.err) { // found late, by a filesystem that allocates late
				s.squeeze()
			}
			c.blob.takeBack(c)
			s.log.Error("blocks could not be made durable; they are fetched again", "name", c.blob.name, "err", c.err)
		}
		s.account.counted(c.blob.growth()) // some filesystems allocate late
		step("blob forced")
	})
	var errs []error
	for _, c := range claims {
		if c.err != nil {
			errs = append(errs, c.err)
			c.blob.answer(c.err) // the caller of Publish asks again when the blob is complete again
		}
	}
	return errors.Join(append(errs, s.blobsDir.Sync())...) // entries of files created since
}

// sideBySide calls do for each claim, syncWidth at once, and waits for all.
func sideBySide(claims []*claim, do func(*claim)) {
	var next atomic.Int64
	var g sync.WaitGroup
	for range min(syncWidth, len(claims)) {
		g.Go(func() {
			for i := next.Add(1); i <= int64(len(claims)); i = next.Add(1) {
				do(claims[i-1])
			}
		})
	}
	g.Wait()
}

// prepare does what may be done to every blob of a round before the first of them is forced
// to disk, so that one commit of the filesystem's journal has the changes of all: a full
// blob gets its final modification time, and the kernel begins to write the bytes, for
// which the disk is chosen then. Nothing is durable yet.
func (b *Blob) prepare(full bool) error {
	f, err := b.writable()
	if err != nil {
		return err
	}
	if t := b.version.ModTime(); full && !t.IsZero() {
		at := unix.NsecToTimespec(t.UnixNano())
		if err := unix.UtimesNanoAt(int(b.store.blobsDir.Fd()), b.id(), []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("set modification time: %w", err)
		}
	}
	step("time set")
	beginWriting(f)
	return nil
}

// force makes the blob's bytes durable. A full blob gets a whole fsync, since it is about to
// be published.
func (b *Blob) force(full bool) error {
	f := b.file.Load() // open: the claim has a reference, and prepare has made it
	if !full {
		return datasync(f)
	}
	return f.Sync()
}

// writeBits makes a round durable: in one batch of the index it writes the records of new versions,
// the bits of the claims whose bytes are on disk, unless the record says it all, and what is
// forgotten of versions that no record points at any more. Those are forgotten one round after
// their record was replaced: a crash then finds either record with its blob. After an error nothing
// of the batch counts.
func (s *Store) writeBits(claims []*claim, records map[string]*Blob) error {
	batch := s.index.batch()
	for _, r := range s.dead {
		batch.forget(r.gen, r.version.Size)
		if r.replaces != (standing{}) {
			s.dropFile(r)
		}
	}
	var dead []record
	for name, b := range records {
		if b.abandoned() {
			continue
		}
		old, ok, err := s.index.record(name)
		batch.err = errors.Join(batch.err, err)
		if ok && old.gen != b.gen && !old.published {
			dead = append(dead, old) // once nothing points at it
		}
		batch.setRecord(name, b.record())
	}
	for _, c := range claims {
		if !c.dead && !c.whole {
			batch.setBits(c)
		}
	}
	if err := s.index.write(batch); err != nil {
		return err
	}
	s.dead = dead
	return nil
}

// dropFile removes the file of a blob that no record points at any more.
func (s *Store) dropFile(r record) {
	if err := s.blobs.Remove(blobID(r.gen)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("blocks of a repair that was given up are not removed", "err", err)
	}
}

// unwritten gives everything back to be tried again by the next round. The
// bytes are forced to disk a second time, which is harmless. What was abandoned
// is let go of: its room may be what the index lacks.
func (s *Store) unwritten(claims []*claim, records map[string]*Blob) {
	for _, c := range claims {
		if !c.dead {
			c.blob.giveBack(c)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range claims {
		if !c.dead && (c.taken != nil || c.full) {
			s.mu.touched[c.blob] = struct{}{}
		}
	}
	maps.Copy(records, s.mu.records) // newer records win
	s.mu.records = records
}
