package registry

import (
	"math"
	"slices"
	"sync/atomic"

	"github.com/taskhost/taskhost/host/task"
)

// Share is what some waiting tasks may have of an executor together: how many of them may
// be in flight. Tasks of one type and route whose workers are busy must not take all the
// slots of a fleet, and of suspects one at a time may run.
type Share struct {
	key   shareKey
	route task.Route
	// minVersion is the oldest version that may run its tasks.
	minVersion atomic.Pointer[string]
	limit      atomic.Int64
	used       atomic.Int64
	lanes      atomic.Pointer[[]task.LaneID]
	// retained says that it is kept for the attempts that count against it alone: nothing is
	// claimed for it. Guarded by Registry.mu.
	retained bool
}

// shareKey is zero for the share of all tasks of an executor without nodes.
type shareKey struct {
	taskType string
	owner    string // where what is asked for may be one owner's
	route    string
	suspect  bool
}

// ShareSet are the shares of one executor. It does not change once it is in force, but
// for the shares' counters.
type ShareSet struct {
	executor *Executor
	byKey    map[shareKey]*Share
	Plain    []*Share // of tasks that are no suspects
	Suspects []*Share
	lanes    map[*Share][]task.LaneID // while it is built
}

// newShareSet begins a set that takes over the counters of the one in force. To executors
// without nodes it gives one share for all tasks that are no suspects.
func (x *Executor) newShareSet() *ShareSet {
	s := &ShareSet{executor: x, byKey: map[shareKey]*Share{}, lanes: map[*Share][]task.LaneID{}}
	if !x.hasNodes() && !x.OnDemand {
		s.share(shareKey{}, nil, "")
	}
	return s
}

// hasNodes says that attempts are handed on to nodes, whose slots bound what is in flight.
func (x *Executor) hasNodes() bool {
	info := &x.offer.Load().Info
	return info.Deferred && len(info.Nodes) > 0
}

// add gives a lane to the share that it belongs to.
func (s *ShareSet) add(l *task.Lane, route task.Route, minVersion string) {
	n := s.share(s.keyOf(l.Type, l.Owner, l.Route, l.Suspect), route, minVersion)
	s.lanes[n] = append(s.lanes[n], l.ID)
}

// addTo gives a new lane to the share that it belongs to; false if the set, which is in
// force, has none. It is for one caller at a time.
func (s *ShareSet) addTo(l *task.Lane) bool {
	n := s.byKey[s.keyOf(l.Type, l.Owner, l.Route, l.Suspect)]
	if n == nil || n.retained {
		return false
	}
	lanes := append(n.Lanes(), l.ID) // readers have what was before, which does not change
	n.lanes.Store(&lanes)
	return true
}

func (s *ShareSet) keyOf(taskType, owner, route string, suspect bool) shareKey {
	switch {
	case s.executor.OnDemand:
		return shareKey{taskType, owner, route, suspect}
	case s.executor.hasNodes():
		return shareKey{taskType: taskType, route: route, suspect: suspect}
	case suspect:
		return shareKey{taskType: taskType, suspect: true}
	}
	return shareKey{}
}

// share finds or makes the share of that key, with the limit that holds now.
func (s *ShareSet) share(key shareKey, route map[string]string, minVersion string) *Share {
	if n := s.byKey[key]; n != nil {
		return n
	}
	var n *Share
	if before := s.executor.shares.Load(); before != nil {
		n = before.byKey[key]
	}
	if n == nil {
		n = &Share{key: key, route: route}
	}
	n.minVersion.Store(&minVersion)
	n.limit.Store(s.executor.shareLimit(key, route, minVersion))
	n.retained = false
	s.byKey[key] = n
	if key.suspect {
		s.Suspects = append(s.Suspects, n)
	} else {
		s.Plain = append(s.Plain, n)
	}
	return n
}

// shareLimit is how many attempts of a share may be in flight. With nodes it is what the
// nodes that take them can run, and a quarter more, at hand when one is free; of suspects
// one for each of those nodes, which see that none runs two at once. Without nodes only
// the executor's slots bound it, and one suspect of each type runs at a time. On demand it
// is whoever asks that bounds both.
func (x *Executor) shareLimit(key shareKey, route map[string]string, minVersion string) int64 {
	if x.OnDemand {
		return math.MaxInt64
	}
	if !x.hasNodes() {
		if key.suspect {
			return 1
		}
		return math.MaxInt64
	}
	var nodes, capacity int64
	for _, n := range x.offer.Load().Info.Nodes {
		if !nodeRuns(&n, key.taskType, route, minVersion) {
			continue
		}
		nodes++
		if n.Slots <= 0 { // it does not say
			capacity = math.MaxInt32
		}
		capacity += int64(n.SlotsFor(key.taskType))
	}
	if key.suspect {
		return nodes
	}
	return capacity + capacity/4 + 1
}

// setShares puts a set in force. Shares whose attempts are still in flight keep their
// counters, also if they have no lane now.
func (x *Executor) setShares(s *ShareSet) {
	if before := x.shares.Load(); before != nil {
		for key, n := range before.byKey {
			if s.byKey[key] == nil && n.used.Load() > 0 {
				s.byKey[key] = n
				n.limit.Store(0)
				n.retained = true
			}
		}
	}
	for _, n := range s.byKey {
		lanes := s.lanes[n]
		n.lanes.Store(&lanes)
	}
	s.lanes = nil
	x.shares.Store(s)
}

// manyShares is the most of them that a submit looks through.
const manyShares = 64

// ReserveFor takes a place of the task's share and a slot, if both are free and no task
// waits that could use the slot. nil if the task is to wait.
func (x *Executor) ReserveFor(t *task.Task, ready func([]task.LaneID) int64) *Share {
	set := x.shares.Load()
	if x.OnDemand || len(set.Plain) > manyShares {
		return nil
	}
	own := set.byKey[set.keyOf(t.Type, t.Owner, t.Route.Canonical(), false)]
	if own == nil || own.room() <= 0 || x.used.Load() >= x.max.Load() { // before all lanes are looked at
		return nil
	}
	for _, n := range set.Plain {
		if n.room() > 0 && ready(n.Lanes()) > 0 {
			return nil
		}
	}
	if own.Reserve(1) == 0 {
		return nil
	}
	if x.Reserve(1) == 0 {
		own.Release(1)
		return nil
	}
	return own
}

// ShareOf is the share that an attempt at the task counts against, which may be one that
// nothing waits for any more.
func (x *Executor) ShareOf(t *task.Task) *Share {
	set := x.shares.Load()
	if n := set.byKey[set.keyOf(t.Type, t.Owner, t.Route.Canonical(), t.Suspect)]; n != nil {
		return n
	}
	return &Share{}
}

func (s *Share) room() int64 { return s.limit.Load() - s.used.Load() }

// Reserve takes up to n places and says how many it got.
func (s *Share) Reserve(n int64) int64 { return reserveUpTo(&s.used, s.limit.Load(), n) }

// Release gives places back.
func (s *Share) Release(n int64) { s.used.Add(-n) }

// Hold takes a place for an attempt that is there already, whatever the bound.
func (s *Share) Hold() { s.used.Add(1) }

// Of gives what the tasks of an executor's share are that is on demand, and the oldest
// version of their type that may run them.
func (s *Share) Of() (taskType, owner string, route task.Route, minVersion string) {
	return s.key.taskType, s.key.owner, s.route, *s.minVersion.Load()
}

// Suspect says that it is a share of suspects.
func (s *Share) Suspect() bool { return s.key.suspect }

// Lanes are those whose tasks it bounds.
func (s *Share) Lanes() []task.LaneID {
	if l := s.lanes.Load(); l != nil {
		return *l
	}
	return nil
}

// Shares are those of the executor that are in force.
func (x *Executor) Shares() *ShareSet { return x.shares.Load() }

// AnyReady says whether a task waits in a lane of these shares.
func AnyReady(shares []*Share, ready func([]task.LaneID) int64) bool {
	return slices.ContainsFunc(shares, func(n *Share) bool { return ready(n.Lanes()) > 0 })
}
