//go:build lockcheck

package lockorder

import (
	"strings"
	"testing"
)

// said returns what f panicked with, "" if it did not.
func said(f func()) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = r.(string)
		}
	}()
	f()
	return ""
}

func TestViolationsPanicAndNameBothPlaces(t *testing.T) {
	var (
		file, other Mutex[File]
		store       Mutex[Store]
		writes      RWMutex[Writes]
		leaf        Mutex[Leaf]
	)
	for what, violate := range map[string]func(){
		"File": func() {
			store.Lock()
			defer store.Unlock()
			file.Lock()
		},
		"lockorder.File is held": func() { // two of a kind
			file.Lock()
			defer file.Unlock()
			other.Lock()
		},
		"Leaf": func() {
			leaf.Lock()
			defer leaf.Unlock()
			store.Lock()
		},
		"Writes": func() { // twice by one goroutine: a deadlock, if another goroutine waited for it alone
			writes.RLock()
			defer writes.RUnlock()
			writes.RLock()
		},
		"does not hold it": func() {
			file.Lock()
			defer file.Unlock()
			text := make(chan string)
			go func() { text <- said(file.Unlock) }() // awaited here
			panic(<-text)
		},
	} {
		text := said(violate)
		if !strings.Contains(text, what) {
			t.Errorf("%s: %q", what, text)
		}
		if places := strings.Count(text, "checked_test.go:"); what != "does not hold it" && places != 2 {
			t.Errorf("%s: %d places in %q", what, places, text)
		}
	}
	holds.Range(func(id, held any) bool {
		t.Errorf("goroutine %v still holds %v", id, held)
		return true
	})
}
