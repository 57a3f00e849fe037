package rabbitbroker

import (
	"math/rand/v2"
	"testing"
)

// Whoever reads a claim's stream from wherever it begins by now comes to the same claim as
// one who has read it all.
func TestHistoryWithoutItsBeginning(t *testing.T) {
	var log []claimEntry
	var all claimHistory
	replaced := uint64(0) // the claim before the one that stands
	for n := range uint64(500) {
		current := all.current.Revision
		previous := current
		switch rand.N(4) {
		case 0: // a question
			log = append(log, claimEntry{ID: "q"})
			all.add(int64(n), log[n])
			continue
		case 1: // somebody who comes too late
			previous = replaced
		}
		log = append(log, claimEntry{ID: "c", Previous: previous, Revision: n + 1})
		all.add(int64(n), log[n])
		if all.current.Revision != current {
			replaced = current
		}
	}
	for from := range log[:400] {
		var h claimHistory
		for n, e := range log[from:] {
			h.add(int64(from+n), e)
		}
		if !h.known || h.current.Revision != all.current.Revision {
			t.Fatalf("from %d on: revision %d, known %v; it is %d", from, h.current.Revision, h.known, all.current.Revision)
		}
	}
}

// An entry that replaces nothing, or what is replaced already, does not count.
func TestHistoryOrder(t *testing.T) {
	var h claimHistory
	for n, e := range []claimEntry{{Revision: 5}, {Revision: 6}, {Previous: 5, Revision: 9}, {Previous: 5, Revision: 7}, {Previous: 9, Revision: 8}, {}} {
		h.add(int64(n), e)
	}
	if h.current.Revision != 9 {
		t.Errorf("the claim is of revision %d", h.current.Revision)
	}
}
