package supervisor

import (
	"context"
	"errors"
	"fmt"

	"github.com/taskhost/taskhost/host/task"
)

// Restart replaces the process: a new one is started, and when it is ready takes
// the new attempts, while the old one finishes what it runs. If the new one cannot
// be started the old one stays, and the error says why. It also brings back an
// executor that is quarantined, drained or stopped by Drain; what a Drain left
// running may finish for as long as Options.DrainTimeout.
func (e *Executor) Restart(ctx context.Context) error { return e.request(ctx, requestRestart) }

// Drain takes nothing new, waits until what runs has finished, and then ends the
// process. The error has code conflict if it was drained already, and that of Restart
// while a drain is under way. If ctx ends first, what still runs is left running, the executor stays
// Draining, and the error says so.
func (e *Executor) Drain(ctx context.Context) error { return e.request(ctx, requestDrain) }

// Stop drains for at most Options.DrainTimeout or until ctx ends, then ends the
// process whatever it does. The executor cannot be used after it.
func (e *Executor) Stop(ctx context.Context) error {
	err := e.request(ctx, requestStop)
	if errors.Is(err, errStopped) {
		return nil
	}
	return err
}

var errStopped = errors.New("executor is stopped")

// request is what an operator or the host wants of an executor.
type request struct {
	kind  requestKind
	ctx   context.Context
	reply chan error // gets one answer, and has room for it
}

type requestKind int

const (
	requestRestart requestKind = iota
	requestDrain
	requestStop
)

// request hands a request to the controller and waits for its answer, or until ctx ends.
func (e *Executor) request(ctx context.Context, kind requestKind) error {
	r := request{kind: kind, ctx: ctx, reply: make(chan error, 1)}
	select {
	case e.requests <- r:
	case <-e.done:
		return fmt.Errorf("executor %q: %w", e.config.Name, errStopped)
	case <-ctx.Done():
		if kind != requestStop {
			return ctx.Err()
		}
		// A stop is done even when there is no time left for it.
		select {
		case e.requests <- r:
		case <-e.done:
			return nil
		}
	}
	if kind == requestStop { // bounded by itself
		return <-r.reply
	}
	select {
	case err := <-r.reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// handle does what one request asks, but for a stop.
func (c *controller) handle(r request) {
	switch {
	case c.drainRequests != nil && r.kind == requestDrain:
		c.drainRequests = append(c.drainRequests, r)
	case c.drainRequests != nil:
		r.reply <- task.Errorf(task.CodeConflict, "executor %q is draining: restart it when that is done", c.executor.config.Name)
	case r.kind == requestRestart:
		c.endings = endings{}
		c.restartWaiters = append(c.restartWaiters, r.reply)
		if c.drainedByOperator && c.current != nil { // it takes nothing more, and so cannot serve on
			c.retire(c.current, "it was drained by an operator, and is replaced by a restart")
			c.current = nil
		}
		c.drainedByOperator = false
		if c.current != nil {
			c.launch("", "") // the old one serves on
		} else {
			c.launch(task.ExecutorStarting, "the plugin is being restarted")
		}
	case c.drainedByOperator && c.current == nil && c.launching == nil:
		r.reply <- task.Errorf(task.CodeConflict, "executor %q is drained already: restart brings it back", c.executor.config.Name)
	default:
		c.startDrain(r)
	}
}
