package fetch

import (
	"time"

	"dlfs/fetch/hosts"
	"dlfs/fetch/origin"
)

const (
	// longJob is how long a job takes before it counts against the share of its
	// host. Shorter ones make room soon.
	longJob = time.Second

	// scanAtOnce is how many files a look for the next one passes over; maxPassed is
	// how many are remembered as passed over for the sake of fairness alone.
	scanAtOnce = 10_000
	maxPassed  = 10_000

	// restingJobs is how many times Jobs files of a host may be worked on in all
	// while most of them wait before another attempt. Half as many may wait for other machines.
	restingJobs = 4

	// firstJobs is how many files of a host are begun before it has sent anything,
	// if other hosts have files.
	firstJobs = 2
)

// job is a file prefetch works on, and the host that is asked first for it.
type job struct {
	file *File
	host *hosts.Host
	born time.Time
}

// queue hands out the files of a list in order, but passes over those whose
// host has enough to do: a dead host delays its own files alone. It belongs to
// the prefetcher's goroutine.
type queue struct {
	files   []*File
	next    int                    // files before it have been handed out or passed over
	passed  map[*hosts.Host][]*job // passed over, in order
	order   []*hosts.Host          // those of passed, in the order in which they were
	waiting int                    // files in passed
}

// newQueue returns a queue of the files, in their order.
func newQueue(files []*File) *queue {
	return &queue{files: files, passed: map[*hosts.Host][]*job{}}
}

// empty reports whether every file has been handed out.
func (q *queue) empty() bool { return q.next == len(q.files) && len(q.order) == 0 }

// take returns the next file whose host is ready, nil if none is found now. It
// passes over files until most are waiting.
func (q *queue) take(hs *hosts.Hosts, most int, ready func(*hosts.Host) bool) *job {
	for i, h := range q.order {
		if !ready(h) {
			continue
		}
		j := q.passed[h][0]
		q.waiting--
		if q.passed[h] = q.passed[h][1:]; len(q.passed[h]) == 0 {
			delete(q.passed, h)
			q.order = append(q.order[:i:i], q.order[i+1:]...)
		}
		return j
	}
	for range scanAtOnce {
		if q.next == len(q.files) || q.waiting >= most {
			return nil
		}
		f := q.files[q.next]
		q.next++
		j := &job{file: f, host: hs.Host(origin.Host(f.Entry().URL))}
		if ready(j.host) {
			return j
		}
		if q.passed[j.host] == nil {
			q.order = append(q.order, j.host)
		}
		q.passed[j.host] = append(q.passed[j.host], j)
		q.waiting++
	}
	return nil
}

// load is what the jobs of one host amount to.
type load struct {
	jobs, long int
	waiting    int // jobs that wait for other machines
}

// loads counts the jobs under way, by host. Its methods decide which host may have
// one more.
type loads struct {
	most  int // Options.Jobs
	hosts map[*hosts.Host]*load
	queue *queue
	now   time.Time
}

// newLoads counts what the active jobs use of each host, for at most most jobs in all.
func newLoads(most int, active []*job, q *queue) *loads {
	l := &loads{most: most, hosts: map[*hosts.Host]*load{}, queue: q, now: time.Now()}
	for _, j := range active {
		l.add(j)
	}
	return l
}

// add counts one more job.
func (l *loads) add(j *job) {
	of := l.hosts[j.host]
	if of == nil {
		of = &load{}
		l.hosts[j.host] = of
	}
	of.jobs++
	if j.file.set.peering.holdUp(j.file) {
		of.waiting++
	}
	if l.now.Sub(j.born) >= longJob {
		of.long++
	}
}

// share is how many long jobs a host may have while others have files too.
func (l *loads) share() int {
	n := len(l.hosts)
	for _, h := range l.queue.order {
		if n >= l.most {
			break
		}
		if l.hosts[h] == nil {
			n++
		}
	}
	return max(1, l.most/max(1, n))
}

// live is how many jobs count: none of a host that is stuck, none that rests, and of
// the long ones of a host no more than its share.
func (l *loads) live() (n int) {
	share := l.share()
	for h, of := range l.hosts {
		if !h.Stuck() {
			n += max(0, of.jobs-max(0, of.long-share)-h.Rests()-of.waiting)
		}
	}
	return n
}

// fair reports whether a host may have one more job while other hosts have files.
func (l *loads) fair(h *hosts.Host) bool {
	of := l.hosts[h]
	switch {
	case of == nil:
		return true
	case !h.Answers() || h.Stuck():
		return of.jobs < firstJobs
	}
	return of.long < l.share() && l.mayTake(h)
}

// mayTake reports whether a host may have one more job.
func (l *loads) mayTake(h *hosts.Host) bool {
	of := l.hosts[h]
	return of == nil || of.jobs < l.most+min(h.Rests(), (restingJobs-1)*l.most)+min(of.waiting, l.most)
}
