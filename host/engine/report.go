package engine

import (
	"context"
	"errors"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// started records that a handed-on attempt has begun. An error tells the
// executor that it must not.
func (a *attempt) started(handle []byte, node string) error {
	_, err := a.change(context.Background(), func(t *task.Task) (task.Change, error) {
		return a.decideStart(t, handle, node, a.engine.now())
	})
	if err != nil {
		a.countIgnored(err)
		return err
	}
	a.startClock()
	return nil
}

// decideStart decides whether the attempt may begin on a node. The change is empty if it has
// begun there already.
func (a *attempt) decideStart(t *task.Task, handle []byte, node string, now time.Time) (task.Change, error) {
	if t.State == task.Running && t.Node == node && string(t.Handle) == string(handle) {
		return task.Change{}, nil
	}
	if is := a.engine.registry.LimitsOf(a.taskType).MinVersion; a.executor.Outdated(a.minVersion, is) {
		return task.Change{}, task.Errorf(task.CodeConflict, "task type %q wants version %s or newer since the attempt was handed on", a.taskType, is)
	}
	return task.Started(t, handle, node, now)
}

func (a *attempt) checkpoint(data []byte) error {
	_, err := a.change(context.Background(), func(t *task.Task) (task.Change, error) {
		return task.Checkpointed(t, data, a.engine.now())
	})
	a.countIgnored(err)
	return err
}

// countIgnored counts a report that came after the attempt had lost its task.
func (a *attempt) countIgnored(err error) {
	if errors.Is(err, errNotHeld) {
		a.engine.ignored.Add(1)
	}
}

// AttemptInput is the input of the attempt with that token, for a worker that
// fetches by reference what its broker cannot carry.
func (e *Engine) AttemptInput(token task.Token) ([]byte, error) {
	t, err := e.taskOf(token)
	if err != nil {
		return nil, err
	}
	input, _, err := e.openInput(t.Owner, t.Type, t.Input)
	return input, err
}

// AttemptCheckpoint is the checkpoint of the attempt with that token, which may
// be too large for the broker as well.
func (e *Engine) AttemptCheckpoint(token task.Token) ([]byte, error) {
	t, err := e.taskOf(token)
	return t.Checkpoint, err
}

// PutAttemptResult keeps the result of the attempt with that token until its
// outcome arrives and refers to it, over a restart of this host too.
func (e *Engine) PutAttemptResult(ctx context.Context, token task.Token, contentType string, data []byte) error {
	a := e.byToken(token)
	if a == nil {
		return noAttempt()
	}
	if limit := e.registry.LimitsOf(a.taskType).MaxResult; int64(len(data)) > limit {
		return task.Errorf(task.CodeTooLarge, "the result has %d bytes, the limit is %d", len(data), limit)
	}
	return e.store.SaveUpload(ctx, a.seq, token, task.Upload{ContentType: contentType, Data: data})
}

// uploaded reads what the attempt has uploaded, not_found if nothing. A store that cannot
// be read is tried again, for as long as this host is there.
func (a *attempt) uploaded() (task.Upload, error) {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		up, err := a.engine.store.Upload(context.Background(), a.seq, a.token)
		if err == nil || task.CodeOf(err) == task.CodeNotFound {
			return up, err
		}
		a.engine.log.Error("cannot read what an attempt uploaded; trying again", "task", a.id, "error", err)
		select {
		case <-time.After(wait):
		case <-a.engine.closed:
			return up, err
		}
	}
}

func (e *Engine) taskOf(token task.Token) (task.Task, error) {
	a := e.byToken(token)
	if a == nil {
		return task.Task{}, noAttempt()
	}
	t, _ := a.held()
	return t, nil
}

func noAttempt() error { return task.Errorf(task.CodeNotFound, "no attempt runs with this token") }

// byToken is the attempt with that token, while it holds its task.
func (e *Engine) byToken(token task.Token) *attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.attempts {
		if a.token != token {
			continue
		}
		if a.holds() {
			return a
		}
	}
	return nil
}
