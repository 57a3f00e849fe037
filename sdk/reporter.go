package sdk

import (
	"context"
	"errors"

	"github.com/hashicorp/go-hclog"
)

// A Reporter is how an attempt speaks while it runs. It belongs to the one attempt
// that it was given with, and may be used from many goroutines, until Execute returns;
// after that all its methods do nothing. Started and Checkpoint wait for
// the host to write down what they say, also after the context has ended: a script that
// is told to stop may save where it was. Progress and Log never wait.
type Reporter interface {
	// Started is for executors that hand attempts on (Info.Deferred): the
	// attempt has begun on node, and handle is what finds it again after a
	// crash of the host. Durable when it returns without error; an error means
	// that the attempt is no longer wanted and must be stopped.
	Started(handle []byte, node string) error
	// StartedSoon is Started for executors of many short attempts, which must not wait: done
	// is called once, from a goroutine of its own, with what Started would return. Those that are said
	// at about the same time are written down together.
	StartedSoon(handle []byte, node string, done func(error))
	// Progress says how far the attempt is, in units of the script's choice;
	// total 0 means unknown. Cheap: it never blocks, and the host writes down
	// only a few a second.
	Progress(done, total int64, message string)
	// Log is a logger whose lines belong to this attempt and can be followed by
	// clients. Lines are dropped, and counted, before they hold up anything.
	Log() hclog.Logger
	// Checkpoint saves data for the next attempt, in place of what was saved
	// before. Durable when it returns without error. At most 1 MiB.
	Checkpoint(data []byte) error
	// Spawn makes a child of the attempt's task, of the same owner, and gives the id of its
	// task. A child of that name that is there already, say because an earlier attempt
	// made it, is that child, whatever else c says, if it is of the same type. The child
	// is on record when Spawn returns without error, and goes on whatever becomes of the
	// attempt; a cancel of its parent cancels it. It waits in its parent's place in the
	// queue. To wait for it without a slot return YieldForChildren.
	//
	// The error says what to do, as it is: it is permanent (see Permanent) if the same
	// would be refused again, and to be retried later (see RetryAfter) if the queue is full.
	// If ctx ends first the child may be there all the same.
	Spawn(ctx context.Context, c Child) (id string, err error)

	reporter() // sealed, so that it can grow: NewReporter makes one
}

// MaxCheckpoint bounds what Reporter.Checkpoint and a Yield can save, in bytes.
const MaxCheckpoint = 1 << 20

// ReporterFuncs is what whoever runs an executor gives to NewReporter: a function for
// each thing an attempt may say. A nil function makes that call do nothing.
type ReporterFuncs struct {
	Started func(handle []byte, node string) error
	// StartedSoon calls done from another goroutine; nil if Started is to be called in one.
	StartedSoon func(handle []byte, node string, done func(error))
	Progress    func(done, total int64, message string)
	Checkpoint  func(data []byte) error
	// Spawn takes a child whose Input is a json.RawMessage. Without it no child can be
	// made, which is a permanent error.
	Spawn func(ctx context.Context, c Child) (id string, err error)
	// Line takes what the attempt logs: hclog's level, the message, and keys and
	// values in turn.
	Line func(level hclog.Level, msg string, args []string)
}

// NewReporter makes the Reporter of one attempt.
func NewReporter(to ReporterFuncs) Reporter {
	return &reporter{funcs: to, log: lineLogger{write: to.Line}}
}

type reporter struct {
	funcs ReporterFuncs
	log   lineLogger
}

func (r *reporter) reporter() {}

func (r *reporter) Started(handle []byte, node string) error {
	if r.funcs.Started == nil {
		return nil
	}
	return r.funcs.Started(handle, node)
}

func (r *reporter) StartedSoon(handle []byte, node string, done func(error)) {
	if r.funcs.StartedSoon == nil {
		go func() { done(r.Started(handle, node)) }()
		return
	}
	r.funcs.StartedSoon(handle, node, done)
}

func (r *reporter) Progress(done, total int64, message string) {
	if r.funcs.Progress != nil {
		r.funcs.Progress(done, total, message)
	}
}

func (r *reporter) Log() hclog.Logger { return &r.log }

func (r *reporter) Checkpoint(data []byte) error {
	if len(data) > MaxCheckpoint {
		return Permanent(errCheckpointTooLarge)
	}
	if r.funcs.Checkpoint == nil {
		return nil
	}
	return r.funcs.Checkpoint(data)
}

func (r *reporter) Spawn(ctx context.Context, c Child) (id string, err error) {
	if err = c.prepare(); err != nil {
		return "", Permanent(spawnError(c.Name, err))
	}
	if r.funcs.Spawn == nil {
		return "", Permanent(spawnError(c.Name, errNoChildren))
	}
	return r.funcs.Spawn(ctx, c)
}

var errNoChildren = errors.New("whoever runs this attempt takes no children")
