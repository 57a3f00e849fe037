package worker

import (
	"testing"
)

// A start can come for a lane that was just taken away: nothing more is asked for there.
func TestLaneTakenAway(t *testing.T) {
	l := &localExecutor{slots: 4, pullers: map[string]*puller{}}
	p := &puller{executor: l, laneName: "any_quick"}
	if n := l.pullCount(p); n != 0 {
		t.Errorf("%d are asked for", n)
	}
	l.pullers[p.laneName] = p
	if n := l.pullCount(p); n != 4 {
		t.Errorf("%d are asked for with the lane there", n)
	}
}
