package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	fleetSize = 8

	// fleetLimit bounds how long the machines may take, as a multiple of the bound.
	fleetLimit = 12
)

// fleetSpec is what machines fetch, and over which network.
type fleetSpec struct {
	loads  []load
	origin int // Mbit/s of the origin's link
	link   int // Mbit/s of each machine's link
	slow   int // Mbit/s of the link of the one machine that is slow, in the row about that
}

// The fleets of a whole run and of a short one.
var (
	longFleet  = fleetSpec{[]load{{4, 200 * mib}, {2000, 64 << 10}}, 200, 1000, 10}
	shortFleet = fleetSpec{[]load{{4, 48 * mib}, {400, 64 << 10}}, 50, 250, 10}
)

// bytes is the size of all files of the list.
func (f fleetSpec) bytes() (n int64) {
	for _, l := range f.loads {
		n += l.bytes()
	}
	return n
}

// bound is how long the origin's link takes for all bytes at least.
func (f fleetSpec) bound() time.Duration {
	return time.Duration(float64(f.bytes()) * 8 / 1e6 / float64(f.origin) * float64(time.Second))
}

// String returns the loads and the rates, as rows are called after them.
func (f fleetSpec) String() string {
	var all []string
	for _, l := range f.loads {
		all = append(all, l.String())
	}
	return fmt.Sprintf("%s, origin %d Mbit/s, links %d Mbit/s", strings.Join(all, " + "), f.origin, f.link)
}

// mbit returns a rate in Mbit/s as tc(8) takes it.
func mbit(rate int) string { return fmt.Sprint(rate, "mbit") }

// fleet is machines that fetch the same list, each a process in a namespace of its own.
type fleet struct {
	fleetSpec
	s      *stage
	star   *star
	origin *virtual
	key    string // file of the secret
	home   string // where everything lands
}

// fleet builds machines 1 to n, and the origin. rate returns the rate of the link of a
// machine.
func (s *stage) fleet(ctx context.Context, spec fleetSpec, n int, rate func(machine int) int) (f *fleet, err error) {
	f = &fleet{fleetSpec: spec, s: s}
	if f.star, err = s.star(ctx); err != nil {
		return nil, err
	}
	if err := s.add(ctx, f.star, starOrigin, mbit(spec.origin), mbit(spec.link)); err != nil {
		return nil, err
	}
	for i := range n {
		up := mbit(rate(i + 1))
		if err := s.add(ctx, f.star, i+1, up, up); err != nil {
			return nil, err
		}
	}
	if f.home, err = s.dir(s.mem); err != nil {
		return nil, err
	}
	f.key = filepath.Join(f.home, "key")
	if err := os.WriteFile(f.key, []byte("the secret of a group of machines"), 0o600); err != nil {
		return nil, err
	}
	f.origin, err = s.origin(ctx, originSpec{Addr: address(starOrigin) + ":8080", Loads: spec.loads}, into(f.star.of(starOrigin)))
	return f, err
}

// alike has every machine have the link of the spec.
func (f fleetSpec) alike(int) int { return f.link }

// peered are the flags of machines 1 to n that share what they fetch.
func (f *fleet) peered(n int) []string {
	return []string{fmt.Sprintf("--peers=%s[1-%d]:3537", starNet, n), "--peer-key=" + f.key}
}

// sent is how many bytes of files the origin has sent, as a share of all.
func (f *fleet) sent() (float64, error) {
	c, err := f.origin.counts()
	return float64(c.BodyBytes) / float64(f.bytes()), err
}

// awaitSent waits until the origin has sent that share since before.
func (f *fleet) awaitSent(ctx context.Context, before, share float64) error {
	return poll(ctx, 50*time.Millisecond, fleetLimit*f.bound(), fmt.Sprintf("the origin has not sent %.2f of the content", share), func() (bool, error) {
		now, err := f.sent()
		return now-before >= share, err
	})
}

// machine is a "dlfs fetch" in a namespace.
type machine struct {
	number int
	dir    string
	start  time.Time
	cmd    *exec.Cmd
	said   *tail
	exited chan struct{}
	load   int // the first file that is not there yet
	file   int
}

// fetch starts a machine. Its URLs begin with base.
func (f *fleet) fetch(ctx context.Context, number int, base string, flags ...string) (*machine, error) {
	m := &machine{number: number, dir: filepath.Join(f.home, strconv.Itoa(number)), said: new(tail), exited: make(chan struct{})}
	list, err := write(f.home, fmt.Sprintf("list-%d.txt", number), func(w io.Writer) {
		for j, l := range f.loads {
			for i := range l.Count {
				fmt.Fprintf(w, "%d/%s\t%s\n", j, l.name(i), l.url(base, i))
			}
		}
	})
	if err != nil {
		return nil, err
	}
	args := append([]string{"fetch", "--progress=none", "--no-netrc", list, m.dir}, flags...)
	m.cmd = command(ctx, f.s.tools.dlfs, args...)
	into(f.star.of(number)).apply(m.cmd)
	m.cmd.Stderr = m.said
	m.start = time.Now()
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the process, which end or kill awaits
		defer close(m.exited)
		m.cmd.Wait() // how it ended is asked of the process
	}()
	return m, nil
}

// fetchAll starts machines 1 to n.
func (f *fleet) fetchAll(ctx context.Context, n int, base string, flags ...string) (all []*machine, err error) {
	for i := range n {
		m, err := f.fetch(ctx, i+1, base, flags...)
		if err != nil {
			return all, errors.Join(err, kill(all...))
		}
		all = append(all, m)
	}
	return all, nil
}

// has reports whether every file of the machine is there under its name.
func (m *machine) has(f *fleet) (bool, error) {
	for ; m.load < len(f.loads); m.load, m.file = m.load+1, 0 {
		l := f.loads[m.load]
		for ; m.file < l.Count; m.file++ {
			if _, err := os.Stat(m.path(l, m.load, m.file)); err == nil {
				continue
			}
			select {
			case <-m.exited:
				return false, fmt.Errorf("machine %d ended without %s: %s", m.number, m.path(l, m.load, m.file), m.said)
			default:
				return false, nil
			}
		}
	}
	return true, nil
}

func (m *machine) path(l load, j, i int) string {
	return filepath.Join(m.dir, strconv.Itoa(j), l.name(i))
}

// await waits until all of the machines have every file, and returns how long that took since
// the first of them started.
func (f *fleet) await(ctx context.Context, all []*machine) (took time.Duration, err error) {
	err = poll(ctx, 20*time.Millisecond, fleetLimit*f.bound(), "not complete", func() (bool, error) {
		for _, m := range all {
			if ok, err := m.has(f); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	})
	return time.Since(all[0].start), err
}

// end tells the machines to end, compares what they have fetched, and returns what they spent
// on the bytes of the list: the most memory that one had, and the mean of their CPU.
func (f *fleet) end(all []*machine, deep bool) (sample, error) {
	for _, m := range all {
		if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return nil, err
		}
	}
	var used time.Duration
	var most int64
	for _, m := range all {
		<-m.exited
		usage, ok := m.cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			return nil, errors.New("the system tells no resource usage")
		}
		used += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		most = max(most, usage.Maxrss<<10)
		for j, l := range f.loads {
			if err := l.check(filepath.Join(m.dir, strconv.Itoa(j)), l.name, deep); err != nil {
				return nil, err
			}
		}
		if err := os.RemoveAll(m.dir); err != nil {
			return nil, err
		}
	}
	return sample{cpu: used.Seconds() * gib / float64(f.bytes()) / float64(len(all)), peak: float64(most)}, nil
}

// kill kills machines, as a power cut does.
func kill(all ...*machine) error {
	var errs []error
	for _, m := range all {
		if err := m.cmd.Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
		<-m.exited
	}
	return errors.Join(errs...)
}
