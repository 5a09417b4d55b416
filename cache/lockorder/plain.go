//go:build !lockcheck

package lockorder

import "sync"

// Checked is whether the order is asserted.
const Checked = false

// Mutex is a sync.Mutex of a rank.
type Mutex[R Rank] = sync.Mutex

// RWMutex is a sync.RWMutex of a rank.
type RWMutex[R Rank] = sync.RWMutex
