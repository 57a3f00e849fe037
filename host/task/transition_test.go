package task_test

import (
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

func TestBegin(t *testing.T) {
	was, _ := task.New(someID, "ann", task.Spec{}, task.DefaultLimits(), start)
	was.Handle, was.Node, was.Progress, was.Attempt = []byte("old"), "old", task.Progress{Done: 1}, 4
	now := start.Add(time.Second)
	got := task.Begin(&was, "local", task.Token{7}, false, now).Task
	if got.State != task.Running || got.Waiting != task.WaitNone || got.Attempt != 5 || got.Token != (task.Token{7}) || got.Executor != "local" ||
		got.Handle != nil || got.Node != "" || got.Progress != (task.Progress{}) || !got.StartedAt.Equal(now) || got.Version != was.Version {
		t.Errorf("begun: %+v", got)
	}
	got = task.Begin(&was, "fleet", task.Token{7}, true, now).Task
	if got.State != task.Pending || got.Waiting != task.WaitDispatched || got.Attempt != 5 || !got.StartedAt.IsZero() {
		t.Errorf("dispatched: %+v", got)
	}
	c, err := task.Started(&got, []byte("h"), "w1", now)
	if err != nil {
		t.Fatal(err)
	}
	if n := c.Task; n.State != task.Running || n.Node != "w1" || string(n.Handle) != "h" || !c.SetHandle || !n.StartedAt.Equal(now) {
		t.Errorf("started: %+v", n)
	}
	sound(t, got, c, now)
	if c.Event.Message != "on w1" {
		t.Errorf("the event says %q", c.Event.Message)
	}
	if c, err := task.Started(&got, nil, "", now); err != nil || c.Event.Message != "" {
		t.Errorf("started on no node: %+v, %v", c.Event, err)
	}
	again, err := task.Started(&c.Task, []byte("h2"), "w2", now)
	if err != nil || again.Event != nil || string(again.Task.Handle) != "h2" || again.Task.State != task.Running {
		t.Errorf("started twice: %+v, %v", again, err)
	}
	for _, s := range []task.State{task.Canceling, task.Succeeded, task.Canceled} {
		if _, err := task.Started(new(in(s)), nil, "", now); task.CodeOf(err) != task.CodeConflict {
			t.Errorf("started while %s: %v", s, err)
		}
	}
}

func TestCheckpointed(t *testing.T) {
	was := running()
	was.Lost = 2
	c, err := task.Checkpointed(&was, []byte("c"), start)
	if err != nil || c.Event != nil || !c.SetCheckpoint || string(c.Task.Checkpoint) != "c" || c.Task.Lost != 0 || c.Task.State != task.Running {
		t.Errorf("%+v, %v", c, err)
	}
	for _, s := range []task.State{task.Pending, task.Failed} {
		if _, err := task.Checkpointed(new(in(s)), nil, start); task.CodeOf(err) != task.CodeConflict {
			t.Errorf("a checkpoint while %s: %v", s, err)
		}
	}
}

// TestRequests: what each request does in each state.
func TestRequests(t *testing.T) {
	now := start.Add(time.Minute)
	pending := in(task.Pending)
	pending.Waiting = task.WaitQueued
	at := func(s task.State) task.Task {
		if s == task.Pending {
			return pending
		}
		return in(s)
	}
	for _, c := range []struct {
		from                   task.State
		cancel, retry, overdue string // the state after it, or the code of the error
	}{
		{task.Pending, "canceled", "not_final", "failed"},
		{task.Running, "canceling", "not_final", ""}, // its attempt has a deadline of its own
		{task.Canceling, "canceling", "not_final", "conflict"},
		{task.Reverting, "conflict", "not_final", "conflict"},
		{task.Succeeded, "already_final", "conflict", "already_final"},
		{task.Failed, "already_final", "pending", "already_final"},
		{task.Canceled, "already_final", "pending", "already_final"},
		{task.Skipped, "already_final", "conflict", "already_final"},
		{task.Reverted, "already_final", "pending", "already_final"},
		{task.RevertFailed, "already_final", "conflict", "already_final"},
	} {
		for _, r := range []struct {
			name, want string
			do         func() (task.Change, error)
		}{
			{"cancel", c.cancel, func() (task.Change, error) { return task.Cancel(new(at(c.from)), "ann", now) }},
			{"retry", c.retry, func() (task.Change, error) { return task.Retry(new(at(c.from)), "ann", now) }},
			{"overdue", c.overdue, func() (task.Change, error) { return task.Overdue(new(at(c.from)), now) }},
		} {
			if r.want == "" {
				continue
			}
			change, err := r.do()
			got := string(task.CodeOf(err))
			if err == nil {
				got = change.Task.State.String()
			}
			if got != r.want {
				t.Errorf("%s of a task that is %s: %s (%v), want %s", r.name, c.from, got, err, r.want)
			}
			if err == nil && change.Event != nil {
				sound(t, at(c.from), change, now)
			}
		}
	}
}

func TestCancelTwice(t *testing.T) {
	first, err := task.Cancel(new(running()), "ann", start)
	if err != nil || first.Task.RequestedBy != "ann" || !first.Task.CancelRequestedAt.Equal(start) || first.Task.Token.IsZero() {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := task.Cancel(&first.Task, "bob", start.Add(time.Hour))
	if err != nil || second.Event != nil || second.Task.RequestedBy != "ann" {
		t.Errorf("a second cancel: %+v, %v", second, err)
	}
}

func TestRetryIsFresh(t *testing.T) {
	now := start.Add(time.Hour)
	for _, s := range []task.State{task.Failed, task.Canceled, task.Reverted} {
		was := in(s)
		was.Failures, was.Lost, was.Checkpoint, was.Progress = 3, 2, []byte("c"), task.Progress{Done: 4}
		was.FinishedAt, was.ExpiresAt, was.CancelRequestedAt, was.Deadline = start, start, start, start
		was.Error, was.Result, was.ResultType = &task.Failure{Code: "x"}, []byte("r"), "t"
		c, err := task.Retry(&was, "ann", now)
		if err != nil {
			t.Fatal(err)
		}
		n := c.Task
		if n.Failures != 0 || n.Lost != 0 || n.Error != nil || n.Result != nil || n.ResultType != "" || n.Progress != (task.Progress{}) || n.RequestedBy != "" ||
			!n.FinishedAt.IsZero() || !n.ExpiresAt.IsZero() || !n.CancelRequestedAt.IsZero() || !n.Deadline.IsZero() || !n.RunAt.Equal(now) ||
			!c.SetError || !c.SetResult || n.Attempt != was.Attempt || n.Waiting != task.WaitQueued {
			t.Errorf("retry of %s: %+v", s, n)
		}
		if kept := string(n.Checkpoint) == "c"; kept != (s != task.Reverted) {
			t.Errorf("retry of %s has checkpoint %q", s, n.Checkpoint)
		}
	}
}
