package fetch

import (
	"testing"

	"dlfs/fetch/origintest"
)

// Bytes whose digest the list gives otherwise are kept until others come. If these cannot
// be had and the list was wrong, the bytes are used.
func TestRefutedBytesAreKeptUntilOthersCome(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const size = 1 << 20
		x.add("a", size)
		x.sum("a", []byte("a typo in the list"))
		expired := origintest.Status(403).On("/a").After(1)
		x.Inject(expired)
		for range 2 {
			x.start()
			check(t, x.Run(t.Context()))
			x.wantState("a", "needs-url", "the bytes with the wrong digest are kept")
			x.stop()
		}
		wantHit(t, expired)
		x.wantBodyBytes(size, size+1000)
		x.sum("a", x.firstBytes("a", size))
		x.start()
		check(t, x.Run(t.Context()))
		x.wantState("a", "complete", "")
		x.materialized("a")
		x.wantBodyBytes(size, size+1000)
	})
}
