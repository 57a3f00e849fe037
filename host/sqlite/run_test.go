package sqlite

import (
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// insertReady has a stopped store take so many tasks that are ready.
func insertReady(t *testing.T, s *Store, n int) {
	t.Helper()
	tasks := make([]*task.Task, n)
	for i := range tasks {
		tasks[i] = newTask(t, task.Spec{})
	}
	tk := insertion(t, tasks...)
	s.w.write([]*ticket{tk})
	if tk.err != nil {
		t.Fatal(tk.err)
	}
}

// claimed has a stopped store begin attempts at the first ready tasks.
func claimed(t *testing.T, s *Store, n int) ([]task.Task, error) {
	t.Helper()
	o := &claimOp{claim: task.Claim{Executor: "local", Shares: firstLane(n), Max: n, NewToken: newToken, Now: time.Now()}}
	tk := &ticket{op: o}
	s.w.write([]*ticket{tk})
	tasks := make([]task.Task, len(o.taken))
	for i := range tasks {
		tasks[i] = o.taken[i].Change.Task
	}
	return tasks, tk.err
}

// TestKeptTasksAreNotRead: a claim reads the places of tasks that were just inserted, and
// nothing else of them.
func TestKeptTasksAreNotRead(t *testing.T) {
	s := stopped(t)
	insertReady(t, s, 1000)
	s.w.st.readyTasks = windowReads{} // running one of them would panic
	s.w.st.taskWhole = nil
	if got, err := claimed(t, s, 600); len(got) != 600 || err != nil {
		t.Fatalf("claimed %d: %v", len(got), err)
	}
}

// TestRuns: of tasks that one statement writes, each has its own token and time, and one
// that changed meanwhile is refused alone.
func TestRuns(t *testing.T) {
	s := stopped(t)
	insertReady(t, s, 8)
	got, err := claimed(t, s, 8)
	if len(got) != 8 || err != nil {
		t.Fatalf("claimed %d: %v", len(got), err)
	}
	for _, want := range got {
		if is, err := s.Get(t.Context(), task.Scope{All: true}, want.ID); err != nil || is.State != task.Running || is.Token != want.Token || is.Version != 2 {
			t.Errorf("task %d is %s, version %d, with token %x, want %x: %v", want.Seq, is.State, is.Version, is.Token, want.Token, err)
		}
	}
	cancel, err := task.Cancel(got[3], "somebody", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	o := &applyOp{changes: []task.Change{cancel}, routes: make([]string, 1), errs: make([]error, 1)}
	s.w.write([]*ticket{{op: o}})
	if o.errs[0] != nil {
		t.Fatal(o.errs[0])
	}
	endRun(t, s, got[5:], -1)
	endRun(t, s, got[:5], 3)
	if n := s.lanes.Count([]task.LaneID{1})[0]; n != (task.LaneCount{Active: 1}) {
		t.Errorf("the lane counts %+v", n)
	}
}

// endRun has all of them succeed, one each second, and sees that they did but the canceled one.
func endRun(t *testing.T, s *Store, run []task.Task, canceled int) {
	t.Helper()
	ends := &applyOp{routes: make([]string, len(run)), errs: make([]error, len(run))}
	for i, r := range run {
		c, err := task.Settle(r, task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, time.Now().Add(time.Duration(i)*time.Second), 0)
		if err != nil {
			t.Fatal(err)
		}
		ends.changes = append(ends.changes, c)
	}
	s.w.write([]*ticket{{op: ends}})
	for i, c := range ends.changes {
		is, err := s.Get(t.Context(), task.Scope{All: true}, c.Task.ID)
		if err != nil {
			t.Fatal(err)
		}
		if i == canceled {
			if task.CodeOf(ends.errs[i]) != task.CodeConflict || is.State != task.Canceling {
				t.Errorf("the end of a task that was canceled: %v, it is %s", ends.errs[i], is.State)
			}
			continue
		}
		if want := c.Task.FinishedAt.Truncate(time.Microsecond); ends.errs[i] != nil || is.State != task.Succeeded || is.Version != 3 ||
			!is.FinishedAt.Equal(want) || !is.UpdatedAt.Equal(want) || !is.ExpiresAt.Equal(want.Add(c.Task.Retain)) {
			t.Errorf("task %d is %s, finished %s, want %s: %v", c.Task.Seq, is.State, is.FinishedAt, want, ends.errs[i])
		}
	}
}

// TestClaimOfAStaleTask: a task that is kept otherwise than it is on record begins no attempt,
// nor do those that are claimed with it; the next claim reads it.
func TestClaimOfAStaleTask(t *testing.T) {
	s := stopped(t)
	insertReady(t, s, 5)
	if _, err := s.w.conn.Exec(`UPDATE task SET version = 7 WHERE seq = 3`, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := claimed(t, s, 5); err == nil {
		t.Fatalf("claimed %d", len(got))
	}
	got, err := claimed(t, s, 5)
	if len(got) != 5 || err != nil || got[2].Version != 8 {
		t.Fatalf("claimed %+v: %v", got, err)
	}
}
