package fetch

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"dlfs/fetch/origin"
	"dlfs/fetch/origintest"
	"dlfs/listfile"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "of TestModel; 0 is a random one")
	stepsFlag = flag.Int("steps", 700, "of TestModel")
)

// TestModel does random things to an engine. The model is the origin's content:
// every read gives exactly the bytes of one version, or an error while there is
// a reason for one; and when the trouble is over, everything materializes.
func TestModel(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	bubble(t, func(t *testing.T, x *fixture) {
		m := &model{fixture: x, rng: rand.New(rand.NewPCG(seed, seed))}
		defer func() {
			if t.Failed() {
				for _, line := range m.did {
					t.Log(line)
				}
				t.Logf("to replay: go test ./fetch -run 'TestModel$' -seed %d -steps %d", seed, *stepsFlag)
			}
		}()
		m.begin()
		for range *stepsFlag {
			m.step()
			m.checkFlights()
			if t.Failed() {
				break
			}
		}
		m.end()
	})
}

// model is what TestModel knows.
type model struct {
	*fixture
	rng     *rand.Rand
	did     []string
	all     []listfile.Entry // the list without what reloads leave out
	handles []*modelHandle
	stopRun func() // nil while Run is not running
}

// modelHandle is a handle and the reads in progress on it.
type modelHandle struct {
	*Handle
	reads sync.WaitGroup
}

func (m *model) begin() {
	for i, size := range []int64{0, 1, bs - 1, bs + 1, 500_000, 3<<20 + 1, 12 << 20, 40<<20 + 99} {
		m.add(fmt.Sprintf("d%d/f%d", i%3, i), size)
	}
	m.all = m.entries
	m.originOpts.Tries = 5
	m.chooseOptions()
	m.start()
}

func (m *model) chooseOptions() {
	m.opts = Options{
		Jobs: 1 + m.rng.IntN(4), Split: 1 + m.rng.IntN(4), MaxPerHost: 1 + m.rng.IntN(6),
		Prefetch: []Mode{All, All, Opened, None}[m.rng.IntN(4)], Keep: m.rng.IntN(2) == 0,
	}
}

func (m *model) log(format string, args ...any) {
	m.did = append(m.did, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (m *model) step() {
	switch p := m.rng.IntN(100); {
	case p < 15:
		m.openOne()
	case p < 60:
		m.readOne()
	case p < 70:
		m.closeOne()
	case p < 75:
		m.toggleRun()
	case p < 82:
		m.injectOne()
	case p < 85:
		m.log("clear faults")
		m.Clear()
	case p < 87:
		m.reopen(m.rng.IntN(2) == 0)
	case p < 89:
		m.changeOne()
	case p < 92:
		m.reloadList()
	case p < 93:
		m.log("pause")
		m.Pause()
	case p < 95:
		m.log("resume")
		m.Resume()
	default:
		d := time.Duration(m.rng.ExpFloat64() * float64(300*time.Millisecond))
		if p == 99 {
			d *= 100
		}
		m.log("advance %v", d)
		advance(d)
		m.checkStatus()
	}
}

func (m *model) openOne() {
	if len(m.entries) == 0 {
		return
	}
	name := m.names()[m.rng.IntN(len(m.entries))]
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Duration(m.rng.IntN(60_000))*time.Millisecond)
	defer cancel()
	h, err := m.File(name).Open(ctx)
	m.log("open %s: %v", name, err)
	if err == nil {
		m.handles = append(m.handles, &modelHandle{Handle: h})
	} else {
		m.excuse(ctx, err)
	}
}

func (m *model) readOne() {
	if len(m.handles) == 0 {
		return
	}
	h := m.handles[m.rng.IntN(len(m.handles))]
	size := h.blob.Version().Size
	off, n := m.rng.Int64N(size+2), 1+m.rng.Int64N(1<<(1+m.rng.IntN(21)))
	if m.rng.IntN(2) == 0 {
		h.mu.Lock()
		off = h.next // goes on sequentially
		h.mu.Unlock()
	}
	patience := time.Duration(m.rng.ExpFloat64() * float64(5*time.Second))
	m.log("read %s [%d +%d) for %v", h.file.name, off, n, patience)
	h.reads.Go(func() { // awaited before the handle is closed
		ctx, cancel := context.WithTimeout(m.t.Context(), patience)
		defer cancel()
		began := time.Now()
		err := m.tryRead(ctx, h.Handle, off, n)
		if err != nil {
			m.excuse(ctx, err)
		}
		if took := time.Since(began); took > patience {
			m.t.Errorf("a read with %v to spend took %v", patience, took)
		}
	})
}

// excuse finds out whether there was a reason for an error. Wrong bytes and
// wrong lengths have none.
func (m *model) excuse(ctx context.Context, err error) {
	var network *origin.Error
	if ctx.Err() == nil && !errors.As(err, &network) && !errors.Is(err, ErrStale) {
		m.t.Errorf("no reason for %v", err)
	}
}

func (m *model) closeOne() {
	if len(m.handles) == 0 {
		return
	}
	i := m.rng.IntN(len(m.handles))
	m.log("close %s", m.handles[i].file.name)
	m.closeHandle(i)
}

func (m *model) closeHandle(i int) {
	m.handles[i].reads.Wait()
	m.handles[i].Close()
	m.handles = append(m.handles[:i], m.handles[i+1:]...)
}

func (m *model) toggleRun() {
	if m.stopRun == nil {
		m.log("run %+v", m.opts)
		m.stopRun = m.background()
		return
	}
	m.log("stop run")
	m.stopRun()
	m.stopRun = nil
}

func (m *model) injectOne() {
	var f *origintest.Fault
	switch m.rng.IntN(12) {
	case 0:
		f = origintest.NoRanges().Chance(0.3, m.rng.Uint64())
	case 1:
		f = origintest.Status([]int{403, 404, 416, 501}[m.rng.IntN(4)]).Chance(0.3, m.rng.Uint64())
	case 2:
		f = origintest.Throttle(int64(10_000 + m.rng.IntN(4<<20)))
	case 3:
		f = origintest.Gzip().Chance(0.2, m.rng.Uint64())
	case 4: // not HEAD refused: with a body of no length that ends early, nothing would tell
		f = origintest.FirstByteAfter(time.Duration(m.rng.IntN(2000)) * time.Millisecond)
	default:
		all := atRandom(passing(), m.rng.Uint64()>>32)
		f = all[m.rng.IntN(len(all))]
	}
	m.log("inject %v", f)
	m.Inject(f)
}

func (m *model) rest() {
	for len(m.handles) > 0 {
		m.closeHandle(0)
	}
	if m.stopRun != nil {
		m.toggleRun()
	}
}

// reopen starts another life of the engine, in an empty directory or in that of
// the last one.
func (m *model) reopen(empty bool) {
	m.rest()
	m.Resume()
	m.checkFiles()
	m.checkWound()
	m.stop()
	if empty {
		m.dir = m.t.TempDir()
	}
	m.chooseOptions()
	m.log("reopen, empty %v", empty)
	m.start()
}

// changeOne shows another version of a file.
func (m *model) changeOne() {
	name := m.all[m.rng.IntN(len(m.all))].Name
	c := origintest.Content{Seed: m.rng.Uint64(), Size: m.contents[name].Size}
	if c.Size > bs && m.rng.IntN(2) == 0 {
		c.Size += m.rng.Int64N(2*bs) - bs
	}
	m.log("change %s to %+v", name, c)
	m.show(name, c)
}

// reloadList gives the set a list with other URLs, some with a mirror, that may
// leave a name out.
func (m *model) reloadList() {
	query := fmt.Sprint("?", m.rng.IntN(1000))
	m.entries = nil
	for _, e := range m.all {
		e.URL += query
		if m.rng.IntN(3) == 0 {
			e.Details = &listfile.Details{Size: -1, Mirrors: []string{"http://mirror/" + e.Name}}
		}
		if m.rng.IntN(10) > 0 {
			m.entries = append(m.entries, e)
		}
	}
	m.log("reload with %s, %d of %d", query, len(m.entries), len(m.all))
	m.Reload(m.entries)
}

// checkFiles checks that what is finished is one version of its file.
func (m *model) checkFiles() {
	for _, f := range m.Files() {
		if blob := f.Blob(); blob != nil && blob.Published() {
			m.holds(f.name, m.version(blob))
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
		if s := f.Status(); s.Present > max(s.Size, 0) || (s.State == "complete") && s.Present != s.Size {
			m.t.Errorf("status contradicts itself: %+v", s)
		}
	}
}

// checkFlights checks that no two flights of a file bring the same block.
func (m *model) checkFlights() {
	for _, f := range m.Files() {
		f.mu.Lock()
		for i, a := range f.mu.flights {
			for _, b := range f.mu.flights[:i] {
				if !a.whole && !b.whole && max(a.pos, b.pos) < min(a.end, b.end) {
					m.t.Errorf("%s: [%d, %d) and [%d, %d) are both in flight", f.name, a.pos, a.end, b.pos, b.end)
				}
			}
			if a.blob != f.mu.blob || a.holds < 0 {
				m.t.Errorf("%s: stray flight %+v", f.name, a)
			}
		}
		f.mu.Unlock()
	}
}

// checkWound closes the set and checks that everything taken was given back.
func (m *model) checkWound() {
	m.Set.Close()
	for name, h := range m.budget.hosts {
		h.mu.Lock()
		if h.bulk != m.budget.perHost || h.ahead != m.budget.perHost || h.waiting != 0 || h.idle != nil {
			m.t.Errorf("%s: %d and %d places of %d, %d waiting", name, h.bulk, h.ahead, m.budget.perHost, h.waiting)
		}
		h.mu.Unlock()
	}
	for _, f := range m.Files() {
		f.mu.Lock()
		if len(f.mu.flights) > 0 || f.mu.probing != nil {
			m.t.Errorf("%s: %d flights outlive the set", f.name, len(f.mu.flights))
		}
		f.mu.Unlock()
	}
}

func (m *model) end() {
	m.rest()
	m.checkWound()
	m.stop()
	m.Clear()
	m.opts, m.entries = Options{}, m.all
	m.start()
	check(m.t, m.Run(m.t.Context()))
	for _, f := range m.Failures() {
		m.t.Errorf("%+v", f)
	}
	m.checkFiles()
	t := m.Totals()
	if t.FilesComplete != t.FilesTotal || t.PresentBytes != t.TotalBytes {
		m.t.Errorf("not all is complete: %+v", t)
	}
}
