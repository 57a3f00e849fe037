package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/taskhost/taskhost/host/board"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// ClaimTasks gives a worker tasks to do, by priority and age over all of its types, and the
// tasks as they are on record, started. It is held while there is none, for as long as the worker
// asks. Their inputs are in clear, for the worker alone. Who does not get the answer has no claim: see AbandonClaims. Errors: unknown_type
// if no board offers a type, store_unavailable when the host ends, or that of ctx.
func (e *Engine) ClaimTasks(ctx context.Context, r board.Request) ([]board.Claim, []task.Task, error) {
	if err := e.accepts(); err != nil {
		return nil, nil, err
	}
	if err := r.Check(); err != nil {
		return nil, nil, err
	}
	if err := e.registry.CheckDemand(r.Types); err != nil {
		return nil, nil, err
	}
	a, err := e.board.Enter(r)
	if err != nil {
		return nil, nil, err
	}
	defer a.Leave()
	for _, x := range e.registry.OnDemand() { // what becomes ready from now on wakes its dispatcher
		if x.Ready() {
			e.claimFor(x, []*board.Ask{a})
		}
	}
	claims, err := a.Wait(ctx)
	if err != nil {
		return nil, nil, err
	}
	tasks := make([]task.Task, len(claims))
	for i, c := range claims {
		if tasks[i], err = e.store.Get(ctx, task.Scope{All: true}, c.Task); err != nil {
			e.board.Abandon(claims)
			return nil, nil, fmt.Errorf("read a task that was claimed: %w", err)
		}
		if tasks[i].Input, _, err = e.openInput(tasks[i].Owner, tasks[i].Type, tasks[i].Input); err != nil { // its attempt was launched, so it could be opened
			e.board.Abandon(claims)
			return nil, nil, err
		}
	}
	return claims, tasks, nil
}

// AbandonClaims gives back what was claimed for a worker that never got the answer.
func (e *Engine) AbandonClaims(claims []board.Claim) { e.board.Abandon(claims) }

// Claims reads a page of the claims that are held, latest first; the cursor of the next is
// zero on the last.
func (e *Engine) Claims(s task.Scope, after board.Cursor, limit int) ([]board.Held, board.Cursor) {
	if limit == 0 {
		limit = task.DefaultListed
	}
	return e.board.List(s, after, limit)
}

// RenewClaim has the lease of a claim begin anew. stale_claim if the token is not current.
func (e *Engine) RenewClaim(ctx context.Context, s task.Scope, token task.Token) (board.Heard, error) {
	return ofClaim(ctx, e, token, func() (board.Heard, error) { return e.board.Renew(s, token) })
}

// ClaimProgress says how far a worker is, and renews its claim.
func (e *Engine) ClaimProgress(ctx context.Context, s task.Scope, token task.Token, p task.Progress) (board.Heard, error) {
	return ofClaim(ctx, e, token, func() (board.Heard, error) { return e.board.Progress(s, token, p) })
}

// ClaimLog keeps lines that a worker logs, and renews its claim.
func (e *Engine) ClaimLog(ctx context.Context, s task.Scope, token task.Token, lines []board.Line) (board.Heard, error) {
	return ofClaim(ctx, e, token, func() (board.Heard, error) { return e.board.Log(s, token, lines) })
}

// ClaimCheckpoint keeps data for the next attempt, durably, and renews the claim.
func (e *Engine) ClaimCheckpoint(ctx context.Context, s task.Scope, token task.Token, data []byte) (board.Heard, error) {
	if len(data) > sdk.MaxCheckpoint {
		return board.Heard{}, task.Errorf(task.CodeTooLarge, "the checkpoint has %d bytes, the limit is %d", len(data), sdk.MaxCheckpoint)
	}
	return ofClaim(ctx, e, token, func() (board.Heard, error) { return e.board.Checkpoint(s, token, data) })
}

// MaxClaimResult is how many bytes the result of a claim's task may have.
func (e *Engine) MaxClaimResult(ctx context.Context, s task.Scope, token task.Token) (int64, error) {
	return ofClaim(ctx, e, token, func() (int64, error) {
		taskType, err := e.board.Type(s, token)
		return e.registry.LimitsOf(taskType).MaxResult, err
	})
}

// FinishClaim says that the task of a claim is done. It is on record when this returns.
func (e *Engine) FinishClaim(ctx context.Context, s task.Scope, token task.Token, contentType string, data []byte) error {
	id, err := ofClaim(ctx, e, token, func() (task.ID, error) {
		return e.board.Finish(ctx, s, token, sdk.Result{ContentType: contentType, Data: data})
	})
	if err != nil {
		return err
	}
	t, err := e.store.Get(ctx, s, id)
	switch {
	case task.CodeOf(err) == task.CodeNotFound: // it is kept no longer
		return nil
	case err == nil && t.State != task.Succeeded: // others settled the attempt at the same moment
		return board.Stale()
	}
	return err
}

// FailClaim says that a worker could not do the task of a claim. It is on record when this
// returns, as are the next two.
func (e *Engine) FailClaim(ctx context.Context, s task.Scope, token task.Token, f board.Failure) error {
	_, err := ofClaim(ctx, e, token, func() (task.ID, error) { return e.board.Fail(ctx, s, token, f) })
	return err
}

// ReleaseClaim gives the task of a claim back, of which nothing was done.
func (e *Engine) ReleaseClaim(ctx context.Context, s task.Scope, token task.Token) error {
	_, err := ofClaim(ctx, e, token, func() (task.ID, error) { return e.board.Release(ctx, s, token) })
	return err
}

// TrashClaim says that the task of a claim is no use to anybody.
func (e *Engine) TrashClaim(ctx context.Context, s task.Scope, token task.Token, reason string) error {
	_, err := ofClaim(ctx, e, token, func() (task.ID, error) { return e.board.Trash(ctx, s, token, reason) })
	return err
}

// joinPatience bounds how long a request waits for its claim to be joined after a start of
// the host, which is a matter of moments.
const joinPatience = 5 * time.Second

// ofClaim asks the board. A claim that the board does not know, though an attempt of that
// token holds its task, is about to be joined.
func ofClaim[T any](ctx context.Context, e *Engine, token task.Token, ask func() (T, error)) (T, error) {
	ctx, stop := context.WithTimeout(ctx, joinPatience)
	defer stop()
	for {
		v, err := ask()
		if !errors.Is(err, board.ErrUnknown) {
			return v, err
		}
		if e.byToken(token) == nil || ctx.Err() != nil {
			return v, board.Stale()
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
