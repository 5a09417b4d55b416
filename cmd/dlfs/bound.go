package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"dlfs/fetch"
	"dlfs/listfile"
)

// boundFlags are the flags of mount for a directory with less room than its files need.
type boundFlags struct {
	MaxSize       *diskSize `placeholder:"SIZE" help:"Have at most so much on disk, such as 200G, or 80% of the filesystem of DIR; what readers need least gives way. See \"dlfs help disks\"."`
	EvictComplete bool      `help:"With --max-size: finished files in DIR may go, too, when room is needed. The mount shows them as before, and fetches them again when they are read. Only files that dlfs has put there go."`
	Pin           []string  `sep:"none" placeholder:"PATTERN" help:"With --max-size: these files stay on disk, and are fetched first. As --include names them; may be repeated."`
}

// check refuses combinations of flags that contradict each other.
func (f *boundFlags) check(untilComplete bool, state string) error {
	switch {
	case f.MaxSize == nil && f.EvictComplete:
		return usageError("--evict-complete needs --max-size: without it every file stays")
	case f.EvictComplete && state != "":
		return usageError("--evict-complete and --state exclude each other: with --state other processes may use the finished files")
	case f.MaxSize == nil && len(f.Pin) > 0:
		return usageError("--pin needs --max-size: without it every file stays")
	case f.MaxSize != nil && untilComplete:
		return usageError("--max-size and --until-complete exclude each other: with --max-size a mount need not become complete")
	}
	_, err := listfile.NewPatterns(f.Pin)
	if err != nil {
		return usageError("--pin: %w", err)
	}
	return nil
}

// diskSize is the value of --max-size: a number of bytes, or a share of a filesystem.
type diskSize struct {
	bytes   int64
	percent float64 // if bytes is 0
}

// UnmarshalText reads what parseBytes reads, with bytes as the unit, or a percentage. 0
// is refused: it would mean no bound to one reader and no room to another.
func (d *diskSize) UnmarshalText(text []byte) (err error) {
	*d = diskSize{}
	s := strings.TrimSpace(string(text))
	if number, ok := strings.CutSuffix(s, "%"); ok {
		d.percent, err = strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(d.percent > 0 && d.percent <= 100) {
			return fmt.Errorf("%q is no share of a disk; write one such as 80%%", printable(s))
		}
		return nil
	}
	if d.bytes, err = parseBytes(s, 1); err == nil && d.bytes == 0 {
		err = fmt.Errorf("%q is no size of a disk; write one such as 200G or 80%%", printable(s))
	}
	return err
}

// String returns the size as the flag takes it: a number of bytes, or a percentage.
func (d *diskSize) String() string {
	if d.percent > 0 {
		return strconv.FormatFloat(d.percent, 'g', -1, 64) + "%"
	}
	return strconv.FormatInt(d.bytes, 10)
}

// of returns the bytes that are meant on the filesystem of dir; 0 for nil, which is no
// bound. A share is of the whole filesystem (statfs(2), f_blocks), not of what is free
// now, so that it does not change with what is stored.
func (d *diskSize) of(dir string) (int64, error) {
	switch {
	case d == nil:
		return 0, nil
	case d.percent == 0:
		return d.bytes, nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("size of the filesystem of %s: %w", dir, err)
	}
	if st.Blocks == 0 || st.Bsize <= 0 {
		return 0, usageError("the filesystem of %s does not tell its size; give --max-size in bytes, such as 200G", dir)
	}
	return int64(float64(st.Blocks) * float64(st.Bsize) * d.percent / 100), nil
}

// pinsKey is the key under which the store remembers the rules of "dlfs pin" and "dlfs
// unpin".
const pinsKey = "pins"

// pinRules say which files are pinned. Each is "+" or "-" and a pattern; "+" pins and
// "-" unpins the names that match. The last rule that matches a name decides, and a
// name that none matches is not pinned.
type pinRules []string

// add returns the rules with one more for each pattern, at the end, in place of an
// older rule for the same pattern. ps stays as it is.
func (ps pinRules) add(patterns []string, sign string) pinRules {
	for _, p := range patterns {
		ps = slices.DeleteFunc(slices.Clone(ps), func(old string) bool { return old[1:] == p })
		ps = append(ps, sign+p)
	}
	return ps
}

// takePins pins what earlier runs and the command line say. It takes reloading, so the
// caller holds no lock. Without a bound it does nothing.
func (e *engine) takePins(flags []string) error {
	if e.set.Bound() == nil {
		return nil
	}
	text, err := e.store.Recall(pinsKey)
	if err != nil {
		return err
	}
	e.reloading.Lock()
	defer e.reloading.Unlock()
	e.pins = strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
	e.pins = e.pins.add(flags, "+")
	return e.pinLocked(e.pins)
}

// pinLocked pins the files of the list that the rules pin, and unpins all others. If the pinned
// files together are larger than the bound leaves room for, and than they were, nothing changes,
// and the error says how much there is. Files of unknown size count as 0. The caller holds
// reloading.
func (e *engine) pinLocked(rules pinRules) error {
	if len(rules) == 0 && e.set.Bound() == nil {
		return nil
	}
	each := make([]listfile.Patterns, 0, len(rules))
	for _, r := range rules {
		p, err := listfile.NewPatterns([]string{r[1:]})
		if err != nil {
			return usageError("%w", err)
		}
		each = append(each, p)
	}
	pinned := func(f *fetch.File) bool {
		// The last rule counts, so the first match from the end decides.
		for i := len(rules) - 1; i >= 0; i-- {
			if each[i].Match(f.Name()) {
				return rules[i][0] == '+'
			}
		}
		return false
	}
	var bytes, before int64
	files := e.set.Files()
	for _, f := range files {
		size := max(0, knownSize(f))
		if pinned(f) {
			bytes += size
		}
		if f.Pinned() {
			before += size
		}
	}
	// Pinned files are never evicted: if they fill the bound, nothing else can be read. Fewer
	// bytes than before are let through, or a user could not unpin what is too much.
	if room := e.store.Room(); bytes > room.Max-room.State && bytes > before {
		return usageError("the pinned files have %s, and --max-size leaves %s for files; pin fewer, or raise it with \"dlfs limit --disk\"", bytesText(bytes), bytesText(room.Max-room.State))
	}
	for _, f := range files {
		f.SetPinned(pinned(f))
	}
	return nil
}

// knownSize returns how large a file is, in bytes, as far as that is known without a
// request: from the version that is being fetched, or from the list. It is -1 if
// neither says.
func knownSize(f *fetch.File) int64 {
	if c := f.Known(); c != nil {
		return c.Version().Size
	}
	return f.Entry().Said().Size
}

// errNoBound is the answer to requests that need --max-size.
var errNoBound = usageError("the dlfs there has no --max-size, so every file stays; mount with it")

// pin returns the handler of /pin, with sign "+", or /unpin, with "-". It pins what the patterns of
// the request match, and keeps the rules in the store, so that they hold in the next run and for
// files that a later list brings. The answer is the number of files that match.
func (c *control) pin(sign string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e := c.engine
		// The patterns must match something now, as a wrong pattern would be a rule without effect.
		files, err := c.asked(r)
		if e.set.Bound() == nil {
			err = errNoBound
		}
		if err != nil {
			refuse(w, err)
			return
		}
		e.reloading.Lock()
		defer e.reloading.Unlock()
		// The rules are stored only after they were found to fit.
		rules := e.pins.add(r.URL.Query()["match"], sign)
		err = e.pinLocked(rules)
		if err == nil {
			err = e.store.Remember(pinsKey, strings.Join(rules, "\n"))
			e.pins = rules
		}
		if err != nil {
			refuse(w, err)
			return
		}
		fmt.Fprint(w, len(files))
	}
}

// evict is the handler of /evict. It evicts the files that a request matches, and
// answers with the number of bytes that this has freed. At the first file that cannot
// be evicted it stops; those before it stay evicted.
func (c *control) evict(w http.ResponseWriter, r *http.Request) {
	files, err := c.asked(r)
	if c.engine.set.Bound() == nil {
		err = errNoBound
	}
	sum := int64(0)
	for _, f := range files {
		var n int64
		if err != nil {
			break
		}
		n, err = f.Evict()
		sum += n
	}
	if err != nil {
		refuse(w, err)
		return
	}
	fmt.Fprint(w, sum)
}

// setDisk changes the bound of a running mount, for "dlfs limit --disk". What is above a smaller
// bound is evicted in the background, after the answer.
func (c *control) setDisk(w http.ResponseWriter, r *http.Request) {
	var d diskSize
	err := d.UnmarshalText([]byte(r.FormValue("disk")))
	if err != nil {
		err = usageError("%w", err)
	} else if c.engine.set.Bound() == nil {
		err = errNoBound
	}
	var n int64
	if err == nil {
		n, err = d.of(c.engine.store.StatePath())
	}
	if err == nil {
		if err = c.engine.set.SetMaxSize(n); err != nil {
			err = usageError("%w", err)
		}
	}
	if err != nil {
		refuse(w, err)
	}
}

// someFiles are the arguments of a command about files of a running dlfs. The help of each
// field is what a user reads.
type someFiles struct {
	Dir      string   `arg:"" help:"Output directory or mountpoint of a running dlfs."`
	Patterns []string `arg:"" name:"pattern" help:"Which files, as --include names them: a name, *.tar, sub/**."`
	stateFlag
}

// order returns the request that asks for a command for the files.
func (c *someFiles) order(command string) string {
	return "/" + command + "?" + url.Values{"match": c.Patterns}.Encode()
}

// pinCmd has files stay on disk.
type pinCmd struct{ someFiles }

// Run pins files in the running process.
func (c *pinCmd) Run(ctx context.Context, std stdio) error {
	return orderFiles(ctx, std, c.or(c.Dir), c.order("pin"), "is pinned", "are pinned")
}

// unpinCmd lets files be evicted again.
type unpinCmd struct{ someFiles }

// Run unpins files in the running process.
func (c *unpinCmd) Run(ctx context.Context, std stdio) error {
	return orderFiles(ctx, std, c.or(c.Dir), c.order("unpin"), "is pinned no longer", "are pinned no longer")
}

// evictCmd takes files off the disk.
type evictCmd struct{ someFiles }

// Run has the running process take files off the disk, and prints how many bytes that
// has freed. Reads of these files fetch the bytes again.
func (c *evictCmd) Run(ctx context.Context, std stdio) error {
	n, err := orderNumber(ctx, c.or(c.Dir), "POST", c.order("evict"))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s taken off the disk\n", bytesText(n))
	return err
}

// boundText returns in words how much of the bound is used, whether prefetch stops
// because of it, and what the bound costs: bytes fetched again.
func boundText(b *fetch.BoundStatus) string {
	text := fmt.Sprintf("%s of --max-size %s used", bytesText(b.Used), bytesText(b.Max))
	if b.Stopped {
		text += ", so prefetch stops"
	}
	if b.Read > 0 {
		text += fmt.Sprintf(", %d%% of the bytes read were present", 100*b.Hit/b.Read)
	}
	if b.Refetched > 0 {
		text += fmt.Sprintf(", %s fetched again after eviction", bytesText(b.Refetched))
	}
	if b.Pinned > 0 {
		text += ", " + count(int(b.Pinned), "file pinned", "files pinned")
	}
	return text
}
