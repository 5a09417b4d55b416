package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	s, err := statusOf(ctx, c.Dir, newLogger(std.err, slog.LevelWarn))
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(std.out)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	return printStatus(std.out, s)
}

// statusOf asks the process that has dir, or else reads the state on disk. What was
// lost of that is logged: the next one to open it is not told any more.
func statusOf(ctx context.Context, dir string, log *slog.Logger) (*Status, error) {
	s, err := askStatus(ctx, dir)
	if errors.Is(err, errNoProcess) {
		return readStatus(ctx, dir, log)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return s, nil
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

func (e *engine) status() *Status {
	s := e.brief()
	s.Entries = statuses(e.set)
	return s
}

func statuses(set *fetch.Set) []fetch.EntryStatus {
	files := set.Files()
	list := make([]fetch.EntryStatus, len(files)) // not nil, for JSON
	for i, f := range files {
		list[i] = f.Status()
	}
	return list
}

// needState says that dir is no directory of dlfs, if so.
func needState(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, ".dlfs")); err != nil {
		return fmt.Errorf("%s holds no state of dlfs; give the directory of a mount or fetch", dir)
	}
	return nil
}

// readStatus reads the state while no process has it. Nothing is fetched.
func readStatus(ctx context.Context, dir string, log *slog.Logger) (*Status, error) {
	if err := needState(dir); err != nil {
		return nil, err
	}
	store, err := cache.OpenReadOnly(dir, cache.Options{Log: log})
	if err != nil {
		return nil, err
	}
	set, err := offlineSet(ctx, store, listFlags{})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	s := &Status{Waiting: []origin.Pause{}, Entries: statuses(set), Totals: set.Totals()}
	set.Close()
	return s, store.Close()
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

func printStatus(w io.Writer, s *Status) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, e := range s.Entries {
		size := "?"
		if e.Size >= 0 {
			size = bytesText(e.Size)
		}
		fmt.Fprintf(t, "%s\t%s\t%s of %s\t%s\n", e.State, percent(e.Present, e.Size), bytesText(e.Present), size, printable(nameAndError(e)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, s.line())
	return err
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

func nameAndError(e fetch.EntryStatus) string {
	if e.Error == "" {
		return e.Name
	}
	return e.Name + ": " + e.Error
}
