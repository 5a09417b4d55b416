package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"dlfs/cache"
	"dlfs/fetch"
	"dlfs/fetch/origin"
	"dlfs/listfile"
)

type statusCmd struct {
	Dir  string `arg:"" help:"Output directory or mountpoint."`
	JSON bool   `help:"Print JSON."`
}

// Run asks the running process, or else reads the state on disk.
func (c *statusCmd) Run(ctx context.Context, std stdio) error {
	var p statusPrinter = &textStatus{t: tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)}
	if c.JSON {
		p = &jsonStatus{w: std.out, indent: "  "}
	}
	if err := statusOf(ctx, c.Dir, newLogger(std.err, slog.LevelWarn), p.head, p.entry); err != nil {
		return err
	}
	return p.end()
}

// statusOf asks the process that has dir, or else reads the state on disk, and
// calls head with the status less the entries, and then each with each of these.
// What was lost of the state is logged: the next one to open it is not told any
// more.
func statusOf(ctx context.Context, dir string, log *slog.Logger, head func(*Status) error, each func(fetch.EntryStatus) error) error {
	err := visitStatus(ctx, dir, head, each)
	if errors.Is(err, errNoProcess) {
		return readStatus(ctx, dir, log, head, each)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return nil
}

// Status is what status --json prints. Keys are stable: new ones may come.
type Status struct {
	PID int `json:"pid"` // of the running process, 0 if none is
	fetch.Totals
	Limit    int64               `json:"limit_bytes_per_second"` // 0 is none
	Expires  *time.Time          `json:"expires"`                // when the first URL of an incomplete file dies; null if none tells
	Expiring int                 `json:"files_expiring"`         // incomplete files whose URL tells when it dies
	Waiting  []origin.Pause      `json:"hosts_waiting"`          // hosts that are left alone, as they asked
	Entries  []fetch.EntryStatus `json:"entries"`
}

// brief is the status without the entries.
func (e *engine) brief() *Status {
	s := &Status{PID: os.Getpid(), Totals: e.set.Totals(), Limit: e.limit.Get(), Waiting: e.client.Pauses()}
	if first, n := e.set.Expiry(); n > 0 {
		first = first.UTC()
		s.Expires, s.Expiring = &first, n
	}
	return s
}

// eachStatus calls head with s, and then each with the status of each file of set.
func eachStatus(s *Status, set *fetch.Set, head func(*Status) error, each func(fetch.EntryStatus) error) error {
	s.Entries = []fetch.EntryStatus{} // not nil, for JSON
	if err := head(s); err != nil {
		return err
	}
	for _, f := range set.Files() {
		if err := each(f.Status()); err != nil {
			return err
		}
	}
	return nil
}

// needState says that dir is no directory of dlfs, if so.
func needState(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, ".dlfs")); err != nil {
		return fmt.Errorf("%s holds no state of dlfs; give the directory of a mount or fetch", dir)
	}
	return nil
}

// readStatus reads the state while no process has it. Nothing is fetched.
func readStatus(ctx context.Context, dir string, log *slog.Logger, head func(*Status) error, each func(fetch.EntryStatus) error) error {
	if err := needState(dir); err != nil {
		return err
	}
	store, err := cache.OpenReadOnly(dir, cache.Options{Log: log})
	if err != nil {
		return err
	}
	set, err := offlineSet(ctx, store, listFlags{})
	if err != nil {
		return errors.Join(err, store.Close())
	}
	for _, f := range set.Files() {
		f.Status() // has it loaded, so that it counts
	}
	err = eachStatus(&Status{Waiting: []origin.Pause{}, Totals: set.Totals()}, set, head, each)
	set.Close()
	return errors.Join(err, store.Close())
}

// offlineSet is the files of the list a store was last used with, whose URLs
// nobody knows: nothing of them can be fetched.
func offlineSet(ctx context.Context, store *cache.Store, flags listFlags) (*fetch.Set, error) {
	list, err := store.List()
	if err != nil {
		return nil, err
	}
	entries := make([]listfile.Entry, len(list))
	for i, l := range list {
		entries[i].Name = l.Name
	}
	if err := flags.addChecksums(&listfile.List{Entries: entries}); err != nil {
		return nil, err
	}
	return fetch.New(ctx, store, origin.New(origin.Options{}), entries, fetch.Options{}), nil
}

// line is the whole in one line.
func (s *Status) line() string {
	line := "not running: "
	if s.PID != 0 {
		line = fmt.Sprintf("process %d: ", s.PID)
	}
	line += totalsText(s.Totals)
	if s.Limit > 0 {
		line += fmt.Sprintf(", limit %v", rate(s.Limit))
	}
	if len(s.Waiting) > 0 {
		line += ", " + waitingText(s.Waiting)
	}
	if s.Expires != nil {
		line += ", " + expiryText(*s.Expires, s.Expiring)
	}
	return line
}

// waitingText tells which host is waited for, the longest first.
func waitingText(hosts []origin.Pause) string {
	text := fmt.Sprintf("%s asks to be left alone until %s", printable(hosts[0].Host), hosts[0].Until.Local().Format(time.TimeOnly))
	if more := len(hosts) - 1; more > 0 {
		text += fmt.Sprintf(", and so do %d more", more)
	}
	return text
}

// expiryText tells when the first of n URLs dies.
func expiryText(first time.Time, n int) string {
	verb := "expire"
	if time.Until(first) <= 0 {
		verb = "expired"
	}
	return fmt.Sprintf("the URLs of %d %s from %s on", n, verb, first.UTC().Format("2006-01-02 15:04:05 UTC"))
}
