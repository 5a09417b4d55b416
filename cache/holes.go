package cache

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// mayPunch reports an error if the filesystem of the blobs cannot have holes punched into
// its files.
func (s *Store) mayPunch() error {
	const name = "hole" // no generation
	f, err := openRegularAs(s.blobs, name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err = f.Write(make([]byte, 2*BlockSize)); err == nil {
		err = punch(f, BlockSize, BlockSize)
	}
	left, err2 := fileBytes(f)
	if err := errors.Join(err2, s.blobs.Remove(name)); err != nil {
		return err
	}
	if isFull(err) {
		return ErrNoSpace
	}
	if err == nil && left > BlockSize+BlockSize/2 {
		err = errors.New("a hole gives no room back")
	}
	if err != nil {
		return fmt.Errorf("the filesystem of %s cannot punch holes into files, which --max-size needs; use another one, such as ext4, xfs or btrfs: %w", s.path, err)
	}
	return nil
}

// inHole reports whether some of [off +n) of a file is a hole. A filesystem that knows of
// no holes reports none.
func inHole(f *os.File, off, n int64) bool {
	hole, err := f.Seek(off, unix.SEEK_HOLE)
	return err == nil && hole < off+n
}

// dropHoles turns off the bits of blocks that are holes in the blob's file. Evict turns a
// bit off durably before it punches the hole, so there are none, unless the index is older
// than the file: part of it was lost, or a copy of it was put back. Where part was lost,
// blocks with zeros are dropped, too: they may be holes that were copied with the directory,
// or what a power cut left of bytes that were put into a hole.
func (b *Blob) dropHoles() error {
	f, err := b.store.openBlob(b.gen, os.O_RDONLY)
	if err != nil {
		return nil // Lookup finds that out, and says so
	}
	defer f.Close()
	before := b.Present()
	for off := int64(0); off < b.version.Size; {
		data, err := f.Seek(off, unix.SEEK_DATA)
		if errors.Is(err, syscall.EINVAL) {
			break // a filesystem that knows of no holes
		}
		if errors.Is(err, syscall.ENXIO) {
			data = b.version.Size // there is no data from there on
		} else if err != nil {
			return err
		}
		b.dropBits(off, data-off)
		if data >= b.version.Size {
			break
		}
		if off, err = f.Seek(data, unix.SEEK_HOLE); err != nil {
			return err
		}
	}
	if b.store.index.lost.Load() {
		err = b.dropZeros(f)
	}
	if gone := before - b.Present(); gone > 0 {
		b.store.log.Warn("state database has holes for blocks; they are fetched again", "name", b.name, "bytes", gone)
	}
	return err
}

// sectorSize is the least that a disk writes: a page that was being written when the power
// went may have some of its sectors and lack others.
const sectorSize = 512

// dropZeros turns off the bits of blocks that have a sector of zeros.
func (b *Blob) dropZeros(f *os.File) error {
	p := make([]byte, BlockSize)
	blocks := b.geo.blocks()
	for i := b.bits.next(0, blocks, true); i < blocks; i = b.bits.next(i+1, blocks, true) {
		off, n := b.geo.extent(i, i+1)
		if _, err := f.ReadAt(p[:n], off); err != nil {
			return err
		}
		if hasZeroSector(p[:n]) {
			b.dropBits(off, 1)
		}
	}
	return nil
}

// hasZeroSector reports whether a sector of p, which begins with one, is zeros. The last one
// may be short.
func hasZeroSector(p []byte) bool {
	var zeros [sectorSize]byte
	for sector := range slices.Chunk(p, sectorSize) {
		if bytes.Equal(sector, zeros[:len(sector)]) {
			return true
		}
	}
	return false
}

// dropBits turns off the bits of the blocks that touch [off +n). The blob must not be shared
// yet.
func (b *Blob) dropBits(off, n int64) {
	first, end := b.geo.cover(off, n)
	for i := b.bits.next(first, end, true); i < end; i = b.bits.next(i+1, end, true) {
		_, n := b.geo.extent(i, i+1)
		b.present.Add(-n)
		b.bits.clear(i)
	}
}

// trim punches what takes room in the blob's file and is no block, if that is much: a crash
// came before its bits were durable, or between the bits of an eviction and its holes. It
// has the account know what the file takes. It is called
// before the blob is given to a caller, so no Put is in progress.
func (b *Blob) trim() {
	if !b.store.account.on.Load() {
		return
	}
	f, err := b.store.openBlob(b.gen, os.O_RDWR)
	if err != nil {
		return // the blob has no file
	}
	defer f.Close()
	before, err := fileBytes(f)
	if err != nil {
		return
	}
	after := before
	if before > b.Present()+2*BlockSize {
		for off, size := int64(0), b.version.Size; off < size; {
			at, n := b.Missing(off, size-off)
			if n == 0 || punch(f, at, n) != nil {
				break
			}
			off = at + n
		}
		if now, err := fileBytes(f); err == nil {
			after = now
		}
	}
	b.mu.counted = after
	b.store.account.counted(after - before)
}
