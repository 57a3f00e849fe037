package engine

import (
	"time"

	"github.com/taskhost/taskhost/host/task"
)

const (
	// claimAtOnce bounds one claim: the next commits while the last one runs.
	claimAtOnce = 500
	// suspectPatience is how long suspects wait behind tasks that are none.
	suspectPatience = 30 * time.Second
)

// dispatch hands waiting tasks to one executor for as long as the engine runs:
// whenever a slot is freed or a task becomes ready, it claims as many as fit.
func (e *Engine) dispatch(x *executor) {
	poll := time.NewTicker(e.polls.dispatch)
	defer poll.Stop()
	for {
		select {
		case <-x.work:
		case <-poll.C:
			e.registry.serveNew()
		case <-e.ctx.Done():
			return
		}
		for e.claim(x) {
		}
	}
}

// claim takes one helping, and says whether there may be more. Innocent work goes first:
// a suspect may end its process, and would take along what runs beside it.
func (e *Engine) claim(x *executor) bool {
	if e.ctx.Err() != nil || !x.ready() {
		return false
	}
	set := x.shares.Load()
	took := e.claimFrom(x, set.plain) > 0
	if !waitReady(set.suspects, e.store.Ready) {
		x.suspectsSince = time.Time{}
		return took
	}
	if x.suspectsSince.IsZero() {
		x.suspectsSince = time.Now()
	}
	if waitReady(set.plain, e.store.Ready) && time.Since(x.suspectsSince) < suspectPatience {
		return took
	}
	if e.claimFrom(x, set.suspects) > 0 {
		x.suspectsSince = time.Time{}
		return true
	}
	return took
}

// claimFrom claims for those of the shares that have something waiting and room for it.
func (e *Engine) claimFrom(x *executor, shares []*share) int {
	var from []*share
	var ask []task.Share
	total := int64(0)
	for _, n := range shares {
		lanes := *n.lanes.Load()
		ready := e.store.Ready(lanes)
		if ready == 0 {
			continue
		}
		if got := n.reserve(min(ready, claimAtOnce)); got > 0 {
			from = append(from, n)
			ask = append(ask, task.Share{Lanes: lanes, Max: int(got)})
			total += got
		}
	}
	if total == 0 {
		return 0
	}
	return e.claimReserved(x, from, ask, x.reserve(min(total, claimAtOnce)))
}

// claimReserved claims at most most tasks, for which slots are reserved, and gives back
// the slots and the places in the shares that it did not need.
func (e *Engine) claimReserved(x *executor, from []*share, ask []task.Share, most int64) int {
	e.launches.enter()
	defer e.launches.leave()
	var claimed []task.Claimed
	if most > 0 {
		var err error
		claimed, err = e.commitClaim(e.ctx, task.Claim{
			Executor: x.Name, Shares: ask, Max: int(most), Deferred: x.deferred(), Now: e.now(), NewToken: newToken,
		})
		if err != nil && e.ctx.Err() == nil {
			e.log.Error("cannot claim tasks; trying again", "executor", x.Name, "error", err)
		}
	}
	for i := range claimed {
		c := &claimed[i]
		ask[c.Share].Max--
		e.launch(x, from[c.Share], c.Change.Task, false)
	}
	for i, n := range from {
		n.release(int64(ask[i].Max))
	}
	x.used.Add(int64(len(claimed)) - most)
	return len(claimed)
}
