package cache

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// mostStarts is how many starts a damaged state may cost: after three deaths it
// is set aside.
const mostStarts = 4

// promises are what a worker said of a store, in order.
type promises struct {
	blocks     map[string]map[int64]bool // by name and size
	published  map[string]int64
	remembered map[string]int   // index into tried, plus 1
	tried      map[string][]int // values, by key
	listed     int              // index into lists, plus 1
	lists      []int
}

func readPromises(said []byte) (*promises, error) {
	p := &promises{map[string]map[int64]bool{}, map[string]int64{}, map[string]int{}, map[string][]int{}, 0, nil}
	for line := range bytes.Lines(said) {
		if line[len(line)-1] != '\n' {
			break // it was being said
		}
		words := strings.Fields(string(line))
		var nums [2]int64
		for i, w := range words[min(2, len(words)):] {
			if _, err := fmt.Sscan(w, &nums[i]); err != nil {
				return nil, fmt.Errorf("promise %q: %w", line, err)
			}
		}
		name := words[1]
		key := versionKey(name, nums[0])
		switch words[0] {
		case "block":
			if p.blocks[key] == nil {
				p.blocks[key] = map[int64]bool{}
			}
			p.blocks[key][nums[1]] = true
		case "evicted":
			delete(p.blocks[key], nums[1])
		case "published":
			p.published[name] = nums[0]
		case "gone":
			delete(p.published, name)
			for key := range p.blocks {
				if strings.HasPrefix(key, name+" ") {
					delete(p.blocks, key)
				}
			}
		case "remember":
			p.tried[name] = append(p.tried[name], int(nums[0]))
		case "remembered":
			p.remembered[name] = len(p.tried[name])
		case "list", "listed":
			n := 0
			fmt.Sscan(name, &n)
			if words[0] == "list" {
				p.lists = append(p.lists, n)
			} else {
				p.listed = len(p.lists)
			}
		default:
			return nil, fmt.Errorf("promise %q", line)
		}
	}
	return p, nil
}

func versionKey(name string, size int64) string { return fmt.Sprint(name, " ", size) }

// verdict is what a checker found.
type verdict struct {
	Bad   string // what is wrong, if anything
	Aside bool   // the index was set aside
	Warns int    // lines logged before anything was finished
	Log   string

	Blocks, Published, Missing int
	Lost                       string // something that was promised and is not there
	lost                       bool   // nothing but published files need be there
	starts                     int
}

// miss notes that something that was promised is not there. It is an error unless
// the state may have lost it.
func (v *verdict) miss(err error) error {
	if err != nil && v.lost {
		v.Lost, err = err.Error(), nil
	}
	return err
}

// manner is how a store is checked.
type manner struct {
	finish  bool // and then finished
	damaged bool // it may have lost anything but published files; who finishes it must have been told
	refused bool // that a file was published may not have been recorded
}

// checkerMain checks what it is told, a directory a line, and answers in a line
// each.
func checkerMain() int {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var dir string
		var how manner
		var log logLines
		_, err := fmt.Sscan(in.Text(), &dir, &how.finish, &how.damaged, &how.refused)
		var v verdict
		if err == nil {
			err = v.check(dir, how, &log)
		}
		v.Log = log.mu.String()
		if err != nil {
			v.Bad = err.Error()
		}
		line, err := json.Marshal(v)
		if err != nil {
			return 1
		}
		fmt.Printf("%s\n", line)
	}
	return 0
}

// check opens dir/out and compares what is there with dir/said.
func (v *verdict) check(dir string, how manner, log *logLines) error {
	said, err := os.ReadFile(filepath.Join(dir, "said"))
	if err != nil {
		return err
	}
	p, err := readPromises(said)
	if err != nil {
		return err
	}
	s, err := Open(filepath.Join(dir, "out"), Options{SyncEvery: time.Hour, MinFree: 1, Log: log.logger()})
	if err != nil {
		return fmt.Errorf("does not open: %w", err)
	}
	err = errors.Join(v.checkStore(s, p, how, log), s.Close())
	told := slices.ContainsFunc([]string{"fetched again", "was set aside", "is not readable"}, func(words string) bool {
		return strings.Contains(log.mu.String(), words)
	})
	if err == nil && how.damaged && how.finish && v.Lost != "" && !told {
		err = fmt.Errorf("lost without a word: %s", v.Lost)
	}
	return err
}

func (v *verdict) checkStore(s *Store, p *promises, how manner, log *logLines) error {
	v.Aside = strings.Contains(log.mu.String(), "was set aside")
	if asides, _ := filepath.Glob(filepath.Join(s.path, ".dlfs", "db.broken-*")); len(asides) > 0 {
		v.Aside = true // at an earlier start
	}
	v.lost = v.Aside || how.damaged
	known := map[string]*Blob{}
	err := s.Each(func(name string, b *Blob) error {
		known[name] = b
		return v.checkBlob(b, p.blocks[versionKey(name, b.version.Size)])
	})
	v.Warns = strings.Count(log.mu.String(), "\n")
	if err != nil {
		return err
	}
	for name, b := range known {
		if how.refused && b.Complete() && !b.Published() {
			delete(p.published, name) // the power went in the middle of the rename: it is published again
		}
	}
	if err := v.miss(p.checkKnown(s, known)); err != nil {
		return err
	}
	if !v.lost && strings.Contains(log.mu.String(), "state database has lost") {
		return errors.New("the index is said to have lost something")
	}
	for name, size := range p.published {
		got, err := os.ReadFile(filepath.Join(s.path, name))
		if err != nil {
			return fmt.Errorf("was published: %w", err)
		}
		if !rightFile(name, size, got) {
			return fmt.Errorf("%q was published, and has other bytes", name)
		}
	}
	for name, b := range known {
		if v.outdated(b) {
			delete(known, name) // the file is adopted when its version is met again
		}
	}
	if err := v.checkDir(s, known); err != nil {
		return err
	}
	if !how.finish {
		return nil
	}
	for name, size := range p.published {
		if known[name] != nil {
			continue
		}
		if known[name], err = s.Create(name, version(size)); err != nil || !known[name].Published() {
			return fmt.Errorf("%q is not adopted: %w", name, err)
		}
	}
	return v.finish(s, known)
}

func rightBytes(name string, size, off, n int64) []byte {
	if strings.Contains(name, "stream") {
		return pattern(name, off, n)
	}
	return workBytes(name, size, off, n)
}

func rightFile(name string, size int64, got []byte) bool {
	return int64(len(got)) == size && bytes.Equal(got, rightBytes(name, size, 0, size))
}

// outdated reports whether the record of b is older than the file that stands
// under its name: a newer version of another size was published. Only an index that
// was set aside may have such a record: the newer one was in a table that is lost.
func (v *verdict) outdated(b *Blob) bool {
	if !v.Aside || b.Published() || b.Replaces() {
		return false
	}
	info, err := b.store.root.Lstat(b.name)
	return err == nil && info.Size() != b.version.Size
}

// checkBlob checks that the promised blocks are present, and that every present
// one is right, or bad where bad ones were put. An index that was set aside may have had
// the record of an older generation than that of the file which stands in the output
// directory and is adopted: the bad bytes are then those of the newer one.
func (v *verdict) checkBlob(b *Blob, promised map[int64]bool) error {
	if err := b.Acquire(); err != nil {
		return err
	}
	defer b.Release()
	for i := range b.geo.blocks() {
		off, n := b.geo.extent(i, i+1)
		if !b.Has(off, n) {
			if v.Missing++; promised[i] {
				if err := v.miss(fmt.Errorf("%q: block %d was durable and is missing", b.name, i)); err != nil {
					return err
				}
			}
			continue
		}
		got := make([]byte, n)
		if _, err := b.ReadAt(got, off); err != nil {
			return err
		}
		right := bytes.Equal(got, rightBytes(b.name, b.version.Size, off, n))
		bad := isBad(b.name) && (bytes.Equal(got, badBytes(b.name, b.gen, off, n)) || v.Aside && b.Published() && isPattern(got))
		if !right && (!bad || promised[i]) {
			return fmt.Errorf("%q: block %d of %d has other bytes", b.name, i, b.geo.blocks())
		}
		v.Blocks++
	}
	if (b.Published() || b.Replaces()) != b.store.Occupied(b.name) && !v.outdated(b) {
		return fmt.Errorf("%q: published %v, in the output directory %v", b.name, b.Published(), b.store.Occupied(b.name))
	}
	return nil
}

// checkKnown checks what an index that was not lost must have.
func (p *promises) checkKnown(s *Store, known map[string]*Blob) error {
	for key, blocks := range p.blocks {
		name, _, _ := strings.Cut(key, " ")
		if b := known[name]; len(blocks) > 0 && (b == nil || versionKey(name, b.version.Size) != key) {
			return fmt.Errorf("%q: nothing is known of it, and blocks of it were durable", key)
		}
	}
	for name := range p.published {
		if b := known[name]; b == nil || !b.Published() {
			return fmt.Errorf("%q: it is not known that it was published", name)
		}
	}
	for key, tried := range p.tried {
		got, err := s.Recall(key)
		if err != nil {
			return err
		}
		isValue := func(n int) bool { return got == workValue(n) }
		since := tried[max(0, p.remembered[key]-1):]
		if !slices.ContainsFunc(since, isValue) && (got != "" || p.remembered[key] > 0) {
			return fmt.Errorf("key %q: %d bytes are recalled that are none of %v", key, len(got), since)
		}
	}
	got, err := s.List()
	if err != nil {
		return err
	}
	isList := func(n int) bool { return slices.Equal(got, workList(n)) }
	since := p.lists[max(0, p.listed-1):]
	if !slices.ContainsFunc(since, isList) && (len(got) > 0 || p.listed > 0) {
		return fmt.Errorf("the list is %v, which is none of %v", got, since)
	}
	return nil
}

// checkDir checks that nothing but whole files stands in the output directory,
// and nothing unknown in the state.
func (v *verdict) checkDir(s *Store, known map[string]*Blob) error {
	blobs := map[string]bool{}
	for _, b := range known {
		blobs[b.id()] = true
	}
	return filepath.WalkDir(s.path, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(s.path, path)
		if err != nil {
			return err
		}
		state, inState := strings.CutPrefix(name, ".dlfs/")
		switch {
		case inState && strings.HasPrefix(state, "db.broken-") && !e.IsDir():
			return nil // that was no database
		case e.IsDir() && (name == ".dlfs/db" || inState && strings.HasPrefix(state, "db.broken-")):
			return fs.SkipDir
		case e.IsDir() || inState && (state == "lock" || state == countFile || state == ballastName || state == evictedName):
			return nil
		case inState && (v.lost || blobs[strings.TrimPrefix(state, "blobs/")]):
			return nil // the next start sweeps blobs that were lost
		case inState:
			return fmt.Errorf("%q is in the state", state)
		}
		b := known[name]
		if b != nil && (b.Published() || b.Replaces()) {
			v.Published++
			return nil // its blocks were checked
		}
		if b == nil && strings.HasPrefix(filepath.Base(name), "own") {
			return nil // not dlfs's, or not yet
		}
		if b != nil || !v.lost {
			return fmt.Errorf("%q stands in the output directory", name)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		got, err := os.ReadFile(path)
		if err == nil && !isBad(name) && !rightFile(name, info.Size(), got) {
			err = fmt.Errorf("%q stands in the output directory, and is not whole", name)
		}
		return err
	})
}

// finish completes every blob, and looks at the files.
func (v *verdict) finish(s *Store, known map[string]*Blob) error {
	answers := map[string]error{}
	for name, b := range known {
		if err := b.Acquire(); err != nil {
			return err
		}
		defer b.Release()
		for i := range b.geo.blocks() {
			off, n := b.geo.extent(i, i+1)
			if b.Has(off, n) {
				continue
			}
			if err := b.Put(off, rightBytes(name, b.version.Size, off, n)); err != nil {
				return err
			}
		}
		if old := b.toReplace(); b.Replaces() && !s.stands(old, name) { // the image has other inodes
			if err := os.Remove(filepath.Join(s.path, name)); err != nil {
				return err
			}
		}
		answers[name] = errors.New("no answer")
		b.Publish(func(err error) { answers[name] = err })
	}
	if err := s.Sync(context.Background()); err != nil {
		return err
	}
	for name, b := range known {
		got, err := os.ReadFile(filepath.Join(s.path, name))
		if err = errors.Join(answers[name], err); err != nil {
			return fmt.Errorf("publish %q: %w", name, err)
		}
		if !isBad(name) && !rightFile(name, b.version.Size, got) {
			return fmt.Errorf("%q is finished, and has other bytes", name)
		}
	}
	return nil
}

// checker is a process that checks directories, and is begun anew when it dies.
type checker struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    *os.File
	out   *bufio.Reader
	wrong bytes.Buffer
}

// newChecker returns a checker that ends with the test.
func newChecker(t *testing.T) *checker {
	c := &checker{t: t}
	t.Cleanup(c.stop)
	return c
}

func (c *checker) start() {
	c.t.Helper()
	theirs, ours, err := os.Pipe()
	check(c.t, err)
	c.wrong.Reset()
	c.cmd = exec.Command(os.Args[0])
	c.cmd.Env = append(os.Environ(), role+"=checker", "GOMAXPROCS=2")
	c.cmd.Stdin, c.cmd.Stderr, c.in = theirs, &c.wrong, ours
	out, err := c.cmd.StdoutPipe()
	check(c.t, err)
	check(c.t, c.cmd.Start())
	check(c.t, theirs.Close())
	c.out = bufio.NewReader(out)
}

func (c *checker) stop() {
	if c.cmd != nil {
		c.in.Close()
		c.cmd.Wait() // however it ended was seen
		c.cmd = nil
	}
}

// hangs is how long a check may last: then it hangs.
const hangs = time.Minute

// check has a directory checked, in as many starts as a user may need.
func (c *checker) check(dir string, how manner) (v verdict) {
	c.t.Helper()
	deaths := ""
	for starts := 1; starts <= mostStarts; starts++ {
		if c.cmd == nil {
			c.start()
		}
		fmt.Fprintln(c.in, dir, how.finish, how.damaged, how.refused)
		hung := time.AfterFunc(hangs, func() { c.cmd.Process.Kill() })
		answer, err := c.out.ReadBytes('\n')
		if !hung.Stop() {
			c.stop()
			return verdict{Bad: "it hangs", starts: starts}
		}
		if err == nil {
			err = json.Unmarshal(answer, &v)
			check(c.t, err)
			v.starts = starts
			return v
		}
		c.stop()
		deaths = c.wrong.String()
	}
	return verdict{Bad: fmt.Sprintf("it died %d times:\n%.3000s", mostStarts, deaths), starts: mostStarts}
}
