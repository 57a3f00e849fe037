package registry

import (
	"slices"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// TestNewLaneOfAShare: a new lane is added to a share that is served, and not to one that is
// kept for what still runs alone, of which nobody would claim anything.
func TestNewLaneOfAShare(t *testing.T) {
	x := newExecutor(Binding{Name: "x"})
	first := &task.Lane{ID: 1, Type: "a", Suspect: true}
	again := &task.Lane{ID: 2, Type: "a", Suspect: true}
	set := x.newShareSet()
	set.add(first, nil, "")
	x.setShares(set)
	share := x.Shares().Suspects[0]
	if share.Reserve(1) != 1 {
		t.Fatal("a suspect gets no place")
	}
	x.setShares(x.newShareSet()) // its lane is gone, and its attempt runs on
	if x.Shares().addTo(again) {
		t.Fatal("a lane was added to a share that nobody claims from")
	}
	set = x.newShareSet()
	set.add(again, nil, "")
	x.setShares(set)
	if !x.Shares().addTo(&task.Lane{ID: 3, Type: "a", Suspect: true}) || !slices.Equal(share.Lanes(), []task.LaneID{2, 3}) {
		t.Errorf("the share has the lanes %v", share.Lanes())
	}
}
