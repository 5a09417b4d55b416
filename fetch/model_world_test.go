//go:build linux

package fetch

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/cache"
	"dlfs/fetch/origintest"
	"dlfs/listfile"
	"dlfs/listfile/digest"
)

// world is what TestModel's engine is in: two origins that show the same files,
// though one may be behind the other, the list, and the disk.
type world struct {
	mirror  *origintest.Origin
	key     int                   // URLs with a lower one are dead
	trust   bool                  // the size tells versions apart: no two have the same
	wrong   map[string][][2]int64 // by name: where an origin once sent wrong bytes
	mu      sync.Mutex            // guards wrong
	digests map[string]digest.Digest
	ballast string // a file that fills the disk up
	full    bool   // it may be, in this life
	under   bool   // what is on disk is not above the bound, and is to stay so
}

// The first letter of a name says what is special about the file.
const (
	plain       = 'p'
	growing     = 'g' // its length is told by nobody
	digested    = 's' // the list has a digest
	pieced      = 'q' // and digests of pieces
	originSaid  = 'o' // the origin has a digest
	notGrowing  = "[^g]*"
	diskLeft    = 256 << 20 // of a life on a disk that fills up
	ballastSize = 2 * diskLeft
	leastBound  = 56 << 20 // some 25 MiB of it are for the state, and all files have 70 MB
)

func kindOf(name string) byte { return path.Base(name)[0] }

// verified reports whether the bytes of a file are proven by a digest.
func verified(name string) bool { return strings.IndexByte("sqo", kindOf(name)) >= 0 }

func (m *model) build() {
	m.wrong, m.digests = map[string][][2]int64{}, map[string]digest.Digest{}
	m.mirror, m.trust = origintest.New(), m.rng.IntN(3) == 0
	for i, f := range []struct {
		kind byte
		size int64
	}{
		{plain, 0}, {plain, 1}, {plain, bs - 1}, {plain, bs + 1}, {plain, 500_000}, {plain, 3<<20 + 1}, {plain, 12 << 20}, {plain, 40<<20 + 99},
		{growing, 3<<20 + 77}, {growing, 0}, {growing, 700_000},
		{digested, 2<<20 + 5}, {digested, 100}, {pieced, 4<<20 + 100}, {originSaid, 1 << 20}, {originSaid, 5000},
	} {
		m.add(fmt.Sprintf("d%d/%c%d", i%3, f.kind, i), f.size)
	}
	m.all = m.entries
	first, second := m.ServePipe(m.t), m.mirror.ServePipe(m.t)
	m.originOpts.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == "mirror:80" {
			return second.DialContext(ctx, network, addr)
		}
		return first.DialContext(ctx, network, addr)
	}
	m.syncMirror()
	m.clearFaults()
	m.entries = m.list()
}

// Clear takes back what passes; some things are always so.
func (m *model) clearFaults() {
	for _, o := range m.origins() {
		o.Clear()
		o.Inject(origintest.NoLength().On(string(growing)+"*"), origintest.HeadLength(-1).On(string(growing)+"*"),
			origintest.Digests("Repr-Digest").On(string(originSaid)+"*"))
	}
	key := m.key
	m.Inject(origintest.Status(403).When(func(r *http.Request) bool {
		var k int
		fmt.Sscanf(r.URL.RawQuery, "k=%d", &k)
		return k < key
	}))
}

func (m *model) origins() []*origintest.Origin { return []*origintest.Origin{m.Origin, m.mirror} }

func (m *model) someOrigin() *origintest.Origin { return m.origins()[m.rng.IntN(2)] }

// expireURLs has the URLs of the list die.
func (m *model) expireURLs() {
	m.key++
	m.log("URLs below k=%d expire", m.key)
	m.clearFaults()
}

func (m *model) syncMirror() {
	for name, c := range m.contents {
		m.mirror.Put("/"+name, origintest.File{Content: c, ETag: tagOf(c)})
	}
}

// changeOne shows another version of a file, on the mirror perhaps later.
func (m *model) changeOne() {
	name := m.all[m.rng.IntN(len(m.all))].Name
	c := origintest.Content{Seed: m.rng.Uint64(), Size: m.contents[name].Size}
	switch {
	case m.trust || verified(name): // the size suffices there for a new URL, so let it
		c.Size += 1 + m.rng.Int64N(2*bs)
	case c.Size > bs && m.rng.IntN(2) == 0:
		c.Size += m.rng.Int64N(2*bs) - bs
	}
	m.log("change %s to %+v", name, c)
	m.show(name, c)
	if m.rng.IntN(2) == 0 {
		m.syncMirror()
	}
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
		if s := f.String(); strings.HasPrefix(s, "EndAfter") || strings.HasPrefix(s, "LongBody") {
			f.On(notGrowing) // nothing would tell
		}
	}
	m.log("inject %v", f)
	m.someOrigin().Inject(f)
}

// wrongBytes has an origin send wrong bytes once, of a file where that shows.
func (m *model) wrongBytes() {
	var names []string
	for _, e := range m.all {
		if verified(e.Name) {
			names = append(names, e.Name)
		}
	}
	name := names[m.rng.IntN(len(names))]
	off, n := m.rng.Int64N(m.contents[name].Size), 1+m.rng.Int64N(1000)
	m.mu.Lock()
	m.wrong[name] = append(m.wrong[name], [2]int64{off, off + n})
	m.mu.Unlock()
	m.log("wrong bytes of %s [%d +%d)", name, off, n)
	m.someOrigin().Inject(origintest.WrongBytes(off, n).On(path.Base(name)).Times(1))
}

// outage has an origin die or fall silent.
func (m *model) outage() {
	o, silent := m.someOrigin(), m.rng.IntN(2) == 0
	m.log("outage of the mirror %v, silent %v", o == m.mirror, silent)
	if silent {
		o.Blackhole()
	} else {
		o.Down()
	}
}

func (m *model) up() {
	m.log("up")
	for _, o := range m.origins() {
		o.Up()
	}
}

// list is a list that is right now.
func (m *model) list() (entries []listfile.Entry) {
	for _, e := range m.all {
		c := m.contents[e.Name]
		e.URL += fmt.Sprintf("?k=%d", m.key)
		e.Details = &listfile.Details{Size: -1}
		if kind := kindOf(e.Name); kind == digested || kind == pieced {
			e.Details.Digest = m.digestOf(c)
		}
		if kindOf(e.Name) == pieced {
			e.Details.Pieces = piecesOf(c)
		}
		entries = append(entries, e)
	}
	return entries
}

func (m *model) digestOf(c origintest.Content) digest.Digest {
	d, ok := m.digests[tagOf(c)]
	if !ok {
		d = sha256Of(c)
		m.digests[tagOf(c)] = d
	}
	return d
}

// reloadList gives the set a list with other URLs, some with a mirror, that may
// leave a name out, and in which a size or digest may be wrong.
func (m *model) reloadList() {
	query := fmt.Sprintf("&r=%d", m.rng.IntN(1000))
	m.entries = nil
	for _, e := range m.list() {
		e.URL += query
		if m.rng.IntN(3) == 0 {
			e.Details.Mirrors = []string{"http://mirror/" + e.Name}
		}
		switch c := m.contents[e.Name]; m.rng.IntN(20) {
		case 0, 1, 2, 3, 4:
			if kindOf(e.Name) != growing {
				e.Details.Size = c.Size
			}
		case 5:
			e.Details.Size = c.Size + 1
		case 6:
			if verified(e.Name) {
				e.Details.Digest = m.digestOf(origintest.Content{Seed: 1, Size: 1})
			}
		}
		if m.rng.IntN(10) > 0 {
			m.entries = append(m.entries, e)
		}
	}
	m.log("reload with %s, %d of %d", query, len(m.entries), len(m.all))
	m.Reload(m.entries)
}

// toggleDisk fills the disk up to the floor of this life's store, or frees it.
func (m *model) toggleDisk() {
	if m.ballast != "" {
		m.freeDisk()
		return
	}
	if m.cacheOpts.MinFree == 1 {
		return // of no use in this life
	}
	m.ballast = filepath.Join(m.t.TempDir(), "ballast")
	m.log("fill the disk")
	f, err := os.Create(m.ballast)
	check(m.t, err)
	defer f.Close()
	check(m.t, unix.Fallocate(int(f.Fd()), 0, 0, ballastSize))
}

func (m *model) freeDisk() {
	if m.ballast == "" {
		return
	}
	m.log("free the disk")
	check(m.t, os.Remove(m.ballast))
	m.ballast = ""
}

// chooseDisk decides whether this life's disk may fill up: then the store's
// floor is little below what is free, and the ballast is more than that.
func (m *model) chooseDisk() {
	m.freeDisk()
	m.full = false
	m.cacheOpts = cache.Options{MinFree: 1}
	var st unix.Statfs_t
	check(m.t, unix.Statfs(m.dir, &st))
	if free := int64(st.Bavail) * st.Bsize; m.rng.IntN(3) == 0 && free > 4*ballastSize {
		m.cacheOpts.MinFree = free - diskLeft
		m.full = true // others use the disk as well
	}
	if m.under = false; m.rng.IntN(3) == 0 {
		m.cacheOpts.MaxSize = m.someBound()
	}
}

// heal ends all trouble, and gives the set a list that is right.
func (m *model) heal() {
	m.log("heal")
	m.clearFaults()
	m.up()
	m.syncMirror()
	m.freeDisk()
	m.entries = m.list()
}
