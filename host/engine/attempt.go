package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/secret"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// attempt is one run of a task on an executor, from its record to its settlement.
// Its changes of the task are made one at a time, by whoever has the turn; no lock is
// held while one is on its way to the disk.
type attempt struct {
	engine   *Engine
	executor *registry.Executor
	share    *registry.Share
	id       task.ID
	taskType string
	seq      int64
	number   int
	token    task.Token
	rejoin   bool // an earlier host process started it
	// minVersion is the oldest version of its type that may run it, as its executor was told.
	minVersion string

	ctx   sdk.AttemptContext
	turn  chan struct{} // full while a change is under way
	notes notes
	// secrets are those of the task's input, once the attempt was given that.
	secrets atomic.Pointer[secret.Texts]

	mu     sync.Mutex
	hold   hold
	task   *task.Task // as last committed; changed by who has the turn, who may read it without mu
	isBack bool       // it came back: neither its timeout nor the grace matters any more
	// graceTimer runs once its context has ended with a cause, until it is back.
	graceTimer *time.Timer
	pausedBy   string // who asked it to rest; "" if nobody did
	acked      bool   // its executor was told that it may forget it
	// children is about how many the task has, no fewer.
	children int
}

// hold is whether the attempt holds its task.
type hold uint8

const (
	holding  hold = iota // what becomes of the task is for this attempt to say
	settled              // it was said, or someone else has the task
	detached             // this host has let go of it: it is the next one's
)

// stopClock says that the attempt came back: neither its timeout nor the grace matters any more. a.mu is held.
func (a *attempt) stopClock() {
	a.isBack = true
	a.ctx.Unlimit()
	if a.graceTimer != nil {
		a.graceTimer.Stop()
	}
}

// attemptOf is the attempt that runs the task in this process, if there is one.
func (e *Engine) attemptOf(id task.ID) *attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.attempts[id]
}
