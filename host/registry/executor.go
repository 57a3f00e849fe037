package registry

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// defaultSlots hold where neither operator nor executor says how many.
const defaultSlots = 64

// Executor is a configured executor with its slots and what it may claim.
type Executor struct {
	Binding
	offer          atomic.Pointer[offer]
	describeFailed atomic.Pointer[error] // it is ready, and did not say what it offers
	paused         atomic.Bool           // by an operator
	used           atomic.Int64          // slots
	max            atomic.Int64
	shares         atomic.Pointer[ShareSet]
	work           chan struct{} // wakes its dispatcher

	saving sync.Mutex
	saved  string // as the store has it; guarded by saving
}

func newExecutor(b Binding) *Executor {
	n := &Executor{Binding: b, work: make(chan struct{}, 1)}
	n.offer.Store(newOffer(sdk.Info{}, false, nil))
	n.setShares(n.newShareSet())
	return n
}

// Outlives says that its attempts go on when the host ends.
func (x *Executor) Outlives() bool { return x.offer.Load().Info.Outlives }

// Deferred says that it hands attempts on, which begin when it says so.
func (x *Executor) Deferred() bool { return x.offer.Load().Info.Deferred }

// Async is the executor as one whose attempts cost no goroutine; nil if they do.
func (x *Executor) Async() sdk.AsyncExecutor {
	e := x.Executor
	if front, ok := e.(interface{ Made() sdk.Executor }); ok {
		e = front.Made()
	}
	async, _ := e.(sdk.AsyncExecutor)
	return async
}

// Wake has the dispatcher look for work. It never blocks.
func (x *Executor) Wake() {
	select {
	case x.work <- struct{}{}:
	default:
	}
}

// Work is received from by the executor's dispatcher: there may be work.
func (x *Executor) Work() <-chan struct{} { return x.work }

// InHost says that its attempts run in the host's own process.
func (x *Executor) InHost() bool { return x.Process == nil && !x.Deferred() }

// Listed says that operators see it among the executors.
func (x *Executor) Listed() bool {
	return !x.Own && (!x.Unlisted || len(x.offer.Load().types) > 0)
}

// Ready says whether attempts can be handed over now.
func (x *Executor) Ready() bool {
	o := x.offer.Load()
	return o.live && o.Info.Unavailable == "" && !x.paused.Load() && x.state() == task.ExecutorReady
}

// state is that of sourceStatus.
func (x *Executor) state() task.ExecutorState {
	if x.Source == nil {
		return task.ExecutorReady
	}
	return x.Source.State()
}

func (x *Executor) sourceStatus() task.ExecutorStatus {
	if x.Source == nil {
		return task.ExecutorStatus{State: task.ExecutorReady}
	}
	return x.Source.Status()
}

// neverDescribed says that nobody knows yet what the executor offers.
func (x *Executor) neverDescribed() bool {
	o := x.offer.Load()
	return !o.live && len(o.types) == 0
}

// servingRank orders executors that offer a type: one that runs it, or is about to again,
// goes before one whose nodes are away or too old, and that before one that is only
// remembered.
func (x *Executor) servingRank(taskType, minVersion string) int {
	o := x.offer.Load()
	switch state := x.state(); {
	case o.live && !x.Runs(taskType, nil, minVersion):
		return 1
	case o.live, state == task.ExecutorStarting, state == task.ExecutorDegraded, state == task.ExecutorReady:
		return 0
	}
	return 2
}

// Outdated says that the executor is not to begin an attempt that was handed to it when a
// type asked for one version at the least, and asks for another now. One that is not told
// what begins could only say that it had.
func (x *Executor) Outdated(was, is string) bool {
	return was != is && !sdk.NewEnough(was, is) && !x.offer.Load().Info.StartUnknown
}

// Runs says whether the executor can run the type now, in that version or a newer one, with
// workers of these labels: only executors that hand attempts on to nodes look at a route. On
// demand it is whoever asks that has a version.
func (x *Executor) Runs(taskType string, route map[string]string, minVersion string) bool {
	o := x.offer.Load()
	t, ok := o.types[taskType]
	if !ok || !o.live || t.info.Unavailable {
		return false
	}
	switch {
	case x.OnDemand:
		return true
	case !o.Info.Deferred:
		return sdk.NewEnough(t.info.Version, minVersion)
	case len(route) == 0 && minVersion == "":
		return true
	}
	return slices.ContainsFunc(o.Info.Nodes, func(n sdk.Node) bool { return nodeRuns(&n, taskType, route, minVersion) })
}

// nodeRuns says whether a node takes attempts of the type and route, in that version or a
// newer one.
func nodeRuns(n *sdk.Node, taskType string, route map[string]string, minVersion string) bool {
	return n.Takes(taskType) && len(n.Lacks(route)) == 0 && sdk.NewEnough(n.TypeVersions[taskType], minVersion)
}

// Reserve takes up to n free slots and says how many it got.
func (x *Executor) Reserve(n int64) int64 { return reserveUpTo(&x.used, x.max.Load(), n) }

// Hold takes a slot for an attempt that is there already, whatever the limit.
func (x *Executor) Hold() { x.used.Add(1) }

// Unreserve gives back slots that were not needed, and wakes nobody: what could have used
// them was just looked for.
func (x *Executor) Unreserve(n int64) { x.used.Add(-n) }

// Release gives slots back.
func (x *Executor) Release(n int64) {
	if n > 0 {
		x.used.Add(-n)
		x.Wake()
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

// Status is the executor as operators see it, without its nodes: see LiveNodes.
func (x *Executor) Status() task.ExecutorStatus {
	s := x.sourceStatus()
	o := x.offer.Load()
	s.Name, s.Plugin = x.Name, x.Plugin
	s.Used, s.Max = int(x.used.Load()), int(x.max.Load())
	s.Types = o.names()
	switch {
	case s.State == task.ExecutorReady:
		x.explain(&s, o)
	case x.paused.Load(): // which matters once the state is over
		s.Reason = strings.TrimPrefix(s.Reason+"; and paused by an operator", "; and ")
	}
	return s
}

// explain says why an executor whose process is well is not simply ready.
func (x *Executor) explain(s *task.ExecutorStatus, o *offer) {
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
