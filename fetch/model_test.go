//go:build linux

package fetch

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dlfs/cache"
	"dlfs/listfile"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "of TestModel; 0 is a random one")
	stepsFlag = flag.Int("steps", 600, "of TestModel")
)

// TestModel does random things to an engine, to its origins, its list and its
// disk. The model is what the origins show: every read gives exactly the bytes
// of one version, or an error while there is a reason for one; and when the
// trouble is over, everything can be read, and materializes.
func TestModel(t *testing.T) {
	modelled(t, func(t *testing.T, m *model) {
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

// modelled has a new model live, with the seed of the flag or a random one. If the test fails,
// it tells what the model did, and how to have it do the same again.
func modelled(t *testing.T, live func(t *testing.T, m *model)) {
	name, seed := t.Name(), *seedFlag
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
				t.Logf("to replay: go test ./fetch -run '%s$' -seed %d -steps %d", name, seed, *stepsFlag)
			}
		}()
		live(t, m)
	})
}

// model is what TestModel knows.
type model struct {
	*fixture
	world
	rng     *rand.Rand
	did     []string
	all     []listfile.Entry // the list without what reloads leave out
	handles []*modelHandle
	stopRun func() // nil while Run is not running

	group *modelGroup // other machines; nil for none
}

// modelHandle is a handle and the reads in progress on it.
type modelHandle struct {
	*Handle
	passes bool // reads are from its File, as the kernel reads by itself
	reads  sync.WaitGroup
}

func (m *model) begin() {
	m.build()
	m.originOpts.Tries = 5
	m.chooseOptions()
	m.start()
}

func (m *model) chooseOptions() {
	m.chooseDisk()
	m.opts = Options{
		Jobs: 1 + m.rng.IntN(4), Split: 1 + m.rng.IntN(4), MaxPerHost: 1 + m.rng.IntN(6),
		Prefetch: []Mode{PrefetchAll, PrefetchAll, PrefetchOpened, PrefetchNone}[m.rng.IntN(4)], Serve: m.rng.IntN(2) == 0,
		OnChange: []Change{OnChangeRestart, OnChangeRestart, OnChangeFail, OnChangeKeep}[m.rng.IntN(4)], TrustSize: m.trust,
		Order: []Order{ListOrder, ExpiryOrder}[m.rng.IntN(2)],
	}
	m.group.join(m)
	if m.bounded() {
		m.opts.Serve = true // as every mount does
		m.opts.EvictComplete = m.rng.IntN(2) == 0
	}
}

func (m *model) log(format string, args ...any) {
	m.did = append(m.did, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (m *model) step() {
	switch p := m.rng.IntN(1000); {
	case p < 150:
		m.openOne()
	case p < 570:
		m.readOne()
	case p < 670:
		m.closeOne()
	case p < 710:
		m.toggleRun()
	case p < 770:
		m.injectOne()
	case p < 800:
		m.log("clear faults")
		m.clearFaults()
	case p < 815:
		m.reopen(m.rng.IntN(3) == 0)
	case p < 840:
		m.changeOne()
	case p < 870:
		m.reloadList()
	case p < 878:
		m.log("pause")
		m.Pause()
	case p < 894:
		m.log("resume")
		m.Resume()
	case p < 902:
		m.outage()
	case p < 918:
		m.up()
	case p < 922:
		m.expireURLs()
	case p < 934:
		m.wrongBytes()
	case p < 942:
		m.toggleDisk()
	case p < 950:
		m.log("the mirror catches up")
		m.syncMirror()
	case p < 953:
		m.recover()
	case p < 968:
		m.boundOne()
	default:
		d := time.Duration(m.rng.ExpFloat64() * float64(300*time.Millisecond))
		if p >= 990 {
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
	passes := err == nil && m.rng.IntN(2) == 0 && h.Passes()
	m.log("open %s: %v, passes %v", name, err, passes)
	if err == nil {
		m.handles = append(m.handles, &modelHandle{Handle: h, passes: passes})
	} else {
		m.excuse(ctx, name, err)
	}
}

func (m *model) readOne() {
	if len(m.handles) == 0 {
		return
	}
	h := m.handles[m.rng.IntN(len(m.handles))]
	size := h.Copy().Version().Size
	off, n := m.rng.Int64N(size+2), 1+m.rng.Int64N(1<<(1+m.rng.IntN(21)))
	if m.rng.IntN(2) == 0 {
		off = h.ahead.runs[h.ahead.current.Load()].next.Load() // goes on sequentially
	}
	patience := time.Duration(m.rng.ExpFloat64() * float64(5*time.Second))
	m.log("read %s [%d +%d) for %v", h.file.name, off, n, patience)
	h.reads.Go(func() { // awaited before the handle is closed
		if h.passes {
			m.passRead(h.Handle, off, n)
			return
		}
		ctx, cancel := context.WithTimeout(m.t.Context(), patience)
		defer cancel()
		began := time.Now()
		err := m.tryRead(ctx, h.Handle, off, n)
		if err != nil {
			m.excuse(ctx, h.file.name, err)
		}
		if took := time.Since(began); took > patience {
			m.t.Errorf("a read with %v to spend took %v", patience, took)
		}
	})
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

func (m *model) rest() {
	for len(m.handles) > 0 {
		m.closeHandle(0)
	}
	if m.stopRun != nil {
		m.toggleRun()
	}
}

// reopen starts another life of the engine, in an empty directory or in that of
// the last one, where perhaps somebody has deleted a file.
func (m *model) reopen(empty bool) {
	m.rest()
	m.checkFiles()
	m.checkWound()
	had := m.haves()
	m.stop()
	if empty {
		m.dir, had = m.t.TempDir(), nil
	}
	if names := m.published(); m.rng.IntN(4) == 0 && len(names) > 0 {
		name := names[m.rng.IntN(len(names))]
		m.log("delete %s", name)
		check(m.t, os.Remove(filepath.Join(m.dir, name)))
		delete(had, name)
	}
	m.chooseOptions()
	m.log("reopen, empty %v, the disk may be full %v, bound %d", empty, m.full, m.cacheOpts.MaxSize)
	m.start()
	m.checkKept(had)
}

// recover ends all trouble in the middle of a life. What could not be read can.
func (m *model) recover() {
	m.heal()
	m.Reload(m.entries)
	advance(5 * time.Minute)
	m.checkReadable()
}

func (m *model) end() {
	m.rest()
	m.checkWound()
	m.stop()
	m.heal()
	m.opts, m.cacheOpts = Options{}, cache.Options{MinFree: 1}
	m.start()
	m.run()
	check(m.t, m.Verify(m.t.Context(), VerifyOptions{Repair: true, Deep: true}, func(*File, Verdict) {})) // what was complete before its digest was known
	m.run()
	for _, f := range m.Failures() {
		m.t.Errorf("%+v", f)
	}
	m.checkFiles()
	t := m.Totals()
	if t.FilesComplete != t.FilesTotal || t.PresentBytes != t.TotalBytes {
		m.t.Errorf("not all is complete: %+v", t)
	}
}

// run materializes everything, in a world without trouble.
func (m *model) run() {
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Hour)
	defer cancel()
	check(m.t, m.Run(ctx))
}
