package fetch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"dlfs/fetch/origin"
	"dlfs/listfile/digest"
)

// Mirrors of one file may disagree. The list decides, if it says a size or a digest.
// Without such a word the majority of the mirrors decides, so at least three are needed.

// askFor bounds how long the other mirrors may take to say what they have. A mirror that
// does not answer in time has no vote.
const askFor = 5 * time.Second

// word is what a mirror says that the file is.
type word struct {
	size int64
	said digest.Digest // zero if the mirror says none
}

// agrees reports whether two mirrors may have the same file. Digests of two algorithms
// cannot be compared.
func (w word) agrees(v word) bool {
	comparable := w.said.Algorithm == v.said.Algorithm && !w.said.IsZero()
	return w.size == v.size && (!comparable || w.said == v.said)
}

// outvoted returns an error if most mirrors have another file than m, which told own. It
// blocks for the network, for askFor at most.
func (c *contact) outvoted(m *mirror, own word) error {
	others := c.voters(m)
	if len(others) == 0 {
		return nil
	}
	// Each word gets the votes of all words that agree with it. Agreement is not transitive where
	// digests are of two algorithms, so every word is counted by itself.
	words := append(ask(c.file.set.ctx, others), own)
	best, most, mine := own, 0, 0
	for _, w := range words {
		votes := 0
		for _, v := range words {
			if v.agrees(w) {
				votes++
			}
		}
		if votes > most {
			best, most = w, votes
		}
		if w.agrees(own) {
			mine++
		}
	}
	if mine == len(words) {
		return nil
	}
	log := c.file.set.log.With("name", c.file.name, "mirror", m.res.URL())
	// Without a majority, or with this mirror in it, its word stands.
	if best.agrees(own) || 2*most <= len(words) {
		log.Warn("mirrors disagree about the file, and the list says neither size nor digest; this mirror is believed", "agree", mine, "of", len(words))
		return nil
	}
	log.Warn("mirrors disagree about the file, and the list says neither size nor digest; the majority is believed, and not this mirror", "agree", most, "of", len(words))
	what := fmt.Sprintf("the origin has %d bytes and %d of %d mirrors have %d", own.size, most, len(words), best.size)
	if own.size == best.size {
		what = fmt.Sprintf("the origin says another digest than %d of %d mirrors", most, len(words))
	}
	return &origin.Error{Kind: origin.Permanent, Err: fmt.Errorf("%s; a size or a digest in the list decides", what)}
}

// voters returns the mirrors that are asked beside m, none if the list decides.
func (c *contact) voters(m *mirror) (others []*mirror) {
	f := c.file
	f.mu.Lock()
	defer f.mu.Unlock()
	e, list := f.mu.entry, f.mirrorsLocked().list
	// Of two mirrors neither is a majority.
	if len(list) < 3 || e.Said().Size >= 0 || !e.Said().Digest.IsZero() {
		return nil
	}
	for _, other := range list {
		if other != m && other.failure == nil {
			others = append(others, other)
		}
	}
	return others
}

// ask returns the words of those mirrors that have one.
func ask(ctx context.Context, mirrors []*mirror) (words []word) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, m := range mirrors {
		asking.Go(func() { // awaited below
			size, said, ok := m.res.Glance(ctx)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				words = append(words, word{size, said})
			}
		})
	}
	asking.Wait()
	return words
}
