package supervisor

import (
	"context"
	"errors"
	"fmt"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

var (
	_ sdk.AsyncExecutor  = (*Executor)(nil)
	_ sdk.Settler        = (*Executor)(nil)
	_ sdk.NodeController = (*Executor)(nil)
)

// Describe asks the current process. Without one it fails and says why.
func (e *Executor) Describe(ctx context.Context) (sdk.Info, error) {
	conn, err := e.currentConnection()
	if err != nil {
		return sdk.Info{}, err
	}
	info, err := conn.Describe(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil { // not signaled: who asked knows, and would ask again
		e.status.LastError = err.Error()
		return sdk.Info{}, err
	}
	e.deferred = info.Deferred
	return info, nil
}

// ControlNode asks the current process to tell one of its nodes. Without one it
// fails and says why.
func (e *Executor) ControlNode(ctx context.Context, node, action string) error {
	conn, err := e.currentConnection()
	if err != nil {
		return err
	}
	return conn.ControlNode(ctx, node, action)
}

// currentConnection is the connection that takes new attempts, or why there is none.
func (e *Executor) currentConnection() (sdk.HostConnection, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil {
		return nil, fmt.Errorf("executor %q is %s: %s", e.config.Name, e.status.State, e.status.Reason)
	}
	return e.current.conn, nil
}

// Execute makes the attempt on the current process. Without one it returns
// sdk.ErrReleased at once; only an attempt to be joined waits for a process that is
// being started, also if the one that was to join it dies, because its loss costs
// more than its wait.
func (e *Executor) Execute(ctx context.Context, t sdk.Task, r sdk.Reporter) (res sdk.Result, err error) {
	err = e.onProcess(ctx, &t, func(conn sdk.HostConnection) (err error) {
		res, err = conn.Execute(ctx, t, r)
		return err
	})
	return res, err
}

// ExecuteAsync makes the attempt as Execute does. One to be joined may have to wait for a
// process, and does so in a goroutine.
func (e *Executor) ExecuteAsync(ctx context.Context, t sdk.Task, r sdk.Reporter, done func(sdk.Result, error)) {
	if t.Rejoin {
		go e.executeAndTell(ctx, t, r, done)
		return
	}
	a := e.enter(ctx, &t)
	if a == nil {
		done(sdk.Result{}, outcomeWithoutProcess(ctx, &t))
		return
	}
	a.inst.conn.ExecuteAsync(ctx, t, r, func(res sdk.Result, err error) {
		e.returned(a, false, err)
		done(res, err)
	})
}

func (e *Executor) executeAndTell(ctx context.Context, t sdk.Task, r sdk.Reporter, done func(sdk.Result, error)) {
	done(e.Execute(ctx, t, r))
}

// Revert undoes an attempt, by the rules of Execute.
func (e *Executor) Revert(ctx context.Context, t sdk.Task, r sdk.Reporter) error {
	return e.onProcess(ctx, &t, func(conn sdk.HostConnection) error { return conn.Revert(ctx, t, r) })
}

// onProcess has a process make an attempt, by the rules of Execute.
func (e *Executor) onProcess(ctx context.Context, t *sdk.Task, run func(sdk.HostConnection) error) error {
	for again := false; ; again = true {
		a := e.enter(ctx, t)
		if a == nil {
			return outcomeWithoutProcess(ctx, t)
		}
		err := run(a.inst.conn)
		if !e.returned(a, t.Rejoin, err) || again {
			return err
		}
	}
}

// returned notes that a call of Execute or Revert is back, and says whether the next process
// is to be asked: by an attempt to be joined whose process died, which another may know as well.
func (e *Executor) returned(a *attempt, rejoin bool, err error) (again bool) {
	rejoin = rejoin && errors.Is(err, sdk.ErrLost)
	dead := (a.suspect || rejoin) && a.inst.conn.Err() != nil // asked only where it matters
	if rejoin && dead {
		e.stopRoutingTo(a.inst) // or it would be the next one
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	again = rejoin && dead && !a.abandoned
	e.attempts.returned(a, dead)
	e.checkStuck() // it may be the last that is waited for
	return again
}

// checkStuck has the controller look at the processes on which abandoned attempts go on.
// What is handed on runs elsewhere, and the end of this process would not end it. It
// needs the lock held.
func (e *Executor) checkStuck() {
	if len(e.attempts.stuck) > 0 && !e.deferred {
		signal(e.stuckSignal)
	}
}

// Settled tells the process that ran the attempt. One that has not returned is
// abandoned: no new attempt goes to its process, which is ended when nothing else
// is left on it, unless the executor hands attempts on.
func (e *Executor) Settled(t sdk.Token) {
	e.mu.Lock()
	inst := e.attempts.settled(t)
	if inst == nil {
		inst = e.current // of its Hello, or nothing
	}
	e.checkStuck()
	e.mu.Unlock()
	if inst != nil {
		inst.conn.Settled(t)
	}
}

// outcomeWithoutProcess is the outcome where there is no process: an attempt that ran before
// may have done anything. A host that lets go before the process was there has
// lost nothing: the next one joins the attempt.
func outcomeWithoutProcess(ctx context.Context, t *sdk.Task) error {
	switch {
	case t.Rejoin && errors.Is(context.Cause(ctx), sdk.ErrDetach):
		return sdk.ErrDetach
	case t.Rejoin:
		return sdk.ErrLost
	}
	return sdk.ErrReleased
}

// enter puts t on the process that takes new attempts, or on the one that runs its token
// already. It gives nil if there is no process for it.
func (e *Executor) enter(ctx context.Context, t *sdk.Task) (a *attempt) {
	for {
		e.mu.Lock()
		state, changed := e.status.State, e.statusChanged
		if e.current != nil {
			a = e.attempts.enter(t, e.current)
		}
		e.mu.Unlock()
		if a != nil || !t.Rejoin || state != task.ExecutorStarting && state != task.ExecutorDegraded {
			return a
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// loadOf is what runs on a process.
func (e *Executor) loadOf(inst *instance) load {
	e.mu.Lock()
	defer e.mu.Unlock()
	return inst.load
}

// onlyStuck are the processes on which nothing else is left than abandoned attempts, with what
// runs on them.
func (e *Executor) onlyStuck() map[*instance]load {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[*instance]load{}
	for inst := range e.attempts.stuck {
		if inst.load.onlyAbandoned() {
			out[inst] = inst.load
		}
	}
	return out
}

// forgetInstance drops what is remembered of a process that is gone, and says whether a
// suspect that ran on it explains that.
func (e *Executor) forgetInstance(inst *instance) (suspect bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.attempts.forgetInstance(inst) && !e.deferred
}
