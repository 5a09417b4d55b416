package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"dlfs/fetch/origin"
	"dlfs/listfile"
)

const (
	hostsAskedAtOnce = 64 // for names
	askedAtOnce      = 8  // of one host
)

// askNames asks the origins what they call the entries that the list does not
// name. Where an origin does not say, the name stays what the URL suggests. An
// entry that cannot be named is refused, and stays in the list. It blocks for the
// network, until ctx ends: then the error is ctx's cause.
func (l *lister) askNames(ctx context.Context, list *listfile.List) error {
	answers := make([]listfile.Answer, len(list.Entries))
	byHost := map[string][]int{}
	var hosts []string // in the order of the list
	for i := range list.Entries {
		e := &list.Entries[i]
		if e.Details == nil || !e.Details.Guessed {
			continue
		}
		host := origin.Host(e.URL)
		if byHost[host] == nil {
			hosts = append(hosts, host)
		}
		byHost[host] = append(byHost[host], i)
	}
	var g errgroup.Group // joined below
	g.SetLimit(hostsAskedAtOnce)
	for _, host := range hosts {
		g.Go(func() error {
			l.askHost(ctx, list.Entries, byHost[host], answers)
			return nil
		})
	}
	g.Wait() // nothing fails as a whole
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := list.Rename(answers, l.flags.options()); err != nil {
		return &exitError{exitUsage, fmt.Errorf("%s: %w", l.shownName(), err)}
	}
	if err := l.flags.addChecksums(list); err != nil {
		return &exitError{exitUsage, err}
	}
	return nil
}

// askHost asks one host for the names of entries, those with these indices. Once
// it has not answered to any attempt for one of them, it is not asked for more:
// each would cost the same wait.
func (l *lister) askHost(ctx context.Context, entries []listfile.Entry, indices []int, answers []listfile.Answer) {
	var dead atomic.Pointer[error]
	var g errgroup.Group // joined below
	g.SetLimit(askedAtOnce)
	for _, i := range indices {
		e := &entries[i]
		g.Go(func() error {
			if why := dead.Load(); why != nil {
				answers[i].Err = fmt.Errorf("name was not asked for: an earlier request failed: %w", errors.Unwrap(*why))
				return nil
			}
			r := l.client.Resource(e.URL, origin.ResourceOptions{Name: e.Name, Header: e.Details.Header})
			name, err := r.Filename(ctx)
			answers[i] = listfile.Answer{Name: name, Err: err}
			var failed *origin.Error
			if errors.As(err, &failed) && failed.Kind == origin.Transient && failed.Status == 0 {
				dead.CompareAndSwap(nil, &err)
			}
			return nil
		})
	}
	g.Wait() // nothing fails as a whole
}
