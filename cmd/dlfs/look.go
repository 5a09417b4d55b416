package main

import (
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"dlfs/fetch"
	"dlfs/fetch/origin"
	"dlfs/fetch/peers"
)

// What the control socket answers to a page that looks again each second.

const (
	shownHosts  = 20   // of a Summary
	shownWaits  = 20   // of a Summary
	shownActive = 20   // of a Summary
	shownPeers  = 50   // of a Summary
	filesAtOnce = 1000 // of a Selection
	cellsShown  = 1024 // of a map, unless another number is asked for

	// How long what is looked for in the whole list is not looked for again.
	selectedFor = time.Second
	expiryFor   = time.Minute
)

// looks are what was found in the whole list a moment ago.
type looks struct {
	selected memo[selectKey, []*fetch.File]
	totals   memo[edition, fetch.Totals]
	expiry   memo[edition, urlsDie]
	bound    memo[edition, *fetch.BoundStatus]
}

// edition is fetch.Set.Replaced of a list, which tells it from the one that replaces it.
type edition <-chan struct{}

// selectKey is what a selection is remembered under: the query, and the edition of the list.
type selectKey struct {
	query fetch.Query
	list  edition
}

// urlsDie is when the first of n URLs dies.
type urlsDie struct {
	first time.Time
	n     int
}

// Summary tells how far a running process is. Its length does not grow with the list. The
// keys that Status has too mean the same.
type Summary struct {
	PID     int    `json:"pid"`
	Version string `json:"version"` // of the program
	Dir     string `json:"dir"`     // the output directory
	Ends    bool   `json:"ends"`    // it ends when everything is complete: a fetch
	fetch.Totals
	States       map[string]int      `json:"files_by_state"`
	Limit        int64               `json:"limit_bytes_per_second"`
	Expires      *time.Time          `json:"expires"`
	Expiring     int                 `json:"files_expiring"`
	Waiting      []origin.Pause      `json:"hosts_waiting"`
	Hosts        []fetch.HostStatus  `json:"hosts"` // the busiest
	HostsTotal   int                 `json:"hosts_total"`
	Readers      []fetch.Wait        `json:"readers_waiting"` // the longest waits
	ReadersTotal int                 `json:"readers_waiting_total"`
	Active       []fetch.EntryStatus `json:"active"`          // files with something in flight, some of them
	DiskFree     int64               `json:"disk_free_bytes"` // -1 where that is not known
	DiskFull     string              `json:"disk_full"`       // why nothing can be stored; "" if it can
	Bound        *fetch.BoundStatus  `json:"bound"`           // of a mount whose size is bounded, else null
	Peers        []peers.State       `json:"peers"`           // other machines that share the list, some of them
	PeersTotal   int                 `json:"peers_total"`
	LastRun      *lastRun            `json:"last_run"` // how the last process ended, if none runs; null if that is not known
}

// Selection is one page of the files that were asked for.
type Selection struct {
	Total int                 `json:"total"` // files that were selected
	Files []fetch.EntryStatus `json:"files"`
}

// summary answers GET /summary.
func (c *control) summary(w http.ResponseWriter, _ *http.Request) {
	c.answer(w, c.engine.summary(&c.looks))
}

// summary is the Summary as it is now, but for what takes long in a long list: that may be
// a moment old.
func (e *engine) summary(l *looks) *Summary {
	list := edition(e.set.Replaced())
	s := &Summary{PID: os.Getpid(), Version: version(), Dir: e.store.Path(), Ends: e.ends, Limit: e.limit.Get(),
		States: e.set.States(), Waiting: e.client.Pauses(), Active: []fetch.EntryStatus{}, DiskFree: -1}
	// No error can come of these three.
	s.Totals, _ = l.totals.get(list, 0, func() (fetch.Totals, error) { return e.set.Totals(), nil })
	s.Bound, _ = l.bound.get(list, 0, func() (*fetch.BoundStatus, error) { return e.set.Bound(), nil })
	s.Paused = e.set.Paused()
	x, _ := l.expiry.get(list, expiryFor, func() (x urlsDie, err error) {
		x.first, x.n = e.set.Expiry()
		return x, nil
	})
	if x.n > 0 {
		first := x.first.UTC()
		s.Expires, s.Expiring = &first, x.n
	}
	s.Hosts, s.HostsTotal = e.set.Hosts(shownHosts)
	if len(s.Waiting) > shownHosts {
		s.Waiting = s.Waiting[:shownHosts]
	}
	s.Peers = e.group.states()
	if s.PeersTotal = len(s.Peers); s.PeersTotal > shownPeers {
		s.Peers = s.Peers[:shownPeers]
	}
	s.Readers, s.ReadersTotal = e.set.Waits(shownWaits)
	s.Active = append(s.Active, e.set.Active(shownActive)...)
	if free, err := e.store.Free(); err == nil {
		s.DiskFree = free
	}
	if !e.store.FullSince().IsZero() {
		s.DiskFull = e.store.Full().Error()
	}
	return s
}

// files answers GET /files: the files that the query selects, in its order, from offset on and
// at most filesAtOnce of them, and how many there are in all.
func (c *control) files(w http.ResponseWriter, r *http.Request) {
	form := r.URL.Query()
	q := fetch.Query{Match: form.Get("q"), State: form.Get("state"), Sort: form.Get("sort"), Desc: form.Get("desc") == "1"}
	offset, err := numberOf(form, "offset", 0)
	if err != nil {
		refuse(w, err)
		return
	}
	limit, err := numberOf(form, "limit", 100)
	if err != nil {
		refuse(w, err)
		return
	}
	selected, err := c.selected(q)
	if err != nil {
		refuse(w, usageError("%w", err))
		return
	}
	sel := Selection{Total: len(selected), Files: []fetch.EntryStatus{}}
	selected = selected[min(offset, len(selected)):]
	for _, f := range selected[:min(limit, filesAtOnce, len(selected))] {
		sel.Files = append(sel.Files, f.Status())
	}
	c.answer(w, sel)
}

// selected returns the files that a query selects, or selected a moment ago.
func (c *control) selected(q fetch.Query) ([]*fetch.File, error) {
	if q.IsAll() {
		return c.engine.set.Files(), nil
	}
	key := selectKey{q, c.engine.set.Replaced()}
	return c.looks.selected.get(key, selectedFor, func() ([]*fetch.File, error) { return c.engine.set.Select(q) })
}

// numberOf returns a parameter that is a number from 0 on.
func numberOf(form url.Values, key string, missing int) (int, error) {
	text := form.Get(key)
	if text == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, usageError("%s is not a number from 0 on", key)
	}
	return n, nil
}

// named returns the file that a request names.
func (c *control) named(r *http.Request) (*fetch.File, error) {
	name := r.URL.Query().Get("name")
	f := c.engine.set.File(name)
	if f == nil {
		return nil, usageError("%q is not in the list", name)
	}
	return f, nil
}

// file answers GET /file: what is known of one file, with its map of blocks.
func (c *control) file(w http.ResponseWriter, r *http.Request) {
	f, err := c.named(r)
	if err != nil {
		refuse(w, err)
		return
	}
	cells, err := numberOf(r.URL.Query(), "cells", cellsShown)
	if err != nil {
		refuse(w, err)
		return
	}
	c.answer(w, c.engine.set.Inspect(f, cells))
}
