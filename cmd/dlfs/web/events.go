package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// pulse tells all streams that a source was looked at.
type pulse struct {
	mu   sync.Mutex
	next chan struct{} // closed at the next beat; guarded by mu
}

// newPulse returns a pulse that nothing waits for yet.
func newPulse() *pulse { return &pulse{next: make(chan struct{})} }

// beat wakes all who wait for the next beat.
func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.next)
	p.next = make(chan struct{})
}

// wait returns what is closed at the next beat.
func (p *pulse) wait() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

// greeting is the first event of a source.
type greeting struct {
	Name string  `json:"name"`
	Past []Point `json:"past"`
}

// events is a stream of server-sent events (HTML Living Standard, section 9.2): for each
// source an event "source", and then an event "look" each time it was looked at. The data
// of each are the number of the source and a greeting or a Look. A browser that takes them
// slowly gets the newest. The stream ends when the browser leaves or the server ends.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		http.Error(w, "too many browsers watch already", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // or nginx holds them back
	e := &eventWriter{w: w, c: http.NewResponseController(w)}
	for i, watcher := range s.watchers {
		defer watcher.watch()()
		e.send("source", i, greeting{watcher.source.Name, watcher.before()})
	}
	sent := make([]int, len(s.watchers))
	for e.err == nil {
		next := s.pulse.wait()
		for i, watcher := range s.watchers {
			if look, nr := watcher.last(); nr > sent[i] {
				e.send("look", i, look)
				sent[i] = nr
			}
		}
		e.flush()
		select {
		case <-next:
		case <-r.Context().Done():
			return
		}
	}
}

// eventWriter writes events, until one cannot be written.
type eventWriter struct {
	w   http.ResponseWriter
	c   *http.ResponseController
	err error
}

// send writes an event, unless an earlier one could not be written. A browser that does not
// take it within answerWithin has left.
func (e *eventWriter) send(event string, source int, data any) {
	if e.err != nil {
		return
	}
	text, err := json.Marshal([]any{source, data}) // JSON of Marshal has no line feed
	if err != nil {
		e.err = err
		return
	}
	e.c.SetWriteDeadline(time.Now().Add(answerWithin)) // what cannot have one is a test
	_, e.err = fmt.Fprintf(e.w, "event: %s\ndata: %s\n\n", event, text)
}

// flush sends what is buffered, unless an earlier write has failed.
func (e *eventWriter) flush() {
	if e.err == nil {
		e.err = e.c.Flush()
	}
}
