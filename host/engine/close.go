package engine

import (
	"context"
	"sync"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// launchGate is passed by whoever puts attempts on record, from before the commit until
// they are in Engine.attempts. Who awaits it knows that none is on its way.
type launchGate struct{ mu sync.RWMutex }

// enter passes the gate; call leave once what was committed is in Engine.attempts.
func (g *launchGate) enter() { g.mu.RLock() }

func (g *launchGate) leave() { g.mu.RUnlock() }

// await returns when every attempt that was on record before is in Engine.attempts.
func (g *launchGate) await() {
	g.mu.Lock()
	defer g.mu.Unlock()
}

// Close stops dispatching, lets attempts finish for a while, detaches from the
// rest and waits for them, within ctx. Attempts that outlive the host go on;
// those of local executors are interrupted. What does not return in time
// stays on record as running and is settled by the next host as lost.
func (e *Engine) Close(ctx context.Context) error {
	first := e.ctx.Err() == nil
	e.cancel()
	e.board.Close() // nobody waits for tasks any more, and what workers hold is the next host's
	e.launches.await()
	all := e.count(every)
	drainTimeout := time.Duration(e.drainTimeout.Load())
	if first {
		e.log.Info("stopping: attempts may finish for a while", "attempts", all, "drain_timeout", drainTimeout)
	}
	goOn := e.detach(outlives)
	e.awaitIdle(ctx, drainTimeout)
	late := e.count(ends)
	if late > 0 {
		e.log.Info("stopping: attempts are told to stop", "attempts", late, "cancel_grace", e.opts.CancelGrace)
	}
	e.detach(every)
	left := e.awaitIdle(ctx, e.opts.CancelGrace)
	e.loops.Wait()
	e.saveAllNotes() // of those that were let go
	e.closing.Do(func() { close(e.closed) })
	if first && all > 0 {
		e.log.Info("attempts have ended", "finished", all-goOn-late, "told_to_stop", late, "left", left, "go_on_elsewhere", goOn)
	}
	if left > 0 {
		e.log.Warn("attempts did not stop in time; the next host settles them as lost", "attempts", left)
		return task.Errorf(task.CodeInternal, "%d attempts did not stop in time", left)
	}
	return nil
}

// Attempts is how many attempts there are in this process.
func (e *Engine) Attempts() int { return e.count(every) }

func every(*attempt) bool { return true }

// outlives says of an attempt that it goes on when the host ends.
func outlives(a *attempt) bool { return a.executor.Outlives() }

// ends says of an attempt that it ends with the host.
func ends(a *attempt) bool { return !outlives(a) }

// count is how many attempts there are of a kind.
func (e *Engine) count(which func(*attempt) bool) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.attempts {
		if which(a) {
			n++
		}
	}
	return n
}

// detach lets go of the attempts of a kind, and says how many there are.
func (e *Engine) detach(which func(*attempt) bool) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.attempts {
		if which(a) {
			a.end(sdk.ErrDetach)
			n++
		}
	}
	return n
}

// awaitIdle waits until no attempt is left, for d at the most, and says how many are.
func (e *Engine) awaitIdle(ctx context.Context, d time.Duration) int {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		e.mu.Lock()
		n, idle := len(e.attempts), e.idle
		e.mu.Unlock()
		if n == 0 {
			return 0
		}
		select {
		case <-idle:
		case <-timer.C:
			return n
		case <-ctx.Done():
			return n
		}
	}
}
