package fetch

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"dlfs/fetch/hosts"
)

// asks counts what machines ask one of them.
type asks struct {
	bytes   atomic.Int64 // GET requests for bytes that the machine may have to fetch
	refused atomic.Int64 // those that it refused because it was busy
}

// countTo counts the requests that h answers.
func (a *asks) countTo(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.Header.Get("Cache-Control") == "" {
			a.bytes.Add(1)
		}
		h.ServeHTTP(&refusals{w, a}, r)
	})
}

type refusals struct {
	http.ResponseWriter
	asks *asks
}

func (w *refusals) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *refusals) WriteHeader(code int) {
	if code == http.StatusServiceUnavailable {
		w.asks.refused.Add(1)
	}
	w.ResponseWriter.WriteHeader(code)
}

// Machines that begin together with many small files cost the origin a request for each file,
// and another machine about one for each file that it owns: an owner that has no place at the
// origin for the moment has the others wait.
func TestSmallFileIsOneRequestToOriginAndToOwner(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const machines, files = 3, 90
		c := newCircle(t, machines)
		for i := range files {
			x.add(fmt.Sprintf("small%d", i), bs)
		}
		counted := new(asks)
		var all []*fixture
		for i := range machines {
			all = append(all, c.joinAs(x, i, Options{MaxPerHost: machines}, counted.countTo))
		}
		done := make(chan error)
		for _, y := range all {
			go func() { done <- y.Run(t.Context()) }() // awaited below
		}
		for range all {
			check(t, <-done)
		}
		for _, y := range all {
			y.materialized(x.names()...)
		}
		const fromOwners, spare = files * (machines - 1), files / 5
		if n := x.Counts().Requests; n > files+spare {
			t.Errorf("the origin was asked %d times for %d files", n, files)
		}
		if n := counted.bytes.Load(); n < fromOwners || n > fromOwners+spare {
			t.Errorf("machines were asked %d times for %d files; %d were refused", n, fromOwners, counted.refused.Load())
		}
	})
}

// An owner whose places at the origin stay taken says that it is busy, and the file is asked for
// again soon.
func TestSmallFileOfBusyOwnerComesWhenThatHasAPlace(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		c := newCircle(t, 2)
		name := c.owned(0)
		x.add(name, 2*bs)
		counted := new(asks)
		y := c.joinAs(x, 0, Options{Serve: true, Prefetch: PrefetchNone, MaxPerHost: 2}, counted.countTo)
		host := y.hosts.Host("origin")
		if !host.Try(hosts.Bulk) || host.Try(hosts.Bulk) {
			t.Fatal("the owner has not one place")
		}
		z := c.join(x, 1, Options{})
		done := make(chan error, 1)
		go func() { done <- z.Run(t.Context()) }() // awaited below
		advance(2 * firstBlockFor)
		if counted.refused.Load() == 0 || x.Counts().Requests != 0 {
			t.Errorf("%d requests were refused, and the origin was asked %d times, without a place", counted.refused.Load(), x.Counts().Requests)
		}
		host.Put(hosts.Bulk)
		check(t, <-done)
		z.materialized(name)
		x.wantGets(name, 1)
	})
}
