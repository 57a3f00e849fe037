package storetest

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// settleEveryWay stores each outcome and wants back exactly what Settle made of it.
func settleEveryWay(s *suite) {
	details := map[string]any{"exit": 3.0, "signal": "KILL"}
	for _, c := range []struct {
		name string
		o    task.Outcome
		want task.LaneCount
	}{
		{"succeeded", task.Outcome{Kind: task.OutcomeSucceeded, Result: []byte(`[1]`), ResultType: "application/json"}, task.LaneCount{}},
		{"failed, to be retried", task.Outcome{Kind: task.OutcomeFailed, Message: "oops", Details: details}, task.LaneCount{Waiting: 1}},
		{"failed for good", task.Outcome{Kind: task.OutcomeFailed, Code: task.FailurePermanent, Message: "never", Permanent: true}, task.LaneCount{}},
		{"lost", task.Outcome{Kind: task.OutcomeLost}, task.LaneCount{Ready: 1}},
		{"lost, and suspect", task.Outcome{Kind: task.OutcomeLost, Suspect: true}, task.LaneCount{Ready: 1}},
		{"released", task.Outcome{Kind: task.OutcomeReleased}, task.LaneCount{Waiting: 1}},
		{"yielded until a time", task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Until: start.Add(time.Hour), Checkpoint: []byte("c")}}, task.LaneCount{Waiting: 1}},
		{"yielded until children are done", task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Children: true}}, task.LaneCount{Waiting: 1}},
		{"yielded until resumed", task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Resume: true}}, task.LaneCount{Waiting: 1}},
	} {
		t := s.run(task.Spec{Input: []byte(`{}`)})
		change, err := task.Settle(&t, &c.o, task.Backoff{Initial: time.Minute}, start.Add(2*time.Second), 0)
		s.apply(change, err)
		want := change.Task
		want.Version++
		s.Log(c.name)
		equal(s.T, s.get(t.ID), want)
		s.wantCount(c.want)
		// The next case begins with an empty store.
		if want := s.get(t.ID); !want.State.Final() {
			s.apply(task.Cancel(&want, "ann", start.Add(3*time.Second)))
		}
		s.must(s.handle().Delete(s.ctx, all, t.ID))
		s.wantCount(task.LaneCount{})
	}
	t := s.run(task.Spec{})
	s.apply(task.Cancel(&t, "ann", start.Add(2*time.Second)))
	t = s.get(t.ID)
	if t.State != task.Canceling || t.RequestedBy != "ann" || t.CancelRequestedAt.IsZero() || t.Token.IsZero() {
		s.Fatalf("canceling: %+v", t)
	}
	s.settle(t, task.Outcome{Kind: task.OutcomeCanceled, Unconfirmed: true})
	if t = s.get(t.ID); t.State != task.Canceled || t.Error.Details["confirmed"] != false {
		s.Fatalf("canceled: %+v", t)
	}
}

func conflicts(s *suite) {
	waiting := s.insert(task.Spec{})[0]
	running := s.claim(1)[0]
	for name, c := range map[string]struct {
		change func(*task.Change)
		t      task.Task
	}{
		"old version":    {func(c *task.Change) { c.Task.Version-- }, running},
		"future version": {func(c *task.Change) { c.Task.Version++ }, running},
		"other attempt":  {func(c *task.Change) { c.FromAttempt++ }, running},
		"other state":    {func(c *task.Change) { c.From = task.Canceling }, running},
		"no such task":   {func(c *task.Change) { c.Task.Seq += 1000 }, running},
	} {
		for _, o := range []task.Outcome{{Kind: task.OutcomeSucceeded}, {Kind: task.OutcomeFailed}} {
			change, err := task.Settle(&c.t, &o, task.Backoff{}, start.Add(time.Second), 0)
			s.must(err)
			c.change(&change)
			errs := s.handle().Apply(s.ctx, []task.Change{change})
			if len(errs) != 1 || task.CodeOf(errs[0]) != task.CodeConflict {
				s.Fatalf("%s: %v, want a conflict", name, errs)
			}
		}
	}
	// The change that was decided on what has since changed.
	change, err := task.Cancel(&waiting, "ann", start)
	s.must(err)
	if errs := s.handle().Apply(s.ctx, []task.Change{change}); task.CodeOf(errs[0]) != task.CodeConflict {
		s.Fatalf("cancel of a task that was claimed since: %v, want a conflict", errs[0])
	}
	equal(s.T, s.get(running.ID), running)
	s.wantCount(task.LaneCount{Active: 1})
	if n := len(s.history(running.ID)); n != 2 {
		s.Fatalf("refused changes left events: %d, want 2", n)
	}
	s.succeed(running)
	if errs := s.handle().Apply(s.ctx, []task.Change{must(task.Settle(&running, &task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, start, 0))}); task.CodeOf(errs[0]) != task.CodeConflict {
		s.Fatalf("the same attempt settled twice: %v", errs[0])
	}
}

func must(c task.Change, _ error) task.Change { return c }

func changesFailAlone(s *suite) {
	s.insert(task.Spec{}, task.Spec{}, task.Spec{})
	ts := s.claim(3)
	var changes []task.Change
	for i, t := range ts {
		c := must(task.Settle(&t, &task.Outcome{Kind: task.OutcomeSucceeded, Result: []byte("1"), ResultType: "application/json"}, task.Backoff{}, start.Add(time.Second), 0))
		if i == 1 {
			c.Task.Version = 77
		}
		changes = append(changes, c)
	}
	// A change that leaves a row no task may be in: canceling without an attempt.
	broken := must(task.Cancel(&ts[1], "ann", start))
	broken.Task.Token = task.Token{}
	changes = append(changes, broken)
	errs := s.handle().Apply(s.ctx, changes)
	if errs[0] != nil || task.CodeOf(errs[1]) != task.CodeConflict || errs[2] != nil || errs[3] == nil {
		s.Fatalf("got %v, want only the second and the fourth refused", errs)
	}
	for i, want := range []task.State{task.Succeeded, task.Running, task.Succeeded} {
		if got := s.get(ts[i].ID); got.State != want {
			s.Fatalf("task %d is %s, want %s", i, got.State, want)
		}
	}
	s.wantCount(task.LaneCount{Active: 1})
	if errs := s.handle().Apply(s.ctx, nil); len(errs) != 0 {
		s.Fatalf("no changes: %v", errs)
	}
}

func checkpointAndHandle(s *suite) {
	t := s.run(task.Spec{})
	s.apply(task.Checkpointed(&t, []byte("one"), start.Add(time.Second)))
	t = s.get(t.ID)
	s.apply(task.Started(&t, []byte("h"), "n1", start.Add(time.Second)))
	t = s.get(t.ID)
	if string(t.Checkpoint) != "one" || string(t.Handle) != "h" || t.Node != "n1" || t.State != task.Running || t.Version != 4 {
		s.Fatalf("stored %+v", t)
	}
	if n := len(s.history(t.ID)); n != 2 {
		s.Fatalf("%d events: a checkpoint and a handle are no transitions", n)
	}
	s.settle(t, task.Outcome{Kind: task.OutcomeLost})
	t = s.claim(1)[0]
	if string(t.Checkpoint) != "one" || t.Handle != nil || t.Node != "" {
		s.Fatalf("the next attempt has checkpoint %q, handle %q, node %q", t.Checkpoint, t.Handle, t.Node)
	}
	equal(s.T, s.get(t.ID), t)
}

func retryByHand(s *suite) {
	t := s.run(task.Spec{Key: "k"})
	s.settle(t, task.Outcome{Kind: task.OutcomeFailed, Permanent: true, Message: "bad", Details: map[string]any{"n": 1.0}})
	failed := s.get(t.ID)
	if failed.Error == nil || failed.Error.Message != "bad" || failed.Failures != 1 || failed.ExpiresAt.IsZero() {
		s.Fatalf("failed: %+v", failed)
	}
	s.apply(task.Retry(&failed, "ann", start.Add(time.Minute)))
	again := s.get(t.ID)
	if again.State != task.Pending || again.Error != nil || again.Failures != 0 || !again.FinishedAt.IsZero() || !again.ExpiresAt.IsZero() || again.Attempt != 1 {
		s.Fatalf("retried: %+v", again)
	}
	s.wantCount(task.LaneCount{Ready: 1})
	t = s.claim(1)[0]
	if t.Attempt != 2 {
		s.Fatalf("attempt %d, want 2: the number goes on", t.Attempt)
	}
	s.apply(task.Cancel(&t, "ann", start.Add(time.Minute)))
	s.settle(s.get(t.ID), task.Outcome{Kind: task.OutcomeSucceeded, Result: []byte("x"), ResultType: "text/plain"})
	if got := s.get(t.ID); got.State != task.Succeeded || string(got.Result) != "x" || got.Error != nil {
		s.Fatalf("finished its work before it heard of the cancel: %+v", got)
	}
}

func progress(s *suite) {
	t := s.run(task.Spec{})
	note := func(attempt int, p task.Progress) {
		s.Helper()
		s.must(s.handle().SaveProgress(s.ctx, []task.ProgressNote{{Seq: t.Seq, Attempt: attempt, Progress: p, At: start.Add(5 * time.Second)}, {Seq: t.Seq + 99, Attempt: 1, At: start}}))
	}
	half := task.Progress{Done: 5, Total: 10, Message: "half"}
	note(1, half)
	got := s.get(t.ID)
	if got.Progress != half || got.Version != t.Version || got.State != task.Running {
		s.Fatalf("noted: %+v", got)
	}
	note(2, task.Progress{Done: 9})
	if got := s.get(t.ID); got.Progress != half {
		s.Fatalf("progress of another attempt was noted: %+v", got.Progress)
	}
	s.succeed(t) // decided on a task read before the note
	note(1, task.Progress{Done: 9})
	if got := s.get(t.ID); got.Progress != half {
		s.Fatalf("after the end the progress is %+v, want what was noted last: %+v", got.Progress, half)
	}
	s.must(s.handle().SaveProgress(s.ctx, nil))

	t = s.run(task.Spec{})
	note(1, half)
	t = s.get(t.ID)
	t.Progress = task.Progress{Done: 10, Total: 10}
	s.settle(t, task.Outcome{Kind: task.OutcomeLost})
	if got := s.get(t.ID); got.Progress != t.Progress {
		s.Fatalf("a change with progress left %+v", got.Progress)
	}
	if got := s.claim(1)[0]; got.Progress != (task.Progress{}) || s.get(t.ID).Progress != (task.Progress{}) {
		s.Fatalf("a new attempt begins with progress %+v", got.Progress)
	}
}

func promote(s *suite) {
	at := func(d time.Duration) task.Spec { return task.Spec{RunAt: start.Add(d)} }
	ts := s.insert(at(3*time.Hour), at(time.Hour), at(2*time.Hour), task.Spec{})
	s.wantCount(task.LaneCount{Ready: 1, Waiting: 3})
	for _, c := range []struct {
		now   time.Duration
		limit int
		n     int
		next  time.Duration
	}{
		{0, 10, 0, time.Hour}, {time.Hour, 10, 1, 2 * time.Hour}, {4 * time.Hour, 1, 1, 3 * time.Hour}, {4 * time.Hour, 10, 1, 0},
	} {
		n, next, err := s.handle().Promote(s.ctx, start.Add(c.now), c.limit)
		s.must(err)
		var want time.Time
		if c.next > 0 {
			want = start.Add(c.next)
		}
		if n != c.n || !next.Equal(want) {
			s.Fatalf("at %s promoted %d, next %s; want %d, %s", c.now, n, next, c.n, want)
		}
	}
	s.wantCount(task.LaneCount{Ready: 4})
	if t := s.get(ts[0].ID); t.Waiting != task.WaitQueued || t.Version != 2 {
		s.Fatalf("promoted: %+v", t)
	}
	if got := ids(s.claim(4)); !slices.Equal(got, ids(ts)) {
		s.Fatalf("claimed %v, want by age %v", got, ids(ts))
	}
}

func overdue(s *suite) {
	ts := s.insert(task.Spec{Deadline: start.Add(time.Hour)}, task.Spec{}, task.Spec{Deadline: start.Add(time.Minute), Key: "k", Input: []byte(`"large"`)}, task.Spec{Deadline: start.Add(2 * time.Minute)})
	s.claim(1) // the first is running, and its deadline its attempt's business
	got, err := s.handle().Overdue(s.ctx, start.Add(2*time.Hour), 10)
	s.must(err)
	if want := []task.ID{ts[2].ID, ts[3].ID}; !slices.Equal(ids(got), want) || got[0].Input != nil {
		s.Fatalf("overdue %v, want %v without their inputs", ids(got), want)
	}
	if got, err := s.handle().Overdue(s.ctx, start.Add(90*time.Second), 10); err != nil || len(got) != 1 {
		s.Fatalf("overdue %v, %v, want one", ids(got), err)
	}
	if got, err := s.handle().Overdue(s.ctx, start.Add(2*time.Hour), 1); err != nil || len(got) != 1 {
		s.Fatalf("overdue %v, %v, want as many as asked for", ids(got), err)
	}
	s.apply(task.Overdue(&got[0], start.Add(2*time.Hour)))
	if t := s.get(ts[2].ID); t.State != task.Failed || t.Error.Code != task.FailureTimeout {
		s.Fatalf("overdue: %+v", t)
	}
}

func inFlight(s *suite) {
	batch := make([]*task.Task, 300)
	for i := range batch {
		batch[i] = s.make(task.Spec{Input: []byte(`{"n":1}`)})
		if i%3 == 0 {
			*batch[i] = task.Begin(batch[i], "local", newToken(), false, start).Task
		}
	}
	s.put(batch...)
	want := map[task.ID]bool{}
	for i, t := range batch {
		switch {
		case i%3 == 0 && i%2 == 0:
			s.succeed(*t)
		case i%3 == 0:
			want[t.ID] = true
		}
	}
	for _, t := range s.claim(7) {
		want[t.ID] = true
	}
	check := func() {
		s.Helper()
		seen := map[task.ID]bool{}
		for after := int64(0); ; {
			ts, err := s.handle().InFlight(s.ctx, "", after, 10)
			s.must(err)
			if len(ts) == 0 {
				break
			}
			for _, t := range ts {
				if t.Seq <= after || seen[t.ID] || !want[t.ID] || t.Token.IsZero() || string(t.Input) != `{"n":1}` {
					s.Fatalf("held after %d: %+v", after, t)
				}
				seen[t.ID], after = true, t.Seq
			}
		}
		if len(seen) != len(want) {
			s.Fatalf("%d tasks are held, want %d", len(seen), len(want))
		}
	}
	check()
	s.reopen()
	check()
	s.wantCount(task.LaneCount{Ready: 193, Active: int64(len(want))})
}

func deleteExpired(s *suite) {
	short, long := time.Hour, 100*time.Hour
	var batch []*task.Task
	for i := range 50 {
		retain := &short
		if i%2 == 1 {
			retain = &long
		}
		t := s.make(task.Spec{Retain: retain, Input: []byte(`1`), Key: string(rune('a' + i))})
		*t = task.Begin(t, "local", newToken(), false, start).Task
		batch = append(batch, t)
	}
	s.put(batch...)
	for _, t := range batch[:40] {
		s.succeed(*t)
	}
	forEver := s.make(task.Spec{Retain: new(time.Duration)})
	*forEver = task.Begin(forEver, "local", newToken(), false, start).Task
	s.put(forEver)
	s.succeed(*forEver)
	if got := s.get(forEver.ID); !got.ExpiresAt.IsZero() || got.Damage != "" {
		s.Fatalf("a task that is kept for ever expires at %v (%s)", got.ExpiresAt, got.Damage)
	}
	retired := 0
	pass := func(now time.Time) {
		s.Helper()
		for more := true; more; {
			gone, m, err := s.handle().DeleteExpired(s.ctx, now, 7)
			s.must(err)
			if len(gone) > 7 {
				s.Fatalf("retired %d at once, want 7 at the most", len(gone))
			}
			for _, id := range gone {
				_, err := s.handle().Get(s.ctx, all, id)
				s.wantCode(err, task.CodeNotFound)
			}
			retired, more = retired+len(gone), m
		}
	}
	pass(start.Add(30 * time.Minute))
	if retired != 0 {
		s.Fatalf("retired %d tasks before their time", retired)
	}
	pass(start.Add(10 * time.Hour))
	if retired != 20 {
		s.Fatalf("retired %d, want the 20 that are done and kept for an hour", retired)
	}
	_, err := s.handle().Get(s.ctx, all, batch[0].ID)
	s.wantCode(err, task.CodeNotFound)
	s.get(batch[1].ID)
	s.get(batch[48].ID)
	s.insert(task.Spec{Key: "a"}) // its key is free again
	pass(start.Add(1000 * time.Hour))
	if retired != 40 {
		s.Fatalf("retired %d, want 40", retired)
	}
	s.get(forEver.ID)
	s.wantCount(task.LaneCount{Ready: 1, Active: 10})
}

func deleteTask(s *suite) {
	t := s.run(task.Spec{Input: []byte(`1`)})
	s.must(s.handle().AppendLogs(s.ctx, t.Seq, []task.LogLine{{Seq: 1, At: start, Attempt: 1, Level: "info", Message: "m"}}))
	s.wantCode(s.handle().Delete(s.ctx, all, t.ID), task.CodeNotFinal)
	s.wantCode(s.handle().Delete(s.ctx, all, id()), task.CodeNotFound)
	s.succeed(t)
	s.wantCode(s.handle().Delete(s.ctx, task.Scope{Owner: "eve"}, t.ID), task.CodeNotFound)
	s.must(s.handle().Delete(s.ctx, mine, t.ID))
	_, err := s.handle().Get(s.ctx, all, t.ID)
	s.wantCode(err, task.CodeNotFound)
	_, err = s.handle().History(s.ctx, all, t.ID, 0)
	s.wantCode(err, task.CodeNotFound)
	_, err = s.handle().Logs(s.ctx, all, t.ID, task.LogFilter{})
	s.wantCode(err, task.CodeNotFound)
	s.wantCode(s.handle().Delete(s.ctx, mine, t.ID), task.CodeNotFound)
	// Lines that come late are nobody's.
	s.must(s.handle().AppendLogs(s.ctx, t.Seq, []task.LogLine{{Seq: 2, At: start, Attempt: 1, Level: "info", Message: "late"}}))
}

func reopen(s *suite) {
	ts := s.insert(task.Spec{Priority: 3, Labels: map[string]string{"a": "b"}}, task.Spec{RunAt: start.Add(time.Hour)}, task.Spec{Type: "other"}, task.Spec{Input: []byte(`[1]`)})
	running := s.claim(1)[0]
	lost := s.claim(1)[0]
	s.settle(lost, task.Outcome{Kind: task.OutcomeLost})
	paused := s.insert(task.Spec{Type: "rest"})[0]
	got := s.claim(5, s.lanes()[len(s.lanes())-1])
	if len(got) != 1 || got[0].ID != paused.ID {
		s.Fatalf("claimed %v", ids(got))
	}
	s.settle(got[0], task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Resume: true}})
	before := map[task.ID]task.Task{}
	for _, t := range append(ts, paused) {
		before[t.ID] = s.get(t.ID)
	}
	counts := task.LaneCount{Ready: 2, Waiting: 2, Active: 1}
	s.wantCount(counts)
	perLane := func() map[task.Lane]task.LaneCount {
		out := map[task.Lane]task.LaneCount{}
		for _, l := range s.handle().Lanes(0) {
			if n := s.count(l.ID); n != (task.LaneCount{}) {
				l.ID = 0 // of the process
				out[l] = n
			}
		}
		return out
	}
	lanes := perLane()
	s.reopen()
	if got := perLane(); !maps.Equal(got, lanes) {
		s.Fatalf("lanes %+v, want %+v", got, lanes)
	}
	s.wantCount(counts)
	for id, want := range before {
		equal(s.T, s.get(id), want)
	}
	s.succeed(running)
	next := s.insert(task.Spec{})[0]
	if next.Seq <= paused.Seq {
		s.Fatalf("after a restart Seq %d follows %d", next.Seq, paused.Seq)
	}
	if got := s.claim(10); len(got) != 3 {
		s.Fatalf("claimed %d tasks after a restart, want 3", len(got))
	}
	if h := s.history(running.ID); !reflect.DeepEqual([]int64{h[0].Seq, h[1].Seq, h[2].Seq}, []int64{1, 2, 3}) {
		s.Fatalf("history %+v", h)
	}
}
