package supervisor

import (
	"context"
	"errors"
	"fmt"

	"github.com/taskhost/taskhost/sdk"
)

var (
	_ sdk.Executor       = (*Executor)(nil)
	_ sdk.Settler        = (*Executor)(nil)
	_ sdk.NodeController = (*Executor)(nil)
)

// Describe asks the current process. Without one it fails and says why.
func (e *Executor) Describe(ctx context.Context) (sdk.Info, error) {
	conn, err := e.serving()
	if err != nil {
		return sdk.Info{}, err
	}
	return conn.Describe(ctx)
}

// ControlNode asks the current process to tell one of its nodes. Without one it
// fails and says why.
func (e *Executor) ControlNode(ctx context.Context, node, action string) error {
	conn, err := e.serving()
	if err != nil {
		return err
	}
	return conn.ControlNode(ctx, node, action)
}

// serving is the connection that takes new attempts, or why there is none.
func (e *Executor) serving() (sdk.Connection, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn == nil {
		return nil, fmt.Errorf("executor %q is %s: %s", e.spec.Name, e.status.State, e.status.Reason)
	}
	return e.conn, nil
}

// Execute makes the attempt on the current process. Without one it returns
// sdk.Released at once; only an attempt to be joined waits for a process that is
// being started, because its loss costs more than its wait.
func (e *Executor) Execute(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	conn := e.take(ctx, t)
	if conn == nil {
		return sdk.Result{}, without(ctx, t)
	}
	return conn.Execute(ctx, t, r)
}

// Revert undoes an attempt, by the rules of Execute.
func (e *Executor) Revert(ctx context.Context, t sdk.Task, r sdk.Reporter) error {
	conn := e.take(ctx, t)
	if conn == nil {
		return without(ctx, t)
	}
	return conn.Revert(ctx, t, r)
}

// Settled tells the process that ran the attempt.
func (e *Executor) Settled(t sdk.Token) {
	e.mu.Lock()
	conn, ok := e.routes[t]
	if ok {
		delete(e.routes, t)
	} else {
		conn = e.conn
	}
	e.mu.Unlock()
	if conn != nil {
		conn.Settled(t)
	}
}

// without is the outcome where there is no process: an attempt that ran before
// may have done anything. A host that lets go before the process was there has
// lost nothing: the next one joins the attempt.
func without(ctx context.Context, t sdk.Task) error {
	switch {
	case t.Rejoin && errors.Is(context.Cause(ctx), sdk.ErrDetach):
		return sdk.ErrDetach
	case t.Rejoin:
		return sdk.Lost
	}
	return sdk.Released
}

// take is the connection for t, remembered until it is settled: after a Restart
// the outcome belongs to the old process.
func (e *Executor) take(ctx context.Context, t sdk.Task) sdk.Connection {
	for {
		e.mu.Lock()
		conn, state, moved := e.conn, e.status.State, e.moved
		if conn != nil {
			e.routes[t.Token] = conn
		}
		e.mu.Unlock()
		if conn != nil || !t.Rejoin || state != Starting && state != Degraded {
			return conn
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil
		}
	}
}

// forget drops what is remembered of a process that is gone.
func (e *Executor) forget(conn sdk.Connection) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for t, c := range e.routes {
		if c == conn {
			delete(e.routes, t)
		}
	}
}
