//go:build linux

package fs

import "time"

// toldWithin is how long Refresh waits for the kernel.
const toldWithin = time.Second

// Refresh shows the names the set has now, after fetch.Set.Reload has returned.
// Names that are new are found at once. Names that are gone are not listed any
// more, and found no more as soon as the kernel has been told. Refresh waits for
// that up to a second; in a directory where a lookup waits for the network it may
// take longer. A program that has a file open reads on. A name that means the same file
// as before keeps its inode, and what the kernel keeps of it.
//
// Refresh makes no request, and no reader waits for it. It may be called concurrently,
// but not from a function that answers a request of the kernel.
func (m *Mount) Refresh() {
	told := m.fs.refresh()
	t := time.NewTimer(toldWithin)
	defer t.Stop()
	select {
	case <-told:
	case <-t.C:
	}
}

// refresh shows the names the set has now. told is closed when the kernel knows.
func (f *fileSystem) refresh() (told <-chan struct{}) {
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	done := make(chan struct{})
	if f.closing {
		close(done)
		return done
	}
	changes := f.show(f.set.Files())
	f.notifying.Go(func() { // owned by the Mount; Close waits
		defer close(done)
		f.notify(changes)
	})
	return done
}

// stopNotifying ends what Refresh began, and lets no other begin.
func (f *fileSystem) stopNotifying() {
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	if !f.closing {
		f.closing = true
		close(f.stop)
	}
}

// notify tells the kernel what is gone. It must hold no lock: the kernel waits
// for the lookups under way in a directory, and starts no other there until it
// has been told. So a directory where one waits for the network has its turn
// when that has ended, or all who list it would wait, too.
func (f *fileSystem) notify(changes []change) {
	for {
		var busy []change
		for _, c := range changes {
			if !c.dir.known() {
				continue
			}
			if left := f.forget(c.dir, c.gone); len(left) > 0 {
				busy = append(busy, change{c.dir, left})
			}
		}
		if len(busy) == 0 {
			return
		}
		changes = busy
		quiet := busy[0].dir.quiet()
		if quiet == nil {
			continue
		}
		select {
		case <-quiet:
		case <-f.stop:
			return
		}
	}
}

// forget has the kernel forget names of d, and returns those that are left when
// a lookup waits for the network. What fails, the kernel did not have.
func (f *fileSystem) forget(d *dir, names []string) (left []string) {
	for i, name := range names {
		if d.quiet() != nil {
			return names[i:]
		}
		d.NotifyEntry(name) // also a name the kernel was not told yet: an answer may be under way
	}
	d.NotifyContent(-1, 0) // its attributes
	return nil
}

// known reports whether the kernel has looked the directory up. If it does so
// from now on, it finds in it what is there now.
func (d *dir) known() bool {
	if d.parent == nil {
		return true
	}
	_, base := split(d.path)
	return d.parent.known() && d.parent.GetChild(base) == d.EmbeddedInode()
}
