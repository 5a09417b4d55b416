package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"dlfs/fetch"
	"dlfs/listfile"
)

// reloadCmd has a running dlfs go on with another list. The help of each field is what a user
// reads.
type reloadCmd struct {
	Dir  string `arg:"" help:"Output directory or mountpoint of a running dlfs."`
	List string `arg:"" optional:"" help:"The list to go on with; - for standard input. If not given, the same one is read again."`
	stateFlag
}

// Run has the running process go on with another list, and prints the difference
// between the two. The path is made absolute, because the process has another working
// directory; standard input is sent as the body of the request.
func (c *reloadCmd) Run(ctx context.Context, std stdio) error {
	query, body := "", io.Reader(nil)
	if c.List != "" {
		where, err := absolute(c.List)
		if err != nil {
			return err
		}
		query = "?" + url.Values{"list": {where}}.Encode()
		if where == "-" {
			body = std.in
		}
	}
	answer, err := order(ctx, c.or(c.Dir), "POST", "/reload"+query, body)
	if err != nil {
		return err
	}
	defer answer.close()
	kinds, err := answer.difference()
	if isOddJSON(err) {
		err = errNoDlfs
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Dir, err)
	}
	printKinds(std.out, "", kinds)
	return nil
}

// errEnding refuses a list for a process that would not come to use it.
var errEnding = errors.New("this dlfs is about to end; give the list to the next \"dlfs fetch\" or \"dlfs mount\"")

// errSpent refuses to read standard input a second time.
var errSpent = errors.New("the list came from standard input and cannot be read again; give one with \"dlfs reload DIR LIST\"")

// reload replaces the list by the one at where, an absolute path or a URL; "-"
// is body, "" the same place again. It tells the difference, here and on
// standard error. A list with a problem changes nothing. It blocks for the list,
// until ctx ends; of several at a time the one that was read last counts.
func (e *engine) reload(ctx context.Context, where string, body io.Reader) (diff fetch.Difference, err error) {
	e.reloading.Lock()
	from := e.lister
	e.reloading.Unlock()
	if where != "" {
		from = from.at(where)
	}
	list, err := from.reread(ctx, where, body)
	if err != nil {
		return diff, err
	}
	// The list is read and parsed before the lock is taken, so that a slow list holds nothing up.
	e.group.refresh(ctx) // before the lock: names are looked up
	return e.replace(ctx, from, list)
}

// renew replaces the list by the one that body is, once, as a hook for expired URLs
// prints it. The engine's lister stays, so that the next reload reads the list where it
// was.
func (e *engine) renew(ctx context.Context, body io.Reader) error {
	e.reloading.Lock()
	from := e.lister
	e.reloading.Unlock()
	list, err := from.at("-").reread(ctx, "-", body)
	if err != nil {
		return err
	}
	_, err = e.replace(ctx, from, list)
	return err
}

// replace replaces the list by one that from has read, and returns the difference. The set takes
// the entries, pins are set anew, and the mount is told. It is refused once the run is ending. After
// an error the old list stays.
func (e *engine) replace(ctx context.Context, from *lister, list *listfile.List) (diff fetch.Difference, err error) {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	if e.ending {
		return diff, errEnding
	}
	if err := clashOnDisk(list.Entries, e.store.FoldsNames()); err != nil {
		return diff, alsoTell(err, errKept)
	}
	if err := from.remember(e.store); err != nil {
		return diff, err
	}
	// From here on nothing fails: the set has the list, and what depends on it follows.
	diff = e.set.Reload(list.Entries)
	if err := e.pinLocked(e.pins); err != nil {
		e.log.Warn("new files are not pinned", "err", err)
	}
	e.memory.limitHeap()
	e.lister, e.bad = from, list.Bad
	e.reloads++
	if e.reloaded != nil {
		e.reloaded()
	}
	printDifference(e.display.notes(), "dlfs: ", diff)
	return diff, nil
}

// errKept is added to each error of a list that was refused.
var errKept = errors.New("the list stays as it was")

// reread reads the list of a reload: from body if where is "-", else from where the lister reads.
// Standard input cannot be read a second time. A list without entries is refused, as it would
// take every file away.
func (l *lister) reread(ctx context.Context, where string, body io.Reader) (list *listfile.List, err error) {
	switch {
	case where == "-":
		list, err = abandonable(ctx, func() (*listfile.List, error) { return l.parseBounded(body) })
		if err == nil && l.flags.asks() {
			err = l.askNames(ctx, list)
		}
	case l.where == "-":
		err = usageError("%w", errSpent)
	default:
		list, err = l.read(ctx)
	}
	if err == nil {
		err = needEntries(list, l.name)
	}
	if err != nil {
		return nil, alsoTell(err, errKept)
	}
	l.take(list)
	return list, nil
}
