package main

import (
	"sync"
	"time"

	"dlfs/cache/lockorder"
)

// speedometer knows how fast bytes have come in the last while. It looks once a second,
// so that the first question gets a rate, too.
type speedometer struct {
	received func() int64
	stop     chan struct{}
	stopped  sync.WaitGroup

	mu    lockorder.Mutex[lockorder.Leaf]
	meter meter // guarded by mu
}

// startSpeedometer returns a speedometer of a counter of bytes. The caller calls close.
func startSpeedometer(received func() int64) *speedometer {
	s := &speedometer{received: received, stop: make(chan struct{})}
	s.rate()
	s.stopped.Go(func() { // owned by the speedometer; close waits
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				s.rate()
			case <-s.stop:
				return
			}
		}
	})
	return s
}

// rate returns how fast bytes have come of late, in bytes a second. It may be called
// concurrently.
func (s *speedometer) rate() float64 {
	n := s.received()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meter.rate(time.Now(), n)
}

// close ends the speedometer and waits for its goroutine. It is called once.
func (s *speedometer) close() {
	close(s.stop)
	s.stopped.Wait()
}
