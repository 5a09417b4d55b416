package main

import (
	"context"
	"errors"
	"net"

	"dlfs/fetch/origin"
	"dlfs/listfile"
)

// workFlags are the flags of every command that fetches. Their groups are the headings of the
// help.
type workFlags struct {
	listFlags     `group:"The list"`
	requestFlags  `group:"Requests"`
	fetchFlags    `group:"Fetching"`
	progressFlags `group:"Progress and log"`
	logFlags      `group:"Progress and log"`
	metricsFlags  `group:"Progress and log"`
}

// validate refuses values that cannot work, before anything is begun.
func (f *workFlags) validate() error {
	return errors.Join(f.requestFlags.validate(), f.fetchFlags.validate(), f.metricsFlags.validate())
}

// work is what a command that fetches has before it opens a directory. The command sets the
// last fields, from hooks on, between begin and open.
type work struct {
	flags   *workFlags
	display *display
	client  *origin.Client
	limit   *origin.Limit // of the client
	lister  *lister
	bad     listfile.Errors // what readList left out of the list
	memory  memory
	hooks   hookFlags
	metrics net.Listener // nil if there is none
	group   *group       // of other machines, nil if there are none
	maxSize *diskSize    // of the output directory, nil if it is not bounded
	pins    []string     // patterns of the command line

	saveFailed string // the file of --save-failed
}

// readList reads the list, which has an entry.
func (w *work) readList(ctx context.Context) (*listfile.List, error) {
	w.display.std.supervisor.tell("STATUS=reading the list")
	list, err := w.lister.readSome(ctx)
	if err == nil {
		w.bad = list.Bad
	}
	return list, err
}

// begin checks the flags and makes the work on a list, as far as the command line alone tells:
// the output directory dir is not touched, and the list is read later, but for checkLog. dir is
// "" if nothing is kept. The caller calls end.
func (f *workFlags) begin(ctx context.Context, std stdio, list, dir string) (*work, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	f.warn(std.err)
	return abandonable(ctx, func() (*work, error) { // a file that a flag names may be a FIFO
		if err := f.checkLog(list, dir); err != nil {
			return nil, err
		}
		return f.work(std, list)
	})
}

// work returns the work on a list, to be ended by end.
func (f *workFlags) work(std stdio, list string) (*work, error) {
	m := memoryOfProcess()
	m.limitHeap() // the limit is set again when the size of the list is known
	d, err := newDisplay(std, f.progressFlags, f.logFlags)
	if err != nil {
		return nil, err
	}
	opts, err := f.clientOptions(d.log, f.MaxPerHost)
	if err != nil {
		return nil, err
	}
	metrics, err := f.metricsFlags.listen()
	if err != nil {
		return nil, err
	}
	client := origin.New(opts)
	l, err := newLister(f.listFlags, client, std.in, d.notes(), list)
	if err == nil {
		l.quiet = f.Quiet
	}
	return &work{flags: f, display: d, client: client, limit: opts.Limit, lister: l, memory: m, metrics: metrics}, err
}

// end closes what work opened. The lines of the log go last, since the others write to it.
func (w *work) end() {
	if w.metrics != nil {
		w.metrics.Close() // the engine has, if it served it
	}
	w.display.close()
	w.group.close()
	w.client.Close()
	w.display.lines.close()
}
