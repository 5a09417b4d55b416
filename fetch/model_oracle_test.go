//go:build linux

package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing/synctest"
	"time"

	"dlfs/cache"
	"dlfs/fetch/origin"
	"dlfs/fetch/origintest"
)

// tryRead reads [off +n) and returns what is wrong with what came. It may be
// called from any goroutine.
func (m *model) tryRead(ctx context.Context, h *Handle, off, n int64) error {
	p := make([]byte, n)
	k, err := h.ReadAt(ctx, p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	c, ended := m.version(h.Copy()), err != nil
	want := max(0, min(n, c.Size-off))
	if h.fill == nil && !ended && k > 0 {
		want = min(want, int64(k)) // what there is
	}
	if int64(k) != want || ended && off+int64(k) < c.Size || !ended && k == 0 {
		return fmt.Errorf("read %s [%d +%d) of %d: got %d bytes and %v", h.file.name, off, n, c.Size, k, err)
	}
	if k == 0 {
		return nil
	}
	return m.checkBytes(h.file.name, c, p[:k], off)
}

// checkBytes checks bytes of a version. An origin may have sent wrong
// ones: nothing can tell before all are there, but they are not published.
func (m *model) checkBytes(name string, c origintest.Content, p []byte, off int64) error {
	wrong := c.Check(p, off)
	if wrong == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range p {
		for _, w := range m.wrong[name] {
			if at := off + int64(i); w[0] <= at && at < w[1] && c.Check(p[i:i+1], at) != nil {
				p[i] ^= 0x80 // what WrongBytes does
			}
		}
	}
	if c.Check(p, off) == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, wrong)
}

// excuse finds out whether there was a reason for an error. Wrong bytes and
// wrong lengths have none.
func (m *model) excuse(ctx context.Context, name string, err error) {
	var network *origin.Error
	switch {
	case ctx.Err() != nil, errors.As(err, &network), errors.Is(err, ErrStale):
	case errors.Is(err, ErrMismatch) && verified(name):
	case errors.Is(err, cache.ErrNoSpace) && m.full && kindOf(name) == growing: // nothing of it is kept in memory
	case m.bounded() && noRoomToGrow(name, err):
	case strings.HasPrefix(err.Error(), "the list says"):
	default:
		m.t.Errorf("no reason for %v", err)
	}
}

// checkReadable checks that every file can be read now that all is well, but
// where the policy, a digest, or a disk that another program fills up forbids it.
func (m *model) checkReadable() {
	for _, name := range m.names() {
		var err error
		for range 3 { // one that is found changed is opened again
			if err = m.readSome(name); !errors.Is(err, ErrStale) {
				break
			}
		}
		changed := origin.KindOf(err) == origin.Changed && m.opts.OnChange != OnChangeRestart
		full := m.full && !m.store.HasRoom()
		if err != nil && !changed && !full && !(m.bounded() && noRoomToGrow(name, err)) && !(errors.Is(err, ErrMismatch) && verified(name)) {
			m.t.Errorf("all is well, and %s: %v; %+v", name, err, m.File(name).Status())
		}
	}
}

func (m *model) readSome(name string) error {
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	h, err := m.File(name).Open(ctx)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer h.Close()
	return m.tryRead(ctx, h, m.rng.Int64N(h.Copy().Version().Size+1), 100)
}

// checkFiles checks that what is finished is one version of its file.
func (m *model) checkFiles() {
	synctest.Wait() // what is being evicted has gone
	for _, f := range m.Files() {
		if blob := f.Blob(); blob != nil && blob.Published() {
			m.holds(f.name, m.version(blob))
		}
	}
}

// published returns the names of the files of DIR.
func (m *model) published() (names []string) {
	for _, e := range m.all {
		if _, err := os.Lstat(filepath.Join(m.dir, e.Name)); err == nil {
			names = append(names, e.Name)
		}
	}
	return names
}

// have is what there is of a file.
type have struct {
	generation uint64
	present    int64
}

func (m *model) haves() map[string]have {
	all := map[string]have{}
	for _, f := range m.Files() {
		// A digest that is wrong may be found so anew, and what it is of dropped.
		if blob := f.Blob(); blob != nil && blob.Present() > 0 && !verified(f.name) {
			all[f.name] = have{blob.Generation(), blob.Present()}
		}
	}
	return all
}

// checkKept checks that a restart has lost nothing.
func (m *model) checkKept(had map[string]have) {
	for name, h := range had {
		blob := m.File(name).Blob()
		evicted := m.bounded() && blob != nil && blob.Present() < h.present
		if blob == nil || blob.Generation() != h.generation || blob.Present() != h.present && !evicted {
			m.t.Errorf("of %s there were %+v, and after a restart %+v", name, h, m.File(name).Status())
		}
	}
}

// checkStatus compares what the set says of itself with what it says of its
// files.
func (m *model) checkStatus() {
	t := m.Totals()
	if t.PresentBytes > t.TotalBytes || t.FilesComplete > t.FilesKnown || t.FilesComplete+t.FilesFailed > t.FilesTotal {
		m.t.Errorf("totals contradict themselves: %+v", t)
	}
	for _, f := range m.Files() {
		s := f.Status()
		if s.Size >= 0 && s.Present > s.Size || (s.State == "complete") && s.Present != s.Size {
			m.t.Errorf("status contradicts itself: %+v", s)
		}
	}
	m.checkBound()
}

// checkFlights checks that no two flights of a file bring the same block.
func (m *model) checkFlights() {
	for _, f := range m.Files() {
		f.mu.Lock()
		fi := f.fill()
		if fi == nil {
			f.mu.Unlock()
			continue
		}
		for i, a := range fi.flights {
			for _, b := range fi.flights[:i] {
				if !a.whole && !b.whole && max(a.pos, b.pos) < min(a.end, b.end) {
					m.t.Errorf("%s: [%d, %d) and [%d, %d) are both in flight", f.name, a.pos, a.end, b.pos, b.end)
				}
			}
			if a.fill != fi || a.holds < 0 {
				m.t.Errorf("%s: stray flight %+v", f.name, a)
			}
		}
		f.mu.Unlock()
	}
}

// checkWound closes the set, which takes no longer than it may whatever the
// origins do, and checks that everything taken was given back.
func (m *model) checkWound() {
	began := time.Now()
	m.Set.Close()
	if took := time.Since(began); took > 2*graceful {
		m.t.Errorf("to close took %v", took)
	}
	if taken := m.hosts.Taken(); len(taken) > 0 {
		m.t.Errorf("places of %v were not given back", taken)
	}
	for _, f := range m.Files() {
		f.mu.Lock()
		if fi := f.fill(); fi != nil && len(fi.flights) > 0 || f.mu.contact != nil || fi == nil && f.mu.cur != nil {
			m.t.Errorf("%s: flights outlive the set", f.name)
		}
		f.mu.Unlock()
	}
}
