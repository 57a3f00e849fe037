package engine

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/secret"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// What a type's schema marks writeOnly is sealed as a task is prepared, before anything of it
// is written, and opened as an attempt is launched, for its executor alone. In between, in
// the store and in what everybody is answered, there is nothing to be told.

// seal seals what is secret of a new task's input, which was checked. It refuses one that has
// what looks as if it were sealed.
func (e *Engine) seal(n *newTask) error {
	if err := task.RefuseSealed(n.task.Input); err != nil {
		return err
	}
	parts, err := n.taskType.Secrets(n.task.Input)
	if err != nil || len(parts) == 0 {
		return err
	}
	n.sealed = true
	n.task.Input, err = e.opts.Secrets.Seal(secret.Origin{Owner: n.task.Owner, Type: n.task.Type}, n.task.Input, parts)
	return err
}

// openInput is an input of a task of that owner and type as it was submitted, and the values
// that are sealed in it.
func (e *Engine) openInput(owner, taskType string, input json.RawMessage) (json.RawMessage, [][]byte, error) {
	return e.opts.Secrets.Open(secret.Origin{Owner: owner, Type: taskType}, input)
}

// openRun is the task of a schedule with its input as it was given. conflict if no key opens it.
func (e *Engine) openRun(s *schedule.Schedule) (task.Spec, error) {
	spec := s.Task
	input, _, err := e.openInput(s.Owner, spec.Type, spec.Input)
	if err != nil {
		return spec, task.Errorf(task.CodeConflict, "the input of the schedule's task: %v; give the schedule its task anew", err)
	}
	spec.Input = input
	return spec, nil
}

// unseal gives an attempt its input in clear, and has its secrets hidden in what it tells. An
// input that no key opens ends it for good: no later attempt would find another key.
func (a *attempt) unseal(st *sdk.Task, owner string) error {
	if !task.MayBeSealed(st.Input) {
		return nil
	}
	input, values, err := a.engine.openInput(owner, st.Type, st.Input)
	if err != nil {
		return sdk.FailedWith(sdk.Outcome{Kind: sdk.OutcomeFailed, Code: task.FailureSealedInput, Permanent: true,
			Message: "the attempt was not begun: " + err.Error()})
	}
	st.Input = input
	st.Secret = len(values) > 0
	a.secrets.Store(secret.NewTexts(values))
	return nil
}

// hide is what the attempt tells, without the secrets of its input.
func (a *attempt) hide(text string) string { return a.secrets.Load().Hide(text) }

// keyedIdem is a client's key as it is kept for tasks that have secrets: with a hash of the
// request by which nobody can try what they are.
func (e *Engine) keyedIdem(idem *task.Idempotency, batch []newTask) *task.Idempotency {
	if idem == nil || !slices.ContainsFunc(batch, func(n newTask) bool { return n.sealed }) {
		return idem
	}
	keyed := *idem
	keyed.Hash = e.opts.Secrets.Hash(idem.Hash)
	return &keyed
}

// findSubmission finds the tasks of an earlier submission under the key, with secrets or without.
func (e *Engine) findSubmission(ctx context.Context, idem task.Idempotency) (task.Receipt, error) {
	now := e.now()
	r, err := e.store.FindSubmission(ctx, idem, now)
	if task.CodeOf(err) != task.CodeIdempotencyMismatch {
		return r, err
	}
	for _, hash := range e.opts.Secrets.Hashes(idem.Hash) {
		idem.Hash = hash
		if r, keyedErr := e.store.FindSubmission(ctx, idem, now); task.CodeOf(keyedErr) != task.CodeIdempotencyMismatch {
			return r, keyedErr
		}
	}
	return r, err
}
