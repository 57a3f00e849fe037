package engine

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// defaultSlots hold where neither operator nor executor says how many.
const defaultSlots = 64

// executor is a configured executor with its slots and what it may claim.
type executor struct {
	Executor
	offer          atomic.Pointer[offer]
	describeFailed atomic.Pointer[error] // it is ready, and did not say what it offers
	paused         atomic.Bool           // by an operator
	used           atomic.Int64          // slots
	max            atomic.Int64
	shares         atomic.Pointer[shareSet]
	work           chan struct{} // wakes its dispatcher

	saving sync.Mutex
	saved  string // as the store has it; guarded by saving

	suspectsSince time.Time // since when suspects wait behind others; the dispatcher's own
}

func newExecutor(x Executor) *executor {
	n := &executor{Executor: x, work: make(chan struct{}, 1)}
	n.offer.Store(newOffer(sdk.Info{}, false, nil))
	n.setShares(n.newShareSet())
	return n
}

func (x *executor) outlives() bool { return x.offer.Load().Info.Outlives }

func (x *executor) deferred() bool { return x.offer.Load().Info.Deferred }

// wake has the dispatcher look for work. It never blocks.
func (x *executor) wake() {
	select {
	case x.work <- struct{}{}:
	default:
	}
}

// ready says whether attempts can be handed over now.
func (x *executor) ready() bool {
	o := x.offer.Load()
	return o.live && o.Info.Unavailable == "" && !x.paused.Load() && x.status().State == task.ExecutorReady
}

func (x *executor) status() task.ExecutorStatus {
	if x.Status == nil {
		return task.ExecutorStatus{State: task.ExecutorReady}
	}
	return x.Status()
}

// neverDescribed says that nobody knows yet what the executor offers.
func (x *executor) neverDescribed() bool {
	o := x.offer.Load()
	return !o.live && len(o.types) == 0
}

// servingRank orders executors that offer a type: one that runs it, or is about to again,
// goes before one whose nodes are away, and that before one that is only remembered.
func (x *executor) servingRank(taskType string) int {
	o := x.offer.Load()
	switch state := x.status().State; {
	case o.live && o.types[taskType].info.Unavailable:
		return 1
	case o.live, state == task.ExecutorStarting, state == task.ExecutorDegraded, state == task.ExecutorReady:
		return 0
	}
	return 2
}

// runs says whether the executor can run the type now, with workers of these
// labels: only executors that hand attempts on to nodes look at a route.
func (x *executor) runs(taskType string, route map[string]string) bool {
	o := x.offer.Load()
	t, ok := o.types[taskType]
	if !ok || !o.live || t.info.Unavailable {
		return false
	}
	return len(route) == 0 || !o.Info.Deferred || slices.ContainsFunc(o.Info.Nodes, func(n sdk.Node) bool {
		return nodeRuns(&n, taskType, route)
	})
}

// nodeRuns says whether a node takes attempts of the type and route.
func nodeRuns(n *sdk.Node, taskType string, route map[string]string) bool {
	for k, v := range route {
		if n.Labels[k] != v {
			return false
		}
	}
	return !n.Draining && slices.Contains(n.Types, taskType)
}

// reserve takes up to n free slots and says how many it got.
func (x *executor) reserve(n int64) int64 { return reserveUpTo(&x.used, x.max.Load(), n) }

// release gives slots back.
func (x *executor) release(n int64) {
	if n > 0 {
		x.used.Add(-n)
		x.wake()
	}
}

func reserveUpTo(used *atomic.Int64, limit, n int64) int64 {
	for {
		was := used.Load()
		got := min(n, limit-was)
		if got <= 0 {
			return 0
		}
		if used.CompareAndSwap(was, was+got) {
			return got
		}
	}
}

func slots(operator, offered int) int {
	switch {
	case operator > 0 && offered > 0:
		return min(operator, offered)
	case operator > 0:
		return operator
	case offered > 0:
		return offered
	}
	return defaultSlots
}

// describe is the executor as operators see it.
func (x *executor) describe() task.ExecutorStatus {
	s := x.status()
	o := x.offer.Load()
	s.Name, s.Plugin = x.Name, x.Plugin
	s.Used, s.Max = int(x.used.Load()), int(x.max.Load())
	s.Types = o.names()
	if s.State == task.ExecutorReady {
		x.explain(&s, o)
	}
	for _, n := range o.Info.Nodes {
		s.Nodes = append(s.Nodes, task.Node{Name: n.Name, Executor: x.Name, Address: n.Address, Version: n.Version,
			Types: n.Types, Slots: n.Slots, Used: n.Used, Labels: n.Labels, Draining: n.Draining, Running: n.Running, LastSeen: n.LastSeen})
	}
	return s
}

// explain says why an executor whose process is well is not simply ready.
func (x *executor) explain(s *task.ExecutorStatus, o *offer) {
	failed := x.describeFailed.Load()
	switch {
	case x.paused.Load():
		s.State, s.Reason = task.ExecutorPaused, "paused by an operator"
	case failed != nil:
		s.State, s.Reason = task.ExecutorDegraded, "it does not say what it offers, and is asked again; see the last error"
		s.LastError = (*failed).Error()
	case o.Info.Unavailable != "":
		s.State, s.Reason = task.ExecutorDegraded, o.Info.Unavailable
	case len(o.refused) > 0:
		s.State, s.Reason = task.ExecutorDegraded, "some of what it offers is refused; see the last error"
		s.LastError = o.refusal()
	}
}
