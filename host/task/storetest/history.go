package storetest

import (
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// historyOfAnyLife leads tasks through lives of every kind, and wants all that happened
// told, once and in order, whatever of it a store keeps where.
func historyOfAnyLife(s *suite) {
	chance := rand.New(rand.NewPCG(1, 2))
	for n := range 80 {
		if n%20 == 19 {
			s.reopen()
		}
		l := &life{suite: s, chance: chance, at: start}
		l.begin()
		l.check()
		for range chance.IntN(12) {
			l.step()
			l.check()
		}
		l.end()
		l.check()
	}
}

// life is one task and what is to be told of it.
type life struct {
	*suite
	chance *rand.Rand
	at     time.Time
	task   task.Task
	events []task.Event
}

func (l *life) later() time.Time {
	l.at = l.at.Add(time.Duration(1+l.chance.IntN(1000)) * time.Millisecond)
	return l.at
}

// begin inserts a task: waiting for a slot or a time, running, or handed on.
func (l *life) begin() {
	t := l.make(task.Spec{})
	if l.chance.IntN(3) == 0 {
		t.CreatedBy = task.Via("ann", "schedule", id())
	}
	switch l.chance.IntN(4) {
	case 0:
		*t = task.Begin(t, "local", newToken(), false, start).Task
	case 1:
		*t = task.Begin(t, "fleet", newToken(), true, start).Task
	case 2:
		t.Waiting, t.RunAt = task.WaitScheduled, start.Add(time.Second)
	}
	l.put(t)
	l.task = *t
	l.events = append(l.events, task.Event{Seq: 1, At: start, To: t.State, Attempt: t.Attempt, By: t.Creator()})
}

// end leaves nothing that the next task's claim could take.
func (l *life) end() {
	if l.task.State.Active() {
		l.settle(task.Outcome{Kind: task.OutcomeFailed, Permanent: true})
	}
	if l.task.State == task.Pending {
		l.change(task.Cancel(&l.task, "ann", l.later()))
	}
}

// step has something happen to the task that may happen in its state.
func (l *life) step() {
	t := l.task
	switch {
	case t.State == task.Succeeded:
		l.revert()
	case t.State == task.Failed, t.State == task.Canceled:
		l.change(task.Retry(&t, "ann", l.later()))
	case t.State == task.Pending && t.Waiting == task.WaitScheduled:
		l.change(task.Due(&t, l.later()))
	case t.State == task.Pending && t.Waiting == task.WaitQueued:
		l.claimIt()
	case t.State == task.Pending && t.Waiting == task.WaitDispatched:
		l.handedOn()
	case t.State.Active():
		l.running()
	}
}

// revert has a task that has succeeded be undone, or begins to.
func (l *life) revert() {
	now := l.later()
	c := task.Change{Task: l.task, From: task.Succeeded, FromAttempt: l.task.Attempt,
		Event: &task.Event{At: now, From: task.Succeeded, To: task.Reverting, Attempt: l.task.Attempt, By: task.ByHost}}
	c.Task.State, c.Task.Token, c.Task.UpdatedAt = task.Reverting, newToken(), now
	l.change(c, nil)
}

func (l *life) claimIt() {
	if l.chance.IntN(5) == 0 {
		l.change(task.Cancel(&l.task, "ann", l.later()))
		return
	}
	lanes := l.lanes()
	claimed, err := l.handle().Claim(l.ctx, task.Claim{Executor: "x", Shares: []task.Share{{Lanes: lanes, Max: 1}}, Max: 1,
		Deferred: l.chance.IntN(3) == 0, Now: l.later(), NewToken: newToken})
	l.must(err)
	if len(claimed) != 1 {
		l.Fatalf("claimed %d tasks, want the one that waits", len(claimed))
	}
	l.took(*claimed[0].Change)
}

func (l *life) handedOn() {
	switch l.chance.IntN(5) {
	case 0:
		l.settle(task.Outcome{Kind: task.OutcomeReleased, Message: "no room"})
	case 1:
		l.change(task.Started(&l.task, nil, "", l.later()))
	default:
		l.change(task.Started(&l.task, []byte("h"), "w1", l.later()))
	}
}

func (l *life) running() {
	t := l.task
	switch l.chance.IntN(10) {
	case 0:
		l.change(task.Checkpointed(&t, []byte("c"), l.later()))
	case 1:
		if t.State == task.Running {
			l.change(task.Started(&t, []byte("h2"), "w2", l.later()))
		}
	case 2:
		l.must(l.handle().SaveProgress(l.ctx, []task.ProgressNote{{Seq: t.Seq, Attempt: t.Attempt, Progress: task.Progress{Done: 1}, At: l.later()}}))
	case 3:
		if t.State == task.Running {
			l.change(task.Cancel(&t, "ann", l.later()))
		}
	case 4:
		l.settle(task.Outcome{Kind: task.OutcomeFailed, Message: "no luck"})
	case 5:
		l.settle(task.Outcome{Kind: task.OutcomeLost, Message: "gone"})
	case 6:
		l.task.Progress = task.Progress{Done: 2}
		l.settle(task.Outcome{Kind: task.OutcomeSucceeded})
	default:
		l.settle(task.Outcome{Kind: task.OutcomeSucceeded, Result: []byte("1"), ResultType: "application/json"})
	}
}

func (l *life) settle(o task.Outcome) {
	l.change(task.Settle(&l.task, &o, task.Backoff{Initial: time.Minute}, l.later(), 0))
}

func (l *life) change(c task.Change, err error) {
	l.Helper()
	l.apply(c, err)
	c.Task.Version++
	l.took(c)
}

// took takes up a change that is on record.
func (l *life) took(c task.Change) {
	l.task = c.Task
	if c.Event != nil {
		e := *c.Event
		e.Seq = c.Task.Version
		l.events = append(l.events, e)
	}
}

func (l *life) check() {
	l.Helper()
	if got := l.history(l.task.ID); !reflect.DeepEqual(got, l.events) {
		l.Fatalf("a task that is %s has the history\n%+v, want\n%+v", l.task.State, got, l.events)
	}
	at := l.chance.IntN(len(l.events))
	got, err := l.handle().History(l.ctx, all, l.task.ID, l.events[at].Seq)
	l.must(err)
	if want := l.events[at+1:]; len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
		l.Fatalf("a task that is %s has after %d the history\n%+v, want\n%+v", l.task.State, l.events[at].Seq, got, want)
	}
}
