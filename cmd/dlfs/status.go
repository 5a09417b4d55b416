package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"dlfs/fetch"
	"dlfs/fetch/origin"
	"dlfs/fetch/peers"
)

// statusCmd tells how far a directory or a mount is. The help of each field is what a user
// reads.
type statusCmd struct {
	Dir      string   `arg:"" help:"Output directory or mountpoint."`
	Files    bool     `help:"Tell of every file; otherwise of ${files_shown} at most."`
	State    []string `placeholder:"STATE" help:"Tell of the files in this state alone, all of them: ${file_states}; several with commas. Or the directory that mount or fetch was given by --state."`
	Watch    bool     `help:"Show the progress until the run ends, as it shows it itself."`
	ExitCode bool     `help:"End with the exit code that a fetch would have: 0 if every file is complete, 7 while it goes on."`
	JSON     bool     `help:"Print JSON."`
}

// Run asks the running process, or else reads the state on disk.
func (c *statusCmd) Run(ctx context.Context, std stdio) error {
	if err := c.findState(); err != nil {
		return err
	}
	if c.Watch {
		return c.watch(ctx, std)
	}
	want := selection{states: c.State}
	var p statusPrinter = &textStatus{w: std.out, all: c.Files || len(c.State) > 0}
	if c.JSON {
		p = &jsonStatus{w: std.out, indent: "  "}
	}
	var whole *Status
	err := statusOf(ctx, c.Dir, want, newLogger(std.err, slog.LevelWarn), func(s *Status) error {
		whole = s
		return p.head(s)
	}, p.entry)
	if err != nil {
		return err
	}
	if err := p.end(); err != nil || !c.ExitCode {
		return err
	}
	return quietly(whole.outcome(c.Dir))
}

// fileStates are the states of files, as Status tells them.
var fileStates = []string{"unknown", "waiting", "fetching", stateComplete, "failed", "needs-url", "mismatch"}

// findState takes a state directory out of what --state has been given, since that means
// one thing to the commands that fetch, and to this one two.
func (c *statusCmd) findState() error {
	states := c.State
	c.State = nil
	for _, s := range states {
		switch {
		case slices.Contains(fileStates, s):
			c.State = append(c.State, s)
		case needState(s) == nil:
			c.Dir = s
		default:
			return usageError("--state must be one of %s, or the directory that mount or fetch was given by --state; %q is neither", strings.Join(fileStates, ","), s)
		}
	}
	return nil
}

// quietly is an exit whose reason has been told already.
func quietly(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{codeOf(err), nil}
}

// statusOf tells the status of dir: of the process that has dir, which it asks, or else of the
// state on disk. It calls head once with the status without entries, and then each with one entry
// after the other that is wanted, so that a list of a million files is never in memory as a
// whole. An error of head or each ends it and is returned. If parts of the state were lost, log
// tells it: reading repairs nothing, but the next process that opens the state does, silently
// from then on.
func statusOf(ctx context.Context, dir string, want selection, log *slog.Logger, head func(*Status) error, each func(fetch.EntryStatus) error) error {
	err := visitStatus(ctx, dir, want, head, each)
	if errors.Is(err, errNoProcess) {
		return readStatus(ctx, dir, want, log, head, each)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return nil
}

// Status is what status --json prints. Keys are stable: new ones may come.
type Status struct {
	PID        int    `json:"pid"`        // of the running process, 0 if none is
	Version    string `json:"version"`    // of the dlfs that runs, "" if none does
	Mountpoint string `json:"mountpoint"` // where it has mounted; "" if it has not
	fetch.Totals
	Rate     int64               `json:"bytes_per_second"`       // received in the last while
	ETA      int64               `json:"eta_seconds"`            // 0 if it cannot be told
	DiskFull string              `json:"disk_full"`              // why nothing can be stored; "" if it can
	Limit    int64               `json:"limit_bytes_per_second"` // 0 is none
	Bound    *fetch.BoundStatus  `json:"bound"`                  // of --max-size; null if there is none
	Expires  *time.Time          `json:"expires"`                // when the first URL of an incomplete file dies; null if none tells
	Expiring int                 `json:"files_expiring"`         // incomplete files whose URL tells when it dies
	Waiting  []origin.Pause      `json:"hosts_waiting"`          // hosts that are left alone, as they asked
	Active   []fetch.EntryStatus `json:"active"`                 // some of the files that are being fetched
	Readers  []fetch.Wait        `json:"readers_waiting"`        // files that readers wait for, the longest waits
	Peers    []peers.State       `json:"peers"`                  // other machines that share the list
	LastRun  *lastRun            `json:"last_run"`               // how the last process ended, if none runs; null if that is not known
	Shards   []shardStatus       `json:"shards,omitempty"`       // of an output directory whose state is elsewhere
	Entries  []fetch.EntryStatus `json:"entries"`
}

// brief is the status without the entries.
func (e *engine) brief() *Status {
	s := &Status{PID: os.Getpid(), Version: version(), Mountpoint: e.mountpoint(), Totals: e.set.Totals(), Limit: e.limit.Get(),
		Waiting: e.client.Pauses(), Active: e.set.Active(activeShown)}
	s.Readers, _ = e.set.Waits(shownWaits)
	s.Peers, s.Bound = e.group.states(), e.set.Bound()
	f := frameOf(s.Totals, e.speed.rate())
	s.Rate, s.ETA = int64(f.rate), int64(f.eta/time.Second)
	if !e.store.FullSince().IsZero() {
		s.DiskFull = e.store.Full().Error()
	}
	if first, n := e.set.Expiry(); n > 0 {
		first = first.UTC()
		s.Expires, s.Expiring = &first, n
	}
	return s
}

// eachStatus calls head with s, and then each with the status of each file of set that is
// wanted.
func eachStatus(s *Status, set *fetch.Set, want selection, head func(*Status) error, each func(fetch.EntryStatus) error) error {
	s.Entries = []fetch.EntryStatus{} // not nil, for JSON
	if s.Active == nil {
		s.Active = []fetch.EntryStatus{}
	}
	if s.Peers == nil {
		s.Peers = []peers.State{}
	}
	if s.Readers == nil {
		s.Readers = []fetch.Wait{}
	}
	if err := head(s); err != nil {
		return err
	}
	for _, f := range want.files(set) {
		e := f.Status()
		if !want.matches(e) {
			continue
		}
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}

// outcome is how a command that did all that the status tells would end: as a fetch that
// has ended so, and while it goes on, as one that is interrupted now.
func (s *Status) outcome(dir string) error {
	if err := shardsLeft(s.Shards, time.Now()); err != nil {
		return &exitError{exitInterrupted, err}
	}
	if s.FilesTotal == 0 && s.PID == 0 {
		return noListError(dir)
	}
	var stopped error
	over := s.FilesComplete+s.FilesFailed == s.FilesTotal
	switch {
	case s.PID != 0 && !over:
		stopped = fmt.Errorf("process %d goes on", s.PID)
	case s.FilesComplete == s.FilesTotal:
	case s.LastRun != nil && s.LastRun.Code != exitOK:
		return &exitError{s.LastRun.Code, errors.New(s.LastRun.Why)}
	case !over:
		stopped = errors.New("no dlfs is running")
	}
	return outcome(s.Totals, dir, nil, stopped)
}

// line is the whole in one line.
func (s *Status) line() string {
	line := "not running: "
	if len(s.Shards) > 0 {
		line = shardsText(s.Shards, time.Now())
	}
	if s.PID != 0 {
		line = fmt.Sprintf("process %d: ", s.PID)
	}
	if s.FilesTotal == 0 && s.PID == 0 && len(s.Shards) == 0 {
		line += "no list yet; \"dlfs mount\" or \"dlfs fetch\" gives it one"
	} else {
		line += totalsText(s.Totals)
	}
	if s.PID != 0 && s.FilesComplete < s.FilesTotal {
		line += fmt.Sprintf(", %s/s", bytesText(s.Rate))
		if eta := s.frame().etaText(); eta != "" && (s.Bound == nil || !s.Bound.Stopped) {
			line += ", " + eta
		}
	}
	if s.Limit > 0 {
		line += fmt.Sprintf(", limit %v", rate(s.Limit))
	}
	if s.Bound != nil {
		line += ", " + boundText(s.Bound)
	}
	if len(s.Waiting) > 0 {
		line += ", " + waitingText(s.Waiting)
	}
	if s.Expires != nil {
		line += ", " + expiryText(*s.Expires, s.Expiring)
	}
	return line
}

// frame is what a display shows of the status.
func (s *Status) frame() frame {
	return frame{Totals: s.Totals, rate: float64(s.Rate), eta: time.Duration(s.ETA) * time.Second}
}

// notes are lines about what a person has to know or do.
func (s *Status) notes() (lines []string) {
	if s.DiskFull != "" {
		lines = append(lines, s.DiskFull+"; nothing is stored until there is room")
	}
	if len(s.Readers) > 0 {
		w := s.Readers[0]
		line := fmt.Sprintf("%s for %s since %s", count(w.Readers, "reader waits", "readers wait"), w.Name, w.Since.Local().Format(time.TimeOnly))
		if more := len(s.Readers) - 1; more > 0 {
			line += ", and others for " + count(more, "file more", "files more")
		}
		lines = append(lines, line)
	}
	if len(s.Peers) > 0 {
		lines = append(lines, peersText(s))
	}
	if s.LastRun != nil && s.LastRun.Why != "" && s.FilesComplete < s.FilesTotal {
		lines = append(lines, fmt.Sprintf("the last run ended at %s: %s", s.LastRun.Ended.Local().Format(time.DateTime), s.LastRun.Why))
	}
	return lines
}

// peersText tells of the other machines.
func peersText(s *Status) string {
	text := fmt.Sprintf("%s: %s came from them, and %s went to them", count(len(s.Peers), "other machine", "other machines"), bytesText(s.PeerBytes), bytesText(s.ServedBytes))
	var out []string
	for _, p := range s.Peers {
		if p.State == "out" {
			out = append(out, p.Name)
		}
	}
	if len(out) > 0 {
		text += fmt.Sprintf("; %d do not answer, %s among them", len(out), out[0])
	}
	return text
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
