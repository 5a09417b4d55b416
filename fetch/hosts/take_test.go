package hosts

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestTakeWaitsForAPlace(t *testing.T) {
	for how, give := range map[string]func(*Host){
		"that is given back":      func(h *Host) { h.Put(Bulk) },
		"whose flight rests":      func(h *Host) { h.Rest(false) },
		"beside one of readahead": func(h *Host) { h.Put(Ahead); h.Put(Bulk) },
	} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := New(1).Host("a")
				if !h.Try(Bulk) || !h.Try(Ahead) {
					t.Fatal("a new host has no places")
				}
				const waiters = 2
				took := make(chan error, waiters)
				ctx, cancel := context.WithCancel(t.Context())
				for range waiters {
					go func() { took <- h.Take(ctx, Bulk) }() // awaited below
				}
				synctest.Wait()
				if len(took) > 0 {
					t.Fatalf("a place was taken that is not free: %v", <-took)
				}
				give(h)
				if err := <-took; err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if len(took) > 0 {
					t.Fatalf("one place was taken twice: %v", <-took)
				}
				cancel()
				if err := <-took; err != context.Canceled {
					t.Errorf("the end of the context gives %v", err)
				}
			})
		})
	}
}
