package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"dlfs/cache"
	"dlfs/fetch/origin"
)

// A file that another program left unfinished in the output directory is taken over
// where the origin has the same bytes. Pieces of it are asked for and compared before
// the rest is believed: the start and the end of all data between holes, and some at
// random. When the file is complete, all that was there is compared once more.

const (
	// maxData is how many extents of data an unfinished file may have to be compared.
	maxData = 32

	// shortData is up to how many bytes of data are compared wholly.
	shortData = 128 << 10

	// morePieces is how many pieces at random are compared of each file.
	morePieces = 3
)

// takeOver makes the blob of a version that m told, from the unfinished copy that
// inTheWay found. If it is not one, the error is an *InTheWayError.
func (c *contact) takeOver(m *mirror, v origin.Version, inTheWay *cache.UnfinishedError) (*cache.Blob, error) {
	f := c.file
	u, err := f.set.store.OpenUnfinished(f.name, cache.Version(v))
	if err != nil {
		return nil, err
	}
	defer u.Close()
	theirs := &comparison{ctx: f.set.ctx, res: m.res, version: v, file: u}
	// A file of the full size may be complete, with holes where the file has zeros. Only the holes
	// are compared: if the origin has zeros there, the file is taken as it is.
	if u.Size() == v.Size {
		whole, err := theirs.agree(holes(u))
		if err != nil {
			return nil, theirs.refused(inTheWay, err)
		}
		if whole {
			return f.set.store.CreateProven(f.name, cache.Version(v))
		}
	}
	// Each extent costs requests, and a file in so many pieces has little to save.
	if len(u.Data()) > maxData {
		return nil, inTheWay
	}
	same, err := theirs.agree(pieces(u))
	if err != nil {
		return nil, theirs.refused(inTheWay, err)
	}
	if !same {
		return nil, &cache.InTheWayError{Name: f.name, Why: fmt.Sprintf("has %d bytes, and is no part of the origin's %d", u.Size(), v.Size)}
	}
	blob, err := u.TakeOver(f.set.ctx)
	if err == nil {
		f.set.log.Info("unfinished file of another program is taken over", "name", f.name, "bytes", blob.Present(), "of", v.Size)
	}
	return blob, err
}

// holes returns what lies outside the data of a file of a version's size. What lies
// near one another is one extent: it costs one request.
func holes(u *cache.Unfinished) (holes []cache.Extent) {
	var at int64
	add := func(end int64) {
		if end == at {
			return
		}
		if last := len(holes) - 1; last >= 0 && at-holes[last].Off-holes[last].N < maxGap {
			holes[last].N = end - holes[last].Off
		} else {
			holes = append(holes, cache.Extent{Off: at, N: end - at})
		}
	}
	for _, e := range u.Data() {
		add(e.Off)
		at = e.Off + e.N
	}
	add(u.Size())
	return holes
}

// maxGap is how many bytes are asked for that are not needed, to save a request.
const maxGap = 1 << 20

// pieces returns the extents of a file's data that are compared.
func pieces(u *cache.Unfinished) (pieces []cache.Extent) {
	for _, e := range u.Data() {
		if e.N <= shortData {
			pieces = append(pieces, e)
			continue
		}
		// The last block is not copied unless it is whole: all of it is compared.
		tail := max(knownBytes, (e.Off+e.N)%cache.BlockSize)
		pieces = append(pieces, cache.Extent{Off: e.Off, N: knownBytes}, cache.Extent{Off: e.Off + e.N - tail, N: tail})
	}
	for range morePieces {
		if len(u.Data()) == 0 {
			break
		}
		if e := u.Data()[rand.IntN(len(u.Data()))]; e.N > shortData {
			pieces = append(pieces, cache.Extent{Off: e.Off + rand.Int64N(e.N-knownBytes), N: knownBytes})
		}
	}
	return pieces
}

// comparison compares extents of a file with what an origin has.
type comparison struct {
	ctx     context.Context
	res     *origin.Resource
	version origin.Version
	file    io.ReaderAt
}

// agree reports whether all extents agree. It stops at the first difference, and blocks
// for the network.
func (c *comparison) agree(extents []cache.Extent) (bool, error) {
	for _, e := range extents {
		if same, err := c.agreeOn(e); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

// agreeOn reports whether the local file has the same bytes in an extent as the origin. It asks
// the origin for the extent.
func (c *comparison) agreeOn(e cache.Extent) (bool, error) {
	body, err := c.res.Get(c.ctx, &c.version, e.Off, e.N)
	if err != nil {
		return false, err
	}
	defer body.Close()
	theirs, ours := make([]byte, min(e.N, cache.BlockSize)), make([]byte, cache.BlockSize)
	for off, end := e.Off, e.Off+e.N; off < end; {
		n, err := io.ReadFull(body, theirs[:min(int64(len(theirs)), end-off)])
		if err != nil {
			return false, err
		}
		if _, err := c.file.ReadAt(ours[:n], off); err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if !bytes.Equal(theirs[:n], ours[:n]) {
			return false, nil
		}
		off += int64(n)
	}
	return true, nil
}

// refused returns the error of a file that cannot be compared: an origin that gives no
// ranges can only be asked for the whole.
func (c *comparison) refused(inTheWay error, err error) error {
	if origin.KindOf(err) == origin.NoRanges {
		return inTheWay
	}
	return err
}
