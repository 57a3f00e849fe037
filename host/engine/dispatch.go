package engine

import (
	"sync"
	"time"

	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
)

const (
	// claimAtOnce bounds one claim: while its tasks are launched, the next is committed, and those
	// before run.
	claimAtOnce = 334
	// launchedAside is how many are launched beside the next claim at the least: for fewer
	// a goroutine is not worth it.
	launchedAside = 50
	// suspectPatience is how long suspects wait behind tasks that are none.
	suspectPatience = 30 * time.Second
)

// dispatch hands waiting tasks to one executor for as long as the engine runs:
// whenever a slot is freed or a task becomes ready, it claims as many as fit.
func (e *Engine) dispatch(x *registry.Executor) {
	d := dispatcher{engine: e, executor: x}
	defer d.launching.Wait()
	poll := time.NewTicker(e.polls.dispatch)
	defer poll.Stop()
	for {
		select {
		case <-x.Work():
		case <-poll.C:
			e.registry.ServeNew()
		case <-e.ctx.Done():
			return
		}
		for d.claim() {
		}
	}
}

// dispatcher is the loop that hands tasks to one executor.
type dispatcher struct {
	engine        *Engine
	executor      *registry.Executor
	launching     sync.WaitGroup // done once all that was claimed is launched
	suspectsSince time.Time      // since when suspects wait behind others
}

// claim takes one helping, and says whether there may be more. Innocent work goes first:
// a suspect may end its process, and would take along what runs beside it.
func (d *dispatcher) claim() bool {
	e, x := d.engine, d.executor
	if e.ctx.Err() != nil || !x.Ready() {
		return false
	}
	set := x.Shares()
	if x.OnDemand {
		return e.claimFor(x, e.board.Asks()) > 0
	}
	took := d.claimFrom(set.Plain) > 0
	if !registry.AnyReady(set.Suspects, e.ready) {
		d.suspectsSince = time.Time{}
		return took
	}
	if d.suspectsSince.IsZero() {
		d.suspectsSince = time.Now()
	}
	if registry.AnyReady(set.Plain, e.ready) && time.Since(d.suspectsSince) < suspectPatience {
		return took
	}
	if d.claimFrom(set.Suspects) > 0 {
		d.suspectsSince = time.Time{}
		return true
	}
	return took
}

// ready is about how many tasks wait in these lanes. If the store can't say, it is as if
// one did: a claim will tell.
func (e *Engine) ready(lanes []task.LaneID) int64 {
	n, err := e.store.Ready(e.ctx, lanes)
	if err != nil {
		return 1
	}
	return n
}

// claimFrom claims for those of the shares that have something waiting and room for it.
func (d *dispatcher) claimFrom(shares []*registry.Share) int {
	var from []*registry.Share
	var ask []task.Share
	total := int64(0)
	for _, n := range shares {
		lanes := n.Lanes()
		ready := d.engine.ready(lanes)
		if ready == 0 {
			continue
		}
		if got := n.Reserve(min(ready, claimAtOnce)); got > 0 {
			from = append(from, n)
			ask = append(ask, task.Share{Lanes: lanes, Max: int(got)})
			total += got
		}
	}
	if total == 0 {
		return 0
	}
	return d.claimReserved(from, ask, d.executor.Reserve(min(total, claimAtOnce)))
}

// claimReserved claims at most most tasks, for which slots are reserved, and gives back
// the slots and the places in the shares that it did not need.
func (d *dispatcher) claimReserved(from []*registry.Share, ask []task.Share, most int64) int {
	e, x := d.engine, d.executor
	e.launches.enter()
	claimed := e.claimTasks(x, ask, most)
	for i := range claimed {
		ask[claimed[i].Share].Max--
	}
	d.launchClaimed(from, claimed)
	for i, n := range from {
		n.Release(int64(ask[i].Max))
	}
	x.Unreserve(most - int64(len(claimed)))
	return len(claimed)
}

// claimTasks claims at most most tasks for an executor, for which slots are reserved.
func (e *Engine) claimTasks(x *registry.Executor, shares []task.Share, most int64) []task.Claimed {
	if most == 0 {
		return nil
	}
	claimed, err := e.commitClaim(e.ctx, task.Claim{
		Executor: x.Name, Shares: shares, Max: int(most), Deferred: x.Deferred(), Now: e.now(), NewToken: newToken,
	})
	if err != nil && e.ctx.Err() == nil {
		e.log.Error("cannot claim tasks; trying again", "executor", x.Name, "error", err)
	}
	return claimed
}

// launchClaimed launches what was claimed, after what was claimed before, and leaves the gate of
// launches. To begin attempts that cost no goroutine of their own takes time of this one: many
// are launched while the next are claimed.
func (d *dispatcher) launchClaimed(from []*registry.Share, claimed []task.Claimed) {
	launch := func() {
		defer d.engine.launches.leave()
		for i := range claimed {
			c := &claimed[i]
			d.engine.launch(d.executor, from[c.Share], &c.Change.Task, false)
		}
	}
	d.launching.Wait()
	if len(claimed) < launchedAside || d.executor.Async() == nil {
		launch()
	} else {
		d.launching.Go(launch)
	}
}
