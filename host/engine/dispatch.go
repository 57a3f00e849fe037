package engine

import (
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// claimAtOnce bounds one claim: the next commits while the last one runs.
const claimAtOnce = 500

// dispatch hands waiting tasks to one executor for as long as the engine runs:
// whenever a slot is freed or a task becomes ready, it claims as many as fit.
func (e *Engine) dispatch(r *runner) {
	for {
		select {
		case <-r.wake:
		case <-e.ctx.Done():
			return
		}
		for e.claim(r) {
		}
	}
}

// claim takes one helping, and says whether there may be more.
func (e *Engine) claim(r *runner) bool {
	if e.ctx.Err() != nil || !r.ready() {
		return false
	}
	lanes := r.lanes.Load()
	took := false
	// Suspects run one at a time, so that a task that kills its executor is found
	// out and does not take its neighbours along.
	if r.suspects.Load() == 0 && e.store.Ready(lanes.suspect) > 0 {
		took = e.claimFrom(r, lanes.suspect, 1) > 0
	}
	if e.store.Ready(lanes.plain) > 0 {
		took = e.claimFrom(r, lanes.plain, claimAtOnce) > 0 || took
	}
	return took
}

func (e *Engine) claimFrom(r *runner, lanes []task.LaneID, most int64) int {
	n := r.reserve(most)
	if n == 0 {
		return 0
	}
	e.begins.RLock()
	defer e.begins.RUnlock()
	tasks, err := e.store.Claim(e.ctx, task.Claim{
		Executor: r.Name, Lanes: lanes, Max: int(n), Deferred: r.offer.Load().Info.Deferred, Now: now(), NewToken: newToken,
	})
	if rest := n - int64(len(tasks)); rest > 0 {
		r.used.Add(-rest)
	}
	if err != nil {
		if e.ctx.Err() == nil {
			e.log.Error("cannot claim tasks; trying again", "executor", r.Name, "error", err)
			time.AfterFunc(time.Second, r.poke)
		}
		return 0
	}
	for i := range tasks {
		e.tellClaimed(&tasks[i])
		e.launch(r, tasks[i], false)
	}
	return len(tasks)
}
