package main

import (
	"sync/atomic"
	"time"
)

// memoCost is how many times as long as it took to compute a value a memo keeps it at
// least, so that computing takes at most a hundredth of a processor.
const memoCost = 100

// memo keeps the last value that was costly to compute and need not be new. It is safe for
// concurrent use; two that ask at once may both compute.
type memo[K comparable, V any] struct{ kept atomic.Pointer[kept[K, V]] }

// kept is a value that was computed, with its key and its time.
type kept[K comparable, V any] struct {
	key   K
	value V
}

// get returns what compute last returned for the key if that is not older than age, or
// older than memoCost times as long as computing it took. An error is not kept.
func (m *memo[K, V]) get(key K, age time.Duration, compute func() (V, error)) (V, error) {
	if k := m.kept.Load(); k != nil && k.key == key {
		return k.value, nil
	}
	began := time.Now()
	value, err := compute()
	if err != nil {
		return value, err
	}
	k := &kept[K, V]{key, value}
	m.kept.Store(k)
	time.AfterFunc(max(age, memoCost*time.Since(began)), func() { m.kept.CompareAndSwap(k, nil) })
	return value, nil
}
