package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// lookEvery is how often a source is looked at while a browser watches, and idleEvery
	// while none does.
	lookEvery = time.Second
	idleEvery = 10 * time.Second

	// rateOver is over which time a rate is taken, and etaOver the one that an estimate
	// rests on.
	rateOver = 5 * time.Second
	etaOver  = 30 * time.Second

	// remembered is how many rates a browser is told that begins to watch.
	remembered = 600

	// etaMost is from when on an estimate tells nothing.
	etaMost = 10 * 365 * 24 * time.Hour
)

// watcher looks at a source again and again, also while no browser watches.
type watcher struct {
	source Source
	pulse  *pulse
	now    chan struct{} // look at once

	mu       sync.Mutex // guards what follows
	watched  int        // streams
	latest   Look
	looks    int        // how many there were
	past     []Point    // the last rates, oldest first
	received []measured // within etaOver, oldest first
	pid      int        // of the process that received it
}

// Look is what is known of a source after a look at it.
type Look struct {
	At      time.Time       `json:"at"`
	Summary json.RawMessage `json:"summary"`          // null while there was none
	Error   string          `json:"error"`            // why there is no newer one; "" if it is of now
	Rate    float64         `json:"bytes_per_second"` // from origins, over the last seconds
	ETA     float64         `json:"eta_seconds"`      // 0 if it cannot be told
}

// Point is one rate of the past.
type Point struct {
	At   int64   `json:"at"` // milliseconds since 1970
	Rate float64 `json:"bytes_per_second"`
}

// measured is how much had been received at a time.
type measured struct {
	at    time.Time
	bytes int64
}

// figures are those of a summary that rates and estimates are made of.
type figures struct {
	PID     int   `json:"pid"`
	Origin  int64 `json:"origin_bytes"`
	Total   int64 `json:"total_bytes"`
	Present int64 `json:"present_bytes"`
	Paused  bool  `json:"paused"`
}

// newWatcher returns a watcher that has asked nothing yet. The caller runs it.
func newWatcher(source Source, p *pulse) *watcher {
	return &watcher{source: source, pulse: p, now: make(chan struct{}, 1)}
}

// run looks until ctx ends.
func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.look(ctx)
		t := time.NewTimer(w.pause())
		select {
		case <-t.C:
		case <-w.now:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// pause is how long to wait until the next look: longer while no browser watches.
func (w *watcher) pause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watched > 0 {
		return lookEvery
	}
	return idleEvery
}

// lookNow has the next look be soon.
func (w *watcher) lookNow() {
	select {
	case w.now <- struct{}{}:
	default:
	}
}

// look asks the source, and tells who watches.
func (w *watcher) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	status, body, err := w.source.Ask(ctx, http.MethodGet, "/summary")
	var f figures
	if err == nil && status != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(body)))
	}
	if err == nil {
		err = json.Unmarshal(body, &f)
	}
	w.note(body, f, err)
	w.pulse.beat()
}

// note remembers what a look has shown.
func (w *watcher) note(summary []byte, f figures, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.latest.At = now
	if err != nil {
		w.latest.Error, w.latest.Rate, w.latest.ETA, w.received = err.Error(), 0, 0, nil
	} else {
		w.latest.Summary, w.latest.Error = summary, ""
		w.measureLocked(now, f)
	}
	w.looks++
	w.past = append(w.past, Point{now.UnixMilli(), w.latest.Rate})
	if n := len(w.past) - remembered; n > 0 {
		w.past = w.past[n:]
	}
}

// measureLocked takes the rate and the estimate from what was received.
func (w *watcher) measureLocked(now time.Time, f figures) {
	if f.PID != w.pid || len(w.received) > 0 && f.Origin < w.received[len(w.received)-1].bytes {
		w.received, w.pid = nil, f.PID // another process, which counts from 0
	}
	w.received = append(w.received, measured{now, f.Origin})
	for len(w.received) > 2 && now.Sub(w.received[1].at) >= etaOver {
		w.received = w.received[1:]
	}
	w.latest.Rate, w.latest.ETA = w.rateLocked(rateOver), 0
	if left, rate := f.Total-f.Present, w.rateLocked(etaOver); left > 0 && rate > 0 && !f.Paused {
		if eta := float64(left) / rate; eta < etaMost.Seconds() {
			w.latest.ETA = eta
		}
	}
}

// rateLocked is the mean rate over the last while.
func (w *watcher) rateLocked(over time.Duration) float64 {
	last := w.received[len(w.received)-1]
	first := last
	for i := len(w.received) - 1; i >= 0; i-- {
		first = w.received[i]
		if last.at.Sub(first.at) >= over {
			break
		}
	}
	if dt := last.at.Sub(first.at).Seconds(); dt > 0 {
		return float64(last.bytes-first.bytes) / dt
	}
	return 0
}

// watch counts one more stream, until the returned function is called.
func (w *watcher) watch() (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watched++; w.watched == 1 {
		w.lookNow()
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.watched--
	}
}

// last returns the last look, and how many there were.
func (w *watcher) last() (Look, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest, w.looks
}

// before returns the rates of the past.
func (w *watcher) before() []Point {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Point{}, w.past...)
}
