package fetch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// TestObjectThatIsAlwaysRefusedFailsAlone: an object of a host that answers 503 for
// good neither slows its host down nor pauses it for long.
func TestObjectThatIsAlwaysRefusedFailsAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		bad    int
		header []string
		within time.Duration
	}{
		"one":                   {1, nil, 20 * time.Second},
		"one with Retry-After":  {1, []string{"Retry-After", "60"}, 20 * time.Second},
		"many":                  {20, nil, 45 * time.Second},
		"many with Retry-After": {20, []string{"Retry-After", "60"}, 60 * time.Second},
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			const good = 400
			for i := range good {
				if i < 20*tt.bad && i%20 == 0 {
					x.add(fmt.Sprintf("bad%d", i/20), 1000)
				}
				x.add(fmt.Sprintf("good%d", i), 1000)
			}
			bad := origintest.Status(503, tt.header...).On("bad*")
			x.Inject(bad, origintest.FirstByteAfter(100*time.Millisecond))
			x.start()
			done := make(chan error, 1)
			start := time.Now()
			go func() { done <- x.Run(t.Context()) }() // awaited below
			for x.Totals().FilesComplete < good && time.Since(start) < 10*time.Minute {
				advance(time.Second)
			}
			if took := time.Since(start); took > tt.within {
				t.Errorf("%s: the good files took %v", name, took)
			}
			check(t, <-done)
			for _, f := range x.Failures() {
				if !strings.HasPrefix(f.Name, "bad") || !strings.Contains(f.Error, "503") {
					t.Errorf("%s: %+v failed", name, f)
				}
			}
			if n := x.Totals().FilesFailed; n != tt.bad {
				t.Errorf("%s: %d files failed", name, n)
			}
			wantHit(t, bad)
		})
	}
}

// TestMuteAndSlowHostsHoldTheirShare: files of a good host go on at full speed beside
// those of hosts that send nothing, and with their share of the jobs beside slow ones.
func TestMuteAndSlowHostsHoldTheirShare(t *testing.T) {
	for name, tt := range map[string]struct {
		hosts  int
		fault  func() *origintest.Fault
		within time.Duration
	}{
		"ten mute hosts": {10, func() *origintest.Fault { return origintest.StallAfter(-1) }, 8 * time.Second},
		"one slow host":  {1, func() *origintest.Fault { return origintest.Throttle(20 << 10) }, 8 * time.Second},
		"ten slow hosts": {10, func() *origintest.Fault { return origintest.Throttle(20 << 10) }, 40 * time.Second},
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			const each, good = 20, 160
			var hosts []string
			for i := range tt.hosts {
				hosts = append(hosts, fmt.Sprintf("bad%d", i))
			}
			for i := range tt.hosts * each {
				x.add(fmt.Sprintf("bad%d", i), 4<<20)
			}
			for i := range good {
				x.add(fmt.Sprintf("good%d", i), 1000)
			}
			mirrors := x.mirrors(append(hosts, "good")...)
			for i := range x.entries {
				e := &x.entries[i]
				host := "good"
				if e.Details = nil; i < tt.hosts*each {
					host = hosts[i/each]
				}
				e.URL = "http://" + host + "/" + e.Name
			}
			for _, m := range mirrors[:tt.hosts] {
				m.Inject(tt.fault())
			}
			mirrors[tt.hosts].Inject(origintest.FirstByteAfter(100 * time.Millisecond))
			x.opts.Serve, x.opts.Jobs, x.opts.MaxPerHost = true, 16, 16
			x.start()
			defer x.background()()
			start := time.Now()
			for x.Totals().FilesComplete < good && time.Since(start) < 5*time.Minute {
				advance(100 * time.Millisecond)
			}
			if took := time.Since(start); took > tt.within {
				t.Errorf("%s: the files of the good host took %v", name, took)
			}
		})
	}
}

// TestFilesStayInOrderWhileHostsAreQuick: fairness between hosts is for jobs that
// take long; files that do not come in the order of the list.
func TestFilesStayInOrderWhileHostsAreQuick(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i := range 60 {
			x.add(fmt.Sprintf("f%02d", i), 1000)
		}
		mirrors := x.mirrors("one", "two")
		for i := range x.entries {
			x.entries[i].Details = nil
			x.entries[i].URL = fmt.Sprintf("http://%s/%s", []string{"one", "two"}[i/30], x.entries[i].Name)
		}
		for _, m := range mirrors {
			m.Inject(origintest.FirstByteAfter(100 * time.Millisecond))
		}
		x.start()
		done := make(chan error, 1)
		go func() { done <- x.Run(t.Context()) }() // awaited below
		have := func(from, to int) (n int) {
			for i := from; i < to; i++ {
				if b := x.File(fmt.Sprintf("f%02d", i)).Blob(); b != nil && b.Complete() {
					n++
				}
			}
			return n
		}
		for have(0, 30) < 20 {
			advance(50 * time.Millisecond)
		}
		if early := have(30, 60); early > 2*firstJobs {
			t.Errorf("%d files of the second host came before 20 of the first", early)
		}
		check(t, <-done)
	})
}

func TestDeadHostHoldsNobodyUp(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i := range 40 {
			x.add(fmt.Sprintf("dead%d", i), 1<<20)
		}
		for i := range 10 {
			x.add(fmt.Sprintf("live%d", i), 1<<20)
		}
		live := x.mirrors("live")[0]
		for i := range x.entries {
			x.entries[i].Details = nil
			if i >= 40 {
				x.entries[i].URL = "http://live/" + x.entries[i].Name
			}
		}
		stall := origintest.StallAfter(-1)
		x.Inject(stall)
		x.opts.Serve = true
		x.start()
		defer x.background()()
		for x.Totals().FilesComplete < 10 {
			advance(time.Second)
		}
		for i := range 10 {
			x.wantState(fmt.Sprintf("live%d", i), "complete", "")
		}
		wantHit(t, stall)
		if live.Counts().BodyBytes != 10<<20 {
			t.Errorf("the live host sent %d bytes", live.Counts().BodyBytes)
		}
	})
}
