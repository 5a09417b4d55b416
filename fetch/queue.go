package fetch

import (
	"time"

	"dlfs/fetch/origin"
)

// stuckAfter is how long a host may send nothing before files of other hosts
// are taken on beside its own.
const stuckAfter = 5 * time.Second

// scanAtOnce is how many files a look for the next one passes over.
const scanAtOnce = 10_000

// job is a file prefetch works on, and the host that is asked first for it.
type job struct {
	file *File
	host *host
}

// queue hands out the files of a list in order, but passes over those whose
// host has enough to do: a dead host holds nobody up but itself. It belongs to
// the prefetcher's goroutine.
type queue struct {
	files  []*File
	next   int              // files before it have been handed out or passed over
	passed map[*host][]*job // passed over, in order
	order  []*host          // those of passed, in the order in which they were
}

func newQueue(files []*File) *queue {
	return &queue{files: files, passed: map[*host][]*job{}}
}

// empty reports whether every file has been handed out.
func (q *queue) empty() bool { return q.next == len(q.files) && len(q.order) == 0 }

// take returns the next file whose host is ready, nil if none is found now.
func (q *queue) take(b *budget, ready func(*host) bool) *job {
	for i, h := range q.order {
		if !ready(h) {
			continue
		}
		j := q.passed[h][0]
		if q.passed[h] = q.passed[h][1:]; len(q.passed[h]) == 0 {
			delete(q.passed, h)
			q.order = append(q.order[:i:i], q.order[i+1:]...)
		}
		return j
	}
	for range scanAtOnce {
		if q.next == len(q.files) {
			return nil
		}
		f := q.files[q.next]
		q.next++
		j := &job{f, b.host(origin.Host(f.Entry().URL))}
		if ready(j.host) {
			return j
		}
		if q.passed[j.host] == nil {
			q.order = append(q.order, j.host)
		}
		q.passed[j.host] = append(q.passed[j.host], j)
	}
	return nil
}
