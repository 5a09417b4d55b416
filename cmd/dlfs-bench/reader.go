package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// readJob is what a reader is to do, in a process of its own. A path may be a
// URL: that is a client without any filesystem, one request a read.
type readJob struct {
	Paths   []string
	Block   int           // bytes a read
	Bytes   int64         // read each path from its start up to here; 0: read at random
	Stride  int64         // instead, one read at each multiple of this
	Offsets []int64       // instead, one read at each of these, in this order
	Trace   []touch       // instead, one read at each of these; threads take them in turns
	Direct  bool          // past the page cache (O_DIRECT)
	Opens   int           // instead, so many opens of each path, and no read
	Reads   int           // at random, by each thread; 0: as many as there is time for
	For     time.Duration // over and over, at least for so long
	Threads int           // at least 1
	Seed    uint64
}

// whole is more bytes than any file has.
const whole = 1 << 62

// readResult is what came of it. Times are in seconds.
type readResult struct {
	Bytes    int64
	Reads    int64
	Wall     float64
	P50, P99 float64 // of a read, or with Bytes of the first read with its open
}

// speed returns bytes a second.
func (r readResult) speed() float64 { return float64(r.Bytes) / r.Wall }

// read runs a readJob in a process of its own and returns what came of it. as shapes
// the command of the process; nil changes nothing. It blocks until the job is done, or
// ends it with ctx.
func read(ctx context.Context, job readJob, as shape) (r readResult, err error) {
	cmd, err := roleCommand(ctx, "reader")
	if err != nil {
		return r, err
	}
	as.apply(cmd)
	said := new(tail)
	cmd.Stderr = said
	in, err := cmd.StdinPipe()
	if err != nil {
		return r, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, err
	}
	err = errors.Join(send(in, job), receive(bufio.NewReader(out), &r))
	if err = errors.Join(err, in.Close(), cmd.Wait()); err != nil {
		return r, fmt.Errorf("reader: %w: %s", err, said)
	}
	return r, nil
}

// playReader is the role "reader": it reads one job from standard input, does it, and
// writes a readResult. The time is from the first open to the last byte of all threads.
func playReader(in *bufio.Reader, out io.Writer) error {
	var job readJob
	if err := receive(in, &job); err != nil {
		return err
	}
	threads := make([]reading, max(1, job.Threads))
	var all sync.WaitGroup
	var next atomic.Int64 // of the trace
	start := time.Now()
	for i := range threads {
		threads[i].next = &next
		all.Go(func() { threads[i].err = threads[i].run(job, i, len(threads)) }) // awaited below
	}
	all.Wait()
	r := readResult{Wall: time.Since(start).Seconds()}
	var times []float64
	for _, t := range threads {
		if t.err != nil {
			return t.err
		}
		r.Bytes += t.bytes
		r.Reads += t.reads
		times = append(times, t.times...)
	}
	if len(times) > 0 {
		slices.Sort(times)
		r.P50, r.P99 = percentile(times, 0.5), percentile(times, 0.99)
	}
	return send(out, r)
}

// reading is one thread of a reader, and what it has read so far.
type reading struct {
	buf   []byte // of one block
	bytes int64
	reads int64
	times []float64     // seconds, of each read at random or of a trace, or of each open with its first read
	next  *atomic.Int64 // which read of the trace is to be done; all threads count it up
	err   error
}

// run does the share of one thread. Threads that read in order divide the paths among them;
// threads that read at random all read all paths.
func (t *reading) run(job readJob, thread, threads int) error {
	t.buf = make([]byte, job.Block)
	switch {
	case len(job.Trace) > 0:
		return t.along(job)
	case len(job.Offsets) > 0:
		return t.here(job)
	case job.Opens > 0:
		return opens(job)
	}
	if job.Bytes == 0 && job.Stride == 0 {
		return t.atRandom(job, rand.New(rand.NewPCG(job.Seed, uint64(thread))))
	}
	for start := time.Now(); ; {
		for i := thread; i < len(job.Paths); i += threads {
			if err := t.inOrder(job.Paths[i], job); err != nil {
				return err
			}
		}
		if time.Since(start) >= job.For {
			return nil
		}
	}
}

// inOrder reads a file from its start, wholly up to limit, or at each stride.
func (t *reading) inOrder(path string, job readJob) error {
	start := time.Now()
	f, size, err := open(path, job.Direct)
	if err != nil {
		return err
	}
	defer f.Close()
	stride := job.Stride
	if stride == 0 {
		stride, size = int64(len(t.buf)), min(size, job.Bytes)
	}
	for off := int64(0); off < size; off += stride {
		if err := t.at(f, off, size); err != nil {
			return err
		}
		if off == 0 {
			t.times = append(t.times, time.Since(start).Seconds())
		}
	}
	return nil
}

// here reads the first file at the offsets of the job.
func (t *reading) here(job readJob) error {
	f, size, err := open(job.Paths[0], job.Direct)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, off := range job.Offsets {
		if err := t.at(f, off, size); err != nil {
			return err
		}
	}
	return nil
}

// along does reads of the trace until all are done. Each thread takes the next read
// that no thread has taken yet, so that the reads begin in the order of the trace.
func (t *reading) along(job readJob) error {
	files, sizes, err := openAll(job)
	if err != nil {
		return err
	}
	defer closeAll(files)
	for i := t.next.Add(1) - 1; i < int64(len(job.Trace)); i = t.next.Add(1) - 1 {
		start := time.Now()
		at := job.Trace[i]
		if err := t.at(files[at.File], at.Off, sizes[at.File]); err != nil {
			return err
		}
		t.times = append(t.times, time.Since(start).Seconds())
	}
	return nil
}

// opens opens each file as often as the job says, and closes it again.
func opens(job readJob) error {
	for _, path := range job.Paths {
		for range job.Opens {
			fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("open %s: %w", path, err)
			}
			if err := unix.Close(fd); err != nil {
				return fmt.Errorf("close %s: %w", path, err)
			}
		}
	}
	return nil
}

// enough is how many reads a thread remembers the time of. Later ones are counted only,
// so that the memory of a long job is bounded.
const enough = 1 << 20

// atRandom reads anywhere, at multiples of the block's size.
func (t *reading) atRandom(job readJob, random *rand.Rand) error {
	files, sizes, err := openAll(job)
	if err != nil {
		return err
	}
	defer closeAll(files)
	end := time.Now().Add(job.For)
	now := time.Now()
	for n := 0; n < job.Reads || job.Reads == 0 && now.Before(end); n++ {
		i := random.IntN(len(files))
		off := random.Int64N(max(1, sizes[i]/int64(job.Block))) * int64(job.Block)
		if err := t.at(files[i], off, sizes[i]); err != nil {
			return err
		}
		before := now
		now = time.Now()
		if len(t.times) < enough {
			t.times = append(t.times, now.Sub(before).Seconds())
		}
	}
	return nil
}

// at reads one block at off, or what is left of the file there, and counts it. Fewer
// bytes than the file has there are an error.
func (t *reading) at(f io.ReaderAt, off, size int64) error {
	want := min(int64(len(t.buf)), size-off)
	n, err := f.ReadAt(t.buf[:want], off)
	t.bytes += int64(n)
	t.reads++
	if int64(n) < want {
		return fmt.Errorf("read %d of %d bytes at %d: %w", n, want, off, err)
	}
	return nil
}

// file is what a reader reads.
type file interface {
	io.ReaderAt
	io.Closer
}

// openAll opens the files of a job. If one cannot be opened, none stays open.
func openAll(job readJob) (files []file, sizes []int64, err error) {
	for _, path := range job.Paths {
		f, size, err := open(path, job.Direct)
		if err != nil {
			closeAll(files)
			return nil, nil, err
		}
		files, sizes = append(files, f), append(sizes, size)
	}
	return files, sizes, nil
}

// closeAll closes files that were only read, whose errors tell nothing.
func closeAll(files []file) {
	for _, f := range files {
		f.Close() // nothing was written
	}
}

// open opens a path, past the page cache if direct, or a URL.
func open(path string, direct bool) (file, int64, error) {
	if isURL(path) {
		return openURL(path)
	}
	flags := os.O_RDONLY
	if direct {
		flags |= unix.O_DIRECT
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}
