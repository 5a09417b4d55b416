package cache

import (
	"fmt"
	"math/bits"

	"dlfs/cache/lockorder"
)

// checkLocked panics where the state of a blob contradicts itself. It costs a look at every
// bit, and does nothing unless the program is built with the tag lockcheck.
//
// INVARIANT: present is the length of the blocks whose bits are on; blocks that wait to be
// made durable are among them, and hold a reference.
func (b *Blob) checkLocked() {
	if !lockorder.Checked || b.bits == nil {
		return
	}
	var blocks int64
	for i := range b.bits {
		blocks += int64(bits.OnesCount64(b.bits[i].Load()))
	}
	present := blocks * BlockSize
	if last := b.geo.blocks() - 1; last >= 0 && b.bits.has(last) {
		_, n := b.geo.extent(last, last+1)
		present += n - BlockSize
	}
	if got := b.present.Load(); got != present {
		panic(fmt.Sprintf("blob of %q: present is %d bytes, and the bits say %d", b.name, got, present))
	}
	for chunk, w := range b.mu.unsynced {
		w.eachBit(chunk, func(i int64) {
			if !b.bits.has(i) {
				panic(fmt.Sprintf("blob of %q: block %d waits to be made durable and is not present", b.name, i))
			}
		})
	}
	if b.mu.unsynced != nil && b.mu.refs < 1 {
		panic(fmt.Sprintf("blob of %q: blocks wait to be made durable and %d references are held", b.name, b.mu.refs))
	}
}
