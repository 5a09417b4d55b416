package fetch

import (
	"testing"

	"dlfs/fetch/origintest"
)

// The first of three mirrors has another file than the two others, and the list says
// neither size nor digest.
func TestMajorityOfMirrorsDecides(t *testing.T) {
	const size = 1 << 20
	stale := map[string]origintest.Content{
		"size":   {Seed: 99, Size: size / 2},
		"digest": {Seed: 99, Size: size},
	}
	for name, other := range stale {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.add("a", size)
				for _, o := range append(x.mirrors("second", "third"), x.Origin) {
					o.Inject(origintest.Digests("Repr-Digest"))
				}
				x.Put("/a", origintest.File{Content: other, ETag: `"stale"`})
				x.start()
				check(t, x.Run(t.Context()))
				x.materialized("a")
			})
		})
	}
}

// One of three mirrors is wrong, but not the first: the first has the majority.
func TestMirrorOfTheMajorityIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 64<<10)
		others := x.mirrors("second", "third")
		others[0].Put("/a", origintest.File{Content: origintest.Content{Seed: 99, Size: 32 << 10}})
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized("a")
		if sent := x.Counts().BodyBytes; sent != 64<<10 {
			t.Errorf("the first mirror sent %d bytes", sent)
		}
	})
}

// A mirror that refuses has no vote, and one voice against one is no majority.
func TestRefusalIsNoVote(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 64<<10)
		others := x.mirrors("second", "third")
		others[0].Put("/a", origintest.File{Content: origintest.Content{Seed: 99, Size: 32 << 10}})
		others[1].Inject(origintest.Status(404))
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized("a")
	})
}

// Where the list says a size, the mirrors are not asked what they have.
func TestListIsBelievedBeforeMirrors(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 64<<10)
		others := x.mirrors("second", "third")
		x.entries[0].Details.Size = 64 << 10
		for _, o := range others {
			o.Put("/a", origintest.File{Content: origintest.Content{Seed: 99, Size: 32 << 10}})
		}
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized("a")
		for _, o := range others {
			if n := o.Counts().Requests; n != 0 {
				t.Errorf("another mirror was asked %d times", n)
			}
		}
	})
}
