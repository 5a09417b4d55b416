package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dlfs/fetch"
	"dlfs/fetch/origin"
)

// A fetch whose state is elsewhere says how far it is in its output directory, so that
// every machine that has this directory can sum up what all of them do. Two runs of one
// shard write one file, and the later word counts.

const (
	shardFiles = "shard-*.json"
	tellEvery  = 20 * time.Second

	// longestShard bounds, in bytes, what is read of such a file, which others may write.
	longestShard = 16 << 20

	// silentAfter is how long a shard that has not ended may say nothing. Clocks of
	// machines differ a little.
	silentAfter = 3 * time.Minute
)

// shardStatus is how far a shard is. Keys are stable: new ones may come.
type shardStatus struct {
	Shard string    `json:"shard"` // "I/N"; "0/1" is the whole list
	Host  string    `json:"host"`
	Told  time.Time `json:"told"`  // when this was written
	Ended bool      `json:"ended"` // the process has
	fetch.Totals
}

// tellOthers writes how far the shard is until the engine is closed, where the state is
// elsewhere. Once no flight is left, it is written a last time.
func (e *engine) tellOthers() {
	if !e.store.IsShared() {
		return
	}
	e.reloading.Lock()
	part := e.lister.shard // this is the shard of every list to come, too
	e.reloading.Unlock()
	// A process without --shard has the whole list, and is told of as the only shard.
	if part.of == 0 {
		part = shard{0, 1}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // shardEnd waits
		defer close(stopped)
		t := time.NewTicker(tellEvery)
		defer t.Stop()
		for {
			e.tellShard(part, false)
			select {
			case <-t.C:
			case <-stop:
				return
			}
		}
	}()
	// The last word is written after the last sync, so that it tells of every file that is in place.
	e.shardEnd = func() {
		close(stop)
		<-stopped
		if err := e.store.Sync(context.Background()); err != nil { // what is complete is published, and so counts
			e.log.Debug("not everything is durable at the end", "err", err) // closing the store returns the error
		}
		e.tellShard(part, true)
	}
}

// tellShard writes how far a shard is. It says so if that fails, and the run goes on.
func (e *engine) tellShard(part shard, ended bool) {
	host, err := os.Hostname()
	if err == nil {
		s := shardStatus{Shard: part.String(), Host: host, Told: time.Now().UTC().Truncate(time.Second), Ended: ended, Totals: e.set.Totals()}
		var text []byte
		if text, err = json.Marshal(s); err == nil {
			err = e.store.WriteShared(fmt.Sprintf("shard-%d-of-%d.json", part.index, part.of), append(text, '\n'))
		}
	}
	if err != nil && !e.store.IsRemoved() { // if the state is removed, the outcome tells it
		e.log.Warn("\"dlfs status\" on other machines is not told how far this shard is", "shard", part, "err", err)
	}
}

// readShards calls head with the sum of what the shards of an output directory say. There are no
// entries: a shard tells its figures, not its files.
func readShards(dir string, log *slog.Logger, head func(*Status) error) error {
	shards, err := shardsOf(dir, log)
	if err != nil {
		return err
	}
	if len(shards) == 0 {
		return errElsewhere(dir)
	}
	none := []fetch.EntryStatus{}
	s := &Status{Waiting: []origin.Pause{}, Active: none, Readers: []fetch.Wait{}, Entries: none, Shards: shards}
	for _, shard := range shards {
		s.Totals = sumTotals(s.Totals, shard.Totals)
	}
	return head(s)
}

// shardsOf returns what the shards of an output directory say, in order. If the list was
// divided in several ways, those of the way that was told last are returned.
func shardsOf(dir string, log *slog.Logger) ([]shardStatus, error) {
	paths, err := filepath.Glob(filepath.Join(quoteGlob(dir), ".dlfs", shardFiles))
	if err != nil {
		return nil, err
	}
	told := map[uint64][]shardStatus{} // by the number of shards
	last, newest := time.Time{}, uint64(0)
	for _, path := range paths {
		s, part, err := readShard(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			log.Warn("what a shard says is not readable; it is left out", "file", path, "err", err)
			continue
		}
		// Files of a division into another number of shards may have been left by an earlier run.
		told[part.of] = append(told[part.of], s)
		if s.Told.After(last) {
			last, newest = s.Told, part.of
		}
	}
	shards := told[newest]
	slices.SortFunc(shards, func(a, b shardStatus) int { return cmp.Compare(a.index(), b.index()) })
	return shards, nil
}

// readShard reads the file in which a shard has written how far it is. It also returns
// which shard that is. The file may be of another user and is read within longestShard
// bytes; a pipe or a device is an error.
func readShard(path string) (s shardStatus, part shard, err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return s, part, err
	}
	defer dir.Close()
	f, err := openIn(dir, filepath.Base(path))
	if err != nil {
		return s, part, err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, longestShard)).Decode(&s); err != nil {
		return s, part, err
	}
	return s, part, part.UnmarshalText([]byte(s.Shard))
}

// index returns the number of the shard, counted from 0.
func (s shardStatus) index() uint64 {
	var part shard
	if part.UnmarshalText([]byte(s.Shard)) != nil {
		return 0 // readShard has refused it
	}
	return part.index
}

// sumTotals adds the figures of two sets.
func sumTotals(a, b fetch.Totals) fetch.Totals {
	return fetch.Totals{
		TotalBytes: addBytes(a.TotalBytes, b.TotalBytes), PresentBytes: addBytes(a.PresentBytes, b.PresentBytes),
		OriginBytes: addBytes(a.OriginBytes, b.OriginBytes), PeerBytes: addBytes(a.PeerBytes, b.PeerBytes),
		ServedBytes: addBytes(a.ServedBytes, b.ServedBytes), FilesTotal: a.FilesTotal + b.FilesTotal,
		FilesKnown: a.FilesKnown + b.FilesKnown, FilesComplete: a.FilesComplete + b.FilesComplete,
		FilesFailed: a.FilesFailed + b.FilesFailed, FilesNeedURL: a.FilesNeedURL + b.FilesNeedURL,
		FilesMismatch: a.FilesMismatch + b.FilesMismatch, Paused: a.Paused || b.Paused,
	}
}

// state returns what a shard does, in a word: complete, ended without being complete,
// silent for longer than silentAfter, or fetching.
func (s shardStatus) state(now time.Time) string {
	switch {
	case s.FilesComplete == s.FilesTotal:
		return "complete"
	case s.Ended:
		return "ended"
	case now.Sub(s.Told) > silentAfter:
		return "silent"
	}
	return "fetching"
}

// shardsText returns how many shards are in which state, such as "8 shards, 6 complete, 2 not
// begun: ", to stand before the sum of their figures. There is at least one shard.
func shardsText(shards []shardStatus, now time.Time) string {
	var part shard
	if part.UnmarshalText([]byte(shards[0].Shard)) != nil {
		return "" // readShard has refused it
	}
	counts := map[string]int{}
	for _, s := range shards {
		counts[s.state(now)]++
	}
	var parts []string
	for _, state := range []string{"complete", "fetching", "silent", "ended"} {
		if n := counts[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	if missing := int(part.of) - len(shards); missing > 0 {
		parts = append(parts, fmt.Sprintf("%d not begun", missing))
	}
	whole := fmt.Sprintf("%d shards", part.of)
	if part.of == 1 {
		whole = "1 shard"
	}
	return whole + ", " + strings.Join(parts, ", ") + ": "
}

// shardsLeft returns an error that says which shard has not begun or not ended, nil if
// all have ended or there are none.
func shardsLeft(shards []shardStatus, now time.Time) error {
	if len(shards) == 0 {
		return nil
	}
	for _, s := range shards {
		if !s.Ended {
			return fmt.Errorf("shard %s is %s", s.Shard, s.state(now))
		}
	}
	var part shard
	if err := part.UnmarshalText([]byte(shards[0].Shard)); err != nil {
		return err
	}
	if missing := part.of - uint64(len(shards)); missing > 0 {
		return fmt.Errorf("%d of %d shards have not begun", missing, part.of)
	}
	return nil
}

// quoteGlob quotes a path for filepath.Glob.
func quoteGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
