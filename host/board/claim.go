package board

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// MaxCheckpoint bounds what a worker saves for the next attempt, in bytes.
const MaxCheckpoint = sdk.MaxCheckpoint

// claim is one attempt that a worker has.
type claim struct {
	board    *Board
	token    sdk.Token
	task     task.ID
	taskType string
	attempt  int
	suspect  bool
	executor string
	reporter sdk.Reporter
	handle   handle

	out     chan ended    // takes the one outcome
	settled chan struct{} // closed once the attempt's end is on record

	// What follows is guarded by board.mu.
	lease Lease
	stop  Stop
	ended bool // an outcome is in out: the claim is nobody's any more
}

// ended is how a claim ended, as Execute returns it.
type ended struct {
	result sdk.Result
	err    error
}

// end takes the outcome; board.mu is held, and the claim has not ended.
func (c *claim) end(o ended) {
	c.ended = true
	c.out <- o
}

// lapse is the end of a claim whose worker has not spoken for the lease.
func (c *claim) lapse() ended {
	if c.stop == StopTimeout {
		return ended{err: sdk.FailedWith(sdk.Outcome{Kind: sdk.OutcomeFailed, Code: sdk.CodeTimeout, Details: map[string]string{"confirmed": "false"},
			Message: fmt.Sprintf("attempt timed out, and worker %s did not say that it stopped", c.handle.Worker)})}
	}
	return ended{err: sdk.FailedWith(sdk.Outcome{Kind: sdk.OutcomeLost, Code: sdk.CodeExecutorLost,
		Message: fmt.Sprintf("worker %s was not heard for its lease of %s", c.handle.Worker, c.handle.Lease)})}
}

// tellStop has the worker hear, when it next speaks, that the task is to stop.
func (c *claim) tellStop(why Stop) {
	b := c.board
	b.mu.Lock()
	defer b.mu.Unlock()
	c.stop = why
	if why.Ends() {
		c.lease = c.lease.Stopped(b.clock)
	}
}

// letGo leaves the claim to the next host; false if it has ended, and its outcome is to be taken.
func (c *claim) letGo() bool {
	c.board.mu.Lock()
	defer c.board.mu.Unlock()
	if c.ended {
		return false
	}
	delete(c.board.claims, c.token)
	return true
}

func (c *claim) notSuspect() {
	c.board.mu.Lock()
	defer c.board.mu.Unlock()
	c.countSuspect(-1)
}

func (c *claim) countSuspect(by int) { c.board.countSuspect(c.handle.Worker, c.suspect, by) }

// countSuspect counts what suspects a worker has; b.mu is held.
func (b *Board) countSuspect(worker string, suspect bool, by int) {
	if !suspect {
		return
	}
	if b.suspects[worker] += by; b.suspects[worker] <= 0 {
		delete(b.suspects, worker)
	}
}

// settle forgets a claim whose attempt's end is on record, whoever brought it about.
func (b *Board) settle(token sdk.Token) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.claims[token]; c != nil {
		delete(b.claims, token)
		close(c.settled)
	}
	if e, ok := b.expected[token]; ok { // it was ended before it was executed
		delete(b.expected, token)
		b.countSuspect(e.ask.Worker, e.suspect, -1)
		e.ask.coming--
		e.ask.signal()
	}
}

// Heard answers a worker that has spoken.
type Heard struct {
	Task       task.ID
	LeaseUntil time.Time
	Stop       Stop
}

// ErrUnknown is of a token that the board knows no claim of. It may be one that an
// earlier host gave and that is about to be joined.
var ErrUnknown = errors.New("no claim has this token")

// Stale is the error of a token that is not current.
func Stale() error {
	return task.Errorf(task.CodeStaleClaim, "no claim is held with this token: its lease lapsed, or it was ended before; stop working on its task, and claim anew")
}

// hear finds the claim that the scope's worker speaks of, and has its lease begin anew.
func (b *Board) hear(s task.Scope, token task.Token) (*claim, Heard, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, err := b.find(s, token)
	if err != nil {
		return nil, Heard{}, err
	}
	c.lease = c.lease.Heard(b.clock+tickEvery, b.opts.Grace)
	return c, Heard{Task: c.task, LeaseUntil: b.shown(c.lease), Stop: c.stop}, nil
}

// find is the claim of a token; b.mu is held.
func (b *Board) find(s task.Scope, token task.Token) (*claim, error) {
	c := b.claims[sdk.Token(token)]
	switch {
	case b.closed && (c == nil || !c.ended):
		return nil, ending()
	case c == nil:
		return nil, ErrUnknown
	case c.ended, c.lease.Lapsed(b.clock), !s.All && c.handle.Owner != s.Owner:
		return nil, Stale()
	}
	return c, nil
}

// Renew has the lease of a claim begin anew. Errors: stale_claim, store_unavailable if the
// host ends, and ErrUnknown; so do those of the other methods that take a token.
func (b *Board) Renew(s task.Scope, token task.Token) (Heard, error) {
	_, h, err := b.hear(s, token)
	return h, err
}

// Progress says how far the worker is.
func (b *Board) Progress(s task.Scope, token task.Token, p task.Progress) (Heard, error) {
	c, h, err := b.hear(s, token)
	if err == nil {
		c.reporter.Progress(p.Done, p.Total, p.Message)
	}
	return h, err
}

// Line is one line of a worker's log.
type Line struct {
	Level   string // trace, debug, info, warn or error
	Message string
	Fields  map[string]string
}

// MaxLines bounds the lines that are logged at once.
const MaxLines = 1000

// Log keeps lines of the worker's log with the attempt's.
func (b *Board) Log(s task.Scope, token task.Token, lines []Line) (Heard, error) {
	c, h, err := b.hear(s, token)
	if err != nil {
		return h, err
	}
	log := c.reporter.Log()
	for _, l := range lines {
		var args []any
		for k, v := range l.Fields {
			args = append(args, k, v)
		}
		log.Log(hclog.LevelFromString(l.Level), l.Message, args...)
	}
	return h, nil
}

// Checkpoint keeps data for the next attempt. It is on record when this returns.
func (b *Board) Checkpoint(s task.Scope, token task.Token, data []byte) (Heard, error) {
	c, h, err := b.hear(s, token)
	if err != nil {
		return h, err
	}
	if err := c.reporter.Checkpoint(data); err != nil {
		if task.CodeOf(err) == task.CodeStoreFull || task.CodeOf(err) == task.CodeStoreUnavailable {
			return h, err
		}
		return h, Stale() // others have ended it meanwhile
	}
	return h, nil
}

// Type is the task type of a claim.
func (b *Board) Type(s task.Scope, token task.Token) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, err := b.find(s, token)
	if err != nil {
		return "", err
	}
	return c.taskType, nil
}

// Finish says that the task is done.
func (b *Board) Finish(ctx context.Context, s task.Scope, token task.Token, res sdk.Result) (task.ID, error) {
	return b.endClaim(ctx, s, token, func(*claim) ended { return ended{result: res} })
}

// Failure is why a worker did not do a task.
type Failure struct {
	Message    string
	Permanent  bool
	RetryAfter time.Duration
	Code       string // script_failed, or permanent, if empty
	Details    map[string]string
}

// Fail says that the worker could not do the task. It is tried again by its own rules,
// unless the failure is permanent.
func (b *Board) Fail(ctx context.Context, s task.Scope, token task.Token, f Failure) (task.ID, error) {
	if f.Code == "" {
		f.Code = sdk.CodeScriptFailed
		if f.Permanent {
			f.Code = sdk.CodePermanent
		}
	}
	return b.endClaim(ctx, s, token, func(*claim) ended {
		return ended{err: sdk.FailedWith(sdk.Outcome{Kind: sdk.OutcomeFailed, Code: f.Code, Message: f.Message, Details: f.Details,
			Permanent: f.Permanent, RetryAfter: f.RetryAfter})}
	})
}

// Release gives the task back: the worker says that nothing was done of it. It costs no
// attempt. One that is to be paused rests until it is resumed.
func (b *Board) Release(ctx context.Context, s task.Scope, token task.Token) (task.ID, error) {
	return b.endClaim(ctx, s, token, func(c *claim) ended {
		if c.stop == StopPause {
			return ended{err: sdk.YieldUntilResumed(nil)}
		}
		return ended{err: sdk.FailedWith(sdk.Outcome{Kind: sdk.OutcomeReleased, Message: "released by worker " + c.handle.Worker})}
	})
}

// Trash says that the task is no use to anybody: it fails for good, with the reason.
func (b *Board) Trash(ctx context.Context, s task.Scope, token task.Token, reason string) (task.ID, error) {
	return b.endClaim(ctx, s, token, func(*claim) ended {
		return ended{err: sdk.FailedWith(sdk.Outcome{Kind: sdk.OutcomeFailed, Code: task.FailureTrashed, Message: reason, Permanent: true})}
	})
}

// endClaim ends a claim, and returns once that is on record.
func (b *Board) endClaim(ctx context.Context, s task.Scope, token task.Token, how func(*claim) ended) (task.ID, error) {
	b.mu.Lock()
	c, err := b.find(s, token)
	if err != nil {
		b.mu.Unlock()
		return task.ID{}, err
	}
	c.end(how(c))
	b.mu.Unlock()
	select {
	case <-c.settled:
		return c.task, nil
	case <-ctx.Done():
		return c.task, ctx.Err()
	}
}

// Abandon gives back what was claimed for a worker that never got the answer.
func (b *Board) Abandon(claims []Claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.abandon(claims)
}

// abandon is Abandon with b.mu held.
func (b *Board) abandon(claims []Claim) {
	for _, got := range claims {
		if c := b.claims[got.Token]; c != nil && !c.ended {
			c.end(ended{err: sdk.ErrReleased})
		}
	}
}
