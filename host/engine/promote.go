package engine

import (
	"time"

	"github.com/taskhost/taskhost/host/task"
)

const promoteAtOnce = 500

// promote makes scheduled tasks ready when they are due, by a timer on the
// smallest run_at.
func (e *Engine) promote() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-e.due:
		case <-e.ctx.Done():
			return
		}
		timer.Reset(e.promoteDue())
	}
}

// promoteDue promotes all that is due and says when to look again.
func (e *Engine) promoteDue() time.Duration {
	for {
		n, next, err := e.commitDue(e.ctx)
		if err != nil {
			if e.ctx.Err() == nil {
				e.log.Error("cannot promote scheduled tasks; trying again", "error", err)
			}
			return time.Second
		}
		if n == promoteAtOnce {
			continue
		}
		wait := e.promoteDelayed(e.polls.promote)
		if !next.IsZero() {
			wait = min(wait, next.Sub(e.now()))
		}
		return max(wait, time.Millisecond)
	}
}

// promoteDelayed makes ready what waits for a delay that is over on the monotonic clock,
// where the system's clock was set back meanwhile and run_at is still ahead. It says how
// long the next has to wait, most at the most.
func (e *Engine) promoteDelayed(most time.Duration) time.Duration {
	for {
		d, wait := e.delays.next(time.Now(), most)
		if d == nil {
			return wait
		}
		if !d.runAt.After(e.now()) {
			continue // the store has promoted it
		}
		t, err := e.store.Get(e.ctx, task.Scope{All: true}, d.id)
		if err != nil || t.Version != d.version {
			continue
		}
		c, err := task.Due(&t, e.now())
		if err == nil {
			err = e.commit(e.ctx, &c)
		}
		if err != nil && !lostRace(err) && e.ctx.Err() == nil {
			e.log.Error("cannot make a task ready whose delay is over; it waits until its run_at", "task", d.id, "run_at", d.runAt, "error", err)
		}
	}
}
