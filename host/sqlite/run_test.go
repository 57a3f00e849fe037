package sqlite

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

// insertReady has a stopped store take so many tasks that are ready.
func insertReady(t *testing.T, s *Store, n int) {
	t.Helper()
	insertTogether(t, s, newTasks(t, n, task.Spec{}))
}

func newTasks(t *testing.T, n int, spec task.Spec) []*task.Task {
	t.Helper()
	tasks := make([]*task.Task, n)
	for i := range tasks {
		tasks[i] = newTask(t, spec)
	}
	return tasks
}

// insertTogether has a stopped store take tasks of one submission.
func insertTogether(t *testing.T, s *Store, tasks []*task.Task) {
	t.Helper()
	tk := insertion(t, tasks...)
	s.w.write([]*ticket{tk})
	if err := errors.Join(tk.err, tk.op.(*insertOp).refused); err != nil {
		t.Fatal(err)
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

// TestKeptTasksAreUndone: tasks that a claim read ahead in a transaction which had changed them are
// claimed as they are once that is undone.
func TestKeptTasksAreUndone(t *testing.T) {
	s := stopped(t)
	tasks := newTasks(t, 5, task.Spec{})
	insertTogether(t, s, tasks)
	s.w.ready = readyTasks{} // as after a restart
	s.lanes.Rollback()
	var changes []task.Change
	for i, priority := range map[int]int{1: 5, 2: 0, 3: -5, 4: 9} {
		stored, err := s.Get(t.Context(), task.Scope{All: true}, tasks[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		c, err := task.Reprioritize(&stored, priority, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, c)
	}
	changed := newApplyOp(changes)
	failed := &ticket{op: &failing{claimOp{claim: task.Claim{Executor: "local", Shares: firstLane(1), Max: 1, NewToken: newToken, Now: time.Now()}}}}
	s.w.write([]*ticket{{op: changed}, failed})
	if err := errors.Join(changed.errs...); err != nil || failed.err == nil {
		t.Fatalf("changed: %v, claimed: %v; want it undone", err, failed.err)
	}
	got, err := claimed(t, s, len(tasks))
	if err != nil || len(got) != len(tasks) {
		t.Fatalf("claimed %d of %d: %v", len(got), len(tasks), err)
	}
	for i := range got {
		if got[i].ID != tasks[i].ID || got[i].Priority != 0 {
			t.Errorf("claim %d took seq %d of priority %d", i, got[i].Seq, got[i].Priority)
		}
	}
}

// TestKeptTasksAreNotRead: a claim reads the places of tasks that were just inserted, and
// nothing else of them, also if more came after them than are kept; of a new lane whose tasks
// its window holds not even those.
func TestKeptTasksAreNotRead(t *testing.T) {
	s := stopped(t)
	insertReady(t, s, 100)
	insertTogether(t, s, newTasks(t, readyKept, task.Spec{Input: json.RawMessage(`{"a":1}`)}))
	s.w.st.readyTasks = windowReads{} // running one of them would panic
	s.w.st.taskWhole = nil
	places := s.w.st.readyPlaces
	s.w.st.readyPlaces = windowReads{}
	if got, err := claimed(t, s, 200); len(got) != 200 || err != nil {
		t.Fatalf("claimed %d: %v", len(got), err)
	}
	s.w.st.readyPlaces = places
	if got, err := claimed(t, s, readyWhole+1); len(got) != readyWhole+1 || err != nil || string(got[0].Input) != `{"a":1}` {
		t.Fatalf("claimed %d: %v", len(got), err)
	}
}

// TestHandedOnKeepTheirStarts: tasks that are handed on together, each once more, have each its own
// time of its last attempt until the next begins.
func TestHandedOnKeepTheirStarts(t *testing.T) {
	s := stopped(t)
	insertReady(t, s, 2)
	claim := func(most int, deferred bool, now time.Time) []task.Claimed {
		t.Helper()
		o := &claimOp{claim: task.Claim{Executor: "local", Shares: firstLane(most), Max: most, NewToken: newToken, Deferred: deferred, Now: now}}
		tk := &ticket{op: o}
		if s.w.write([]*ticket{tk}); tk.err != nil || len(o.taken) != most {
			t.Fatalf("claimed %d of %d: %v", len(o.taken), most, tk.err)
		}
		return o.taken
	}
	began := map[task.ID]time.Time{}
	var lost []task.Change
	for i := range 2 {
		n := &claim(1, false, time.UnixMicro(int64(i+1)*1e15))[0].Change.Task
		began[n.ID] = n.StartedAt
		c, err := task.Settle(n, &task.Outcome{Kind: task.OutcomeLost}, task.Backoff{}, time.Now(), 0)
		if err != nil {
			t.Fatal(err)
		}
		lost = append(lost, c)
	}
	o := newApplyOp(lost)
	s.w.write([]*ticket{{op: o}})
	if err := errors.Join(o.errs...); err != nil {
		t.Fatal(err)
	}
	for _, c := range claim(2, true, time.Now()) {
		id := c.Change.Task.ID
		if got, err := s.Get(t.Context(), task.Scope{All: true}, id); err != nil || !got.StartedAt.Equal(began[id]) {
			t.Errorf("task %d began at %s, %v; want %s", got.Seq, got.StartedAt, err, began[id])
		}
	}
}

// TestInputsAreWrittenTogether: the inputs of new tasks are written ten by a statement, also if
// some in between have none or are not written, and are read again.
func TestInputsAreWrittenTogether(t *testing.T) {
	s := stopped(t)
	insertTogether(t, s, newTasks(t, 1, task.Spec{Key: "k"}))
	tasks := newTasks(t, 40, task.Spec{})
	for i := range tasks {
		switch {
		case i == 5: // it is there already
			tasks[i] = newTask(t, task.Spec{Key: "k", OnConflict: task.ConflictExisting, Input: json.RawMessage(`"none"`)})
		case i%4 > 0:
			tasks[i].Input = strconv.AppendInt(nil, int64(i), 10)
		}
	}
	tasks = append(tasks, newTask(t, task.Spec{Input: json.RawMessage(`40`)}))
	s.w.st.inputInsert = nil // running it would panic
	insertTogether(t, s, tasks)
	s.w.ready = readyTasks{}
	got, err := claimed(t, s, 50)
	if err != nil || len(got) != 41 {
		t.Fatalf("claimed %d: %v", len(got), err)
	}
	for i, n := range slices.Delete(tasks, 5, 6) {
		if c := got[i+1]; c.ID != n.ID || string(c.Input) != string(n.Input) {
			t.Errorf("%d has input %s, want %s", i, c.Input, n.Input)
		}
	}
}

// TestInputsOfManyInserts: the inputs of single inserts of a group are written together, and are
// there for whoever in it looks for them.
func TestInputsOfManyInserts(t *testing.T) {
	s := stopped(t)
	with := func(input string, spec task.Spec) *ticket {
		spec.Input = json.RawMessage(input)
		return insertion(t, newTask(t, spec))
	}
	group := make([]*ticket, 2*insertAtOnce)
	for i := range group {
		group[i] = with(strconv.Itoa(i), task.Spec{})
	}
	single := s.w.st.inputInsert
	s.w.st.inputInsert = nil // running it would panic
	s.w.write(group)
	s.w.st.inputInsert = single

	twice := with(`"twice"`, task.Spec{})
	twice.op.(*insertOp).sub.Tasks[0].ID = group[0].op.(*insertOp).sub.Tasks[0].ID
	large := `"` + strings.Repeat("x", readyBytes) + `"` // it is not kept
	claim := &claimOp{claim: task.Claim{Executor: "local", Shares: firstLane(30), Max: 30, NewToken: newToken, Now: time.Now()}}
	replacing := with(`"second"`, task.Spec{Key: "k", OnConflict: task.ConflictReplace})
	s.w.write([]*ticket{with(`"first"`, task.Spec{Key: "k"}), replacing, twice, with(large, task.Spec{}), {op: claim}})
	if c := replacing.op.(*insertOp).sub.Tasks[0].OnConflict.Canceled; c == nil || string(c.Task.Input) != `"first"` {
		t.Errorf("canceled %+v", c)
	}
	var got, want []string
	for _, c := range claim.taken {
		got = append(got, string(c.Change.Task.Input))
	}
	for i := range group {
		want = append(want, strconv.Itoa(i))
	}
	want = append(want, `"second"`, large)
	if !slices.Equal(got, want) || twice.err == nil {
		t.Errorf("inputs %q, want %q; %v", got, want, twice.err)
	}
	rows := int64(0)
	err := s.rows(t.Context(), `SELECT count(*) FROM input`, nil, 1, func(r row) bool { rows = r.int(0); return false })
	if all := int64(len(want) + 1); err != nil || rows != all {
		t.Errorf("%d inputs are on record, want %d: %v", rows, all, err)
	}
}

// TestKeptWaitersAreNotRead: a task that waits for a name is not read when it gets it, nor when it
// is claimed; after a rollback it is read.
func TestKeptWaitersAreNotRead(t *testing.T) {
	s := stopped(t)
	tasks := newTasks(t, 3, task.Spec{Resources: task.Resources{Exclusive: []string{"a"}}})
	insertTogether(t, s, tasks)
	s.w.st.taskWhole = nil // running it would panic
	read := s.w.st.waitingTasks
	end := func(running *task.Task, with ...*ticket) {
		t.Helper()
		ends := newApplyOp([]task.Change{succeeded(t, running)})
		s.w.write(append([]*ticket{{op: ends}}, with...))
		if ends.errs[0] != nil {
			t.Fatal(ends.errs[0])
		}
	}
	claim := func() *task.Task {
		t.Helper()
		got, err := claimed(t, s, 3)
		if err != nil || len(got) != 1 {
			t.Fatalf("claimed %d: %v", len(got), err)
		}
		return &got[0]
	}
	running := claim()
	s.w.st.waitingTasks = nil // likewise
	end(running)
	running = claim()
	if running.ID != tasks[1].ID || running.Version != 3 {
		t.Errorf("claimed %+v", running)
	}
	s.w.st.waitingTasks = read
	undone := false
	end(running, &ticket{op: &guardedOp{do: func(w *writer) (refused, err error) {
		if err = w.grantResources(); err == nil && !undone {
			undone = true
			err = errRunAgain
		}
		return nil, err
	}}})
	if running = claim(); running.ID != tasks[2].ID || running.Version != 3 {
		t.Errorf("claimed %+v", running)
	}
	end(running)
}

// TestKeptQueuesAreNotRead: who waits for a name gets it in the order of coming, and is read only if
// more wait than are kept, also where some leave the queue.
func TestKeptQueuesAreNotRead(t *testing.T) {
	s := stopped(t)
	tasks := newTasks(t, 2*waitersKept+5, task.Spec{Resources: task.Resources{Exclusive: []string{"a"}}})
	insertTogether(t, s, tasks[:waitersKept/2]) // those that come later are asked for in other commits
	insertTogether(t, s, tasks[waitersKept/2:])
	read := s.w.st.waiters
	s.w.st.waiters = nil // running it would panic
	gone := map[int]bool{}
	for _, i := range []int{1, 5, waitersKept + 1, len(tasks) - 1} {
		is, err := s.Get(t.Context(), task.Scope{All: true}, tasks[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		c, err := task.Cancel(&is, "somebody", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		o := newApplyOp([]task.Change{c})
		if s.w.write([]*ticket{{op: o}}); o.errs[0] != nil {
			t.Fatal(o.errs[0])
		}
		gone[i] = true
	}
	for i, want := range tasks {
		if gone[i] {
			continue
		}
		if i == waitersKept-1 { // who is next is the last that is kept
			s.w.st.waiters = read
		}
		got, err := claimed(t, s, 3)
		if err != nil || len(got) != 1 || got[0].ID != want.ID {
			t.Fatalf("claimed %+v instead of task %d: %v", got, i, err)
		}
		o := newApplyOp([]task.Change{succeeded(t, &got[0])})
		if s.w.write([]*ticket{{op: o}}); o.errs[0] != nil {
			t.Fatal(o.errs[0])
		}
	}
}

// TestTasksAreKeptWhole: whatever a task has that is kept, it is claimed with, as if it had been
// read; and no more are kept with all that they have than there is room for.
func TestTasksAreKeptWhole(t *testing.T) {
	at := time.UnixMicro(1.7e15).UTC()
	l := lane.NewSet().Add(1, lane.Key{Type: "noop", Owner: "ann", Executor: "local", Suspect: true})
	plain := task.Task{Seq: 1, ID: newID(), Type: "noop", Owner: "ann", Pinned: "local", Suspect: true, State: task.Pending, Waiting: task.WaitQueued,
		Version: 1, Input: nullInput, CreatedAt: at, RunAt: at, UpdatedAt: at}
	// What no store keeps, what no task has before its first attempt, and what its lane says.
	never := []string{"QueueLimit", "Spawner", "OnConflict", "CreatedBy", "BlockedBy", "WaitReason", "Executor", "Node", "Attempt", "Token", "Handle", "Failures",
		"Lost", "Requeued", "Result", "ResultType", "Error", "Progress", "StartedAt", "FinishedAt", "ExpiresAt", "CancelRequestedAt", "RequestedBy", "Damage"}
	others := map[string]any{"CreatedAt": at.Add(time.Second), "RunAt": at.Add(time.Second), "UpdatedAt": at.Add(time.Second), "Deadline": at, "Input": json.RawMessage(`1`),
		"Labels": map[string]string{"a": "b"}, "Route": task.Route{"a": "b"}, "Resources": task.Resources{Exclusive: []string{"a"}}, "Checkpoint": []byte("c")}
	var kept readyTasks
	for i := range reflect.TypeFor[task.Task]().NumField() {
		name := reflect.TypeFor[task.Task]().Field(i).Name
		if slices.Contains(never, name) || slices.Contains([]string{"Seq", "Type", "Owner", "Pinned", "Suspect", "State", "Waiting"}, name) {
			continue
		}
		n := plain
		switch field := reflect.ValueOf(&n).Elem().Field(i); {
		case others[name] != nil:
			field.Set(reflect.ValueOf(others[name]))
		case field.Kind() == reflect.String:
			field.SetString("s")
		case field.CanInt():
			field.SetInt(7)
		default: // an ID
			field.Set(reflect.ValueOf(newID()))
		}
		kept.keep(n.Seq, &n, l)
		if name == "Group" && kept.whole != 0 {
			t.Error("a member of a group is kept whole, as few can be")
		}
		if got, ok := kept.take(1); !ok || !reflect.DeepEqual(got, n) {
			t.Errorf("with %s a task is kept as %+v, want %+v", name, got, n)
		}
	}
	keepTwice := func(n int64) {
		for range 2 {
			for plain.Seq = range n {
				kept.keep(plain.Seq, &plain, l)
			}
		}
	}
	forget := func(n int64) {
		for seq := range n {
			kept.forget(seq)
		}
	}
	plain.Key = "k"
	keepTwice(readyWhole + 10)
	if _, ok := kept.take(readyWhole + 1); ok || kept.whole != readyWhole {
		t.Errorf("%d tasks are kept whole, want %d", kept.whole, readyWhole)
	}
	forget(readyWhole + 10)
	if kept.whole != 0 {
		t.Errorf("%d tasks are kept whole when all are forgotten", kept.whole)
	}
	plain.Key = ""
	plain.Input = json.RawMessage(strings.Repeat("1", readyBytes))
	const fit = readyInputs / readyBytes
	keepTwice(fit + 10)
	if _, ok := kept.take(fit + 1); ok || kept.inputs != readyInputs {
		t.Errorf("%d bytes of inputs are kept, want %d", kept.inputs, readyInputs)
	}
	forget(fit + 10)
	if kept.inputs != 0 {
		t.Errorf("%d bytes of inputs are kept when all tasks are forgotten", kept.inputs)
	}
}

// ranOn says that a statement of a run ran last on that many rows, from the first on.
func ranOn(t *testing.T, st *stmt, first, rows int64) {
	t.Helper()
	if from, to := st.args[0].Value.(int64), st.args[1].Value.(int64); from != first || to != first+rows-1 {
		t.Errorf("the last run is of rows %d to %d, want %d to %d", from, to, first, first+rows-1)
	}
}

// TestRunsOfManyLanes: what is claimed of some owners in turns, and ends in whatever order, is
// read, begun and ended by a statement each for all that lie beside one another, of the ends for
// those of four owners.
func TestRunsOfManyLanes(t *testing.T) {
	s := stopped(t)
	var owners []string
	var lanes []task.LaneID
	for i := range 6 {
		owners = append(owners, "owner "+strconv.Itoa(i))
		lanes = append(lanes, task.LaneID(i+1))
		tasks := newTasks(t, 20, task.Spec{})
		for _, n := range tasks {
			n.Owner = owners[i]
		}
		insertTogether(t, s, tasks)
	}
	s.w.ready = readyTasks{}
	s.w.st.taskWhole = nil // running it would panic
	s.w.st.taskGuard = nil
	o := &claimOp{claim: task.Claim{Executor: "local", Shares: []task.Share{{Lanes: lanes, Max: 120}}, Max: 120, NewToken: newToken, Now: time.Now()}}
	tk := &ticket{op: o}
	if s.w.write([]*ticket{tk}); tk.err != nil || len(o.taken) != 120 {
		t.Fatal(len(o.taken), tk.err)
	}
	ranOn(t, s.w.st.taskBegin, 1, 120)
	var running []task.Task
	for i := range o.taken {
		n := o.taken[i].Change.Task
		if n.Owner != owners[i%6] {
			t.Fatalf("task %d of the claim is %s's, want %s's", i, n.Owner, owners[i%6])
		}
		running = append(running, n)
	}
	slices.Reverse(running)
	of := func(from, to int64) []task.Task {
		return slices.DeleteFunc(slices.Clone(running), func(n task.Task) bool { return n.Seq < from || n.Seq > to })
	}
	counts := func(want ...int64) {
		t.Helper()
		for i, n := range s.lanes.Count(lanes) {
			if n != (task.LaneCount{Active: want[i]}) {
				t.Errorf("the lane of %s counts %+v, want %d that run", owners[i], n, want[i])
			}
		}
	}
	endRun(t, s, of(11, 70), -1)
	ranOn(t, s.w.st.taskSucceed, 11, 60)
	counts(10, 0, 0, 10, 20, 20)
	endRun(t, s, of(71, 120), -1)
	ranOn(t, s.w.st.taskSucceed, 71, 50)
	endRun(t, s, of(1, 10), -1)
	counts(0, 0, 0, 0, 0, 0)
}

// TestRunOfTooManyLanes: the ends of tasks that lie beside one another, each in a lane of its own,
// are some statements, and a task in another lane than it says is seen to alone.
func TestRunOfTooManyLanes(t *testing.T) {
	s := stopped(t)
	var lanes []task.LaneID
	for i := range 10 {
		tasks := newTasks(t, 1, task.Spec{})
		tasks[0].Owner = "owner " + strconv.Itoa(i)
		insertTogether(t, s, tasks)
		lanes = append(lanes, task.LaneID(i+1))
	}
	o := &claimOp{claim: task.Claim{Executor: "local", Shares: []task.Share{{Lanes: lanes, Max: 10}}, Max: 10, NewToken: newToken, Now: time.Now()}}
	s.w.write([]*ticket{{op: o}})
	var running []task.Task
	for i := range o.taken {
		running = append(running, o.taken[i].Change.Task)
	}
	guard := s.w.st.taskGuard
	s.w.st.taskGuard = nil // running it would panic
	endRun(t, s, running[:8], -1)
	ranOn(t, s.w.st.taskSucceed, 5, 4)
	s.w.st.taskGuard = guard
	if _, err := s.w.conn.Exec("UPDATE task SET lane = 1 WHERE seq = 9", nil); err != nil {
		t.Fatal(err)
	}
	endRun(t, s, running[8:], -1)
	if n := s.lanes.Count(lanes); n[0].Active != -1 || n[8].Active != 1 || n[9].Active != 0 {
		t.Errorf("the lanes count %+v: the ninth task was ended in the lane that it names, and not in that of its row", n)
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
	cancel, err := task.Cancel(&got[3], "somebody", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	o := newApplyOp([]task.Change{cancel})
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
	var changes []task.Change
	for i, r := range run {
		c, err := task.Settle(&r, &task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, time.Now().Add(time.Duration(i)*time.Second), 0)
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, c)
	}
	ends := newApplyOp(changes)
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
		want := c.Task.FinishedAt.Truncate(time.Microsecond)
		var expires time.Time // never
		if c.Task.Retain > 0 {
			expires = want.Add(c.Task.Retain)
		}
		if ends.errs[i] != nil || is.State != task.Succeeded || is.Version != c.Task.Version+1 ||
			!is.FinishedAt.Equal(want) || !is.UpdatedAt.Equal(want) || !is.ExpiresAt.Equal(expires) {
			t.Errorf("task %d is %s, finished %s, want %s, expires %s, want %s: %v", c.Task.Seq, is.State, is.FinishedAt, want, is.ExpiresAt, expires, ends.errs[i])
		}
	}
}

// TestRunsOfStarts: dispatched tasks that start on one node are written by one statement, and one
// that changed meanwhile is refused alone.
func TestRunsOfStarts(t *testing.T) {
	s := stopped(t)
	insertReady(t, s, 8)
	claim := &claimOp{claim: task.Claim{Executor: "fleet", Shares: firstLane(8), Max: 8, Deferred: true, NewToken: newToken, Now: time.Now()}}
	s.w.write([]*ticket{{op: claim}})
	if len(claim.taken) != 8 {
		t.Fatalf("claimed %d", len(claim.taken))
	}
	cancel, err := task.Cancel(&claim.taken[3].Change.Task, "somebody", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.w.write([]*ticket{{op: newApplyOp([]task.Change{cancel})}})
	now := time.Now().Truncate(time.Microsecond)
	var changes []task.Change
	for i := range claim.taken {
		node := "one"
		if i > 5 {
			node = "two"
		}
		c, err := task.Started(&claim.taken[i].Change.Task, []byte("handle of "+node), node, now)
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, c)
	}
	starts := newApplyOp(changes)
	s.w.write([]*ticket{{op: starts}})
	for i, c := range starts.changes {
		is, err := s.Get(t.Context(), task.Scope{All: true}, c.Task.ID)
		switch {
		case err != nil:
			t.Error(err)
		case i == 3:
			if task.CodeOf(starts.errs[i]) != task.CodeConflict || is.State == task.Running {
				t.Errorf("the start of a task that was canceled: %v, it is %s", starts.errs[i], is.State)
			}
		case starts.errs[i] != nil || is.State != task.Running || is.Node != c.Task.Node || string(is.Handle) != "handle of "+c.Task.Node || is.Version != 3 || !is.StartedAt.Equal(now):
			t.Errorf("task %d is %s on %q since %s, version %d: %v", i, is.State, is.Node, is.StartedAt, is.Version, starts.errs[i])
		}
	}
}

// TestRunsAreKeptForEver: of tasks without a time to be removed at, one statement writes the ends,
// though their times differ.
func TestRunsAreKeptForEver(t *testing.T) {
	s := stopped(t)
	insertTogether(t, s, newTasks(t, 8, task.Spec{Retain: new(time.Duration)}))
	got, err := claimed(t, s, 8)
	if len(got) != 8 || err != nil {
		t.Fatalf("claimed %d: %v", len(got), err)
	}
	s.w.st.taskGuard = nil // running it, for one alone, would panic
	endRun(t, s, got, -1)
}

// TestInsertedTogether: among tasks of which ten are one statement, those that are more than
// plain have what is theirs, and all are in the order in which they came.
func TestInsertedTogether(t *testing.T) {
	s := stopped(t)
	stays, goes := newTask(t, task.Spec{Key: "stays"}), newTask(t, task.Spec{Key: "goes"})
	insertTogether(t, s, []*task.Task{stays, goes})
	tasks := newTasks(t, 60, task.Spec{})
	tasks[13].CreatedBy = task.Via("ann", "schedule", newID())
	tasks[25] = newTask(t, task.Spec{Key: "stays", OnConflict: task.ConflictExisting})
	tasks[36] = newTask(t, task.Spec{Key: "goes", OnConflict: task.ConflictReplace})
	tasks[47] = newTask(t, task.Spec{Resources: task.Resources{Exclusive: []string{"one"}}})
	tasks[48] = newTask(t, task.Spec{Resources: task.Resources{Exclusive: []string{"one"}}})
	tasks[59] = newTask(t, task.Spec{Key: "own"})
	insertTogether(t, s, tasks)
	last := int64(2)
	for i, n := range tasks {
		is, err := s.Get(t.Context(), task.Scope{All: true}, n.ID)
		if i == 25 {
			if task.CodeOf(err) != task.CodeNotFound || n.Existing() != stays.ID {
				t.Errorf("task %d, whose key another has: %v, instead of it there is %s", i, err, n.Existing())
			}
			continue
		}
		waiting := task.WaitQueued
		if i == 48 {
			waiting = task.WaitResource
		}
		if last++; err != nil || is.Seq != last || is.State != task.Pending || is.Waiting != waiting {
			t.Errorf("task %d has place %d, want %d, and is %s, %s: %v", i, is.Seq, last, is.State, is.Waiting, err)
		}
		if h, err := s.History(t.Context(), task.Scope{All: true}, n.ID, 0); err != nil || len(h) != 1 || h[0].By != n.Creator() {
			t.Errorf("task %d has the history %+v: %v", i, h, err)
		}
	}
	if is, err := s.Get(t.Context(), task.Scope{All: true}, goes.ID); err != nil || is.State != task.Canceled || is.Key != "" {
		t.Errorf("the task that was replaced is %s: %v", is.State, err)
	}
	if n := s.lanes.Count([]task.LaneID{1})[0]; n != (task.LaneCount{Ready: 59, Waiting: 1}) {
		t.Errorf("the lane counts %+v", n)
	}
}

// TestLimitsOfRuns: each of many new tasks is held against what those before it count, and the
// ends of those that limits count are found in the lanes in which they are.
func TestLimitsOfRuns(t *testing.T) {
	s := stopped(t)
	limit := func(most int64) {
		t.Helper()
		tk := &ticket{op: &limitsOp{map[string]task.StartLimits{"noop": {Concurrency: []task.Concurrency{{Max: most, By: "label:tenant"}}}}}}
		if s.w.write([]*ticket{tk}); tk.err != nil {
			t.Fatal(tk.err)
		}
	}
	limit(1)
	tasks := newTasks(t, 20, task.Spec{Labels: map[string]string{"tenant": "a"}})
	for _, n := range tasks {
		*n = task.Begin(n, "local", newToken(), false, n.CreatedAt).Task
	}
	insertTogether(t, s, tasks)
	counts := func(want ...task.LaneCount) {
		t.Helper()
		if got := s.lanes.Count([]task.LaneID{1, 2}); !slices.Equal(got, want) {
			t.Fatalf("the lanes count %+v, want %+v", got, want)
		}
	}
	counts(task.LaneCount{Active: 1}, task.LaneCount{Ready: 19}) // these wait where nobody looks while the limit is reached
	limit(20)
	o := &claimOp{claim: task.Claim{Executor: "local", Shares: []task.Share{{Lanes: []task.LaneID{1, 2}, Max: 20}}, Max: 20, NewToken: newToken, Now: time.Now()}}
	s.w.write([]*ticket{{op: o}})
	running := []task.Task{}
	for i := range o.taken {
		running = append(running, o.taken[i].Change.Task)
	}
	counts(task.LaneCount{Active: 1}, task.LaneCount{Active: 19})
	s.w.st.taskGuard = nil // running it would panic
	endRun(t, s, running, -1)
	counts(task.LaneCount{Active: 1}, task.LaneCount{})
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

// TestHandedOnIsTold: the history of tasks that were handed on, began and succeeded has no row
// of its own, whether they were handed on as they were made or by a claim.
func TestHandedOnIsTold(t *testing.T) {
	s := stopped(t)
	made := newTasks(t, 3, task.Spec{})
	for _, n := range made {
		*n = task.Begin(n, "fleet", newToken(), true, n.CreatedAt).Task
	}
	insertTogether(t, s, made)
	insertReady(t, s, 3)
	o := &claimOp{claim: task.Claim{Executor: "fleet", Shares: firstLane(3), Max: 3, Deferred: true, NewToken: newToken, Now: time.Now()}}
	s.w.write([]*ticket{{op: o}})
	stored := func(id task.ID) task.Task {
		is, err := s.Get(t.Context(), task.Scope{All: true}, id)
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	var waiting []task.Task
	for _, n := range made {
		waiting = append(waiting, stored(n.ID))
	}
	for i := range o.taken {
		waiting = append(waiting, o.taken[i].Change.Task)
	}
	if len(waiting) != 6 {
		t.Fatalf("%d tasks were handed on", len(waiting))
	}
	s.w.st.historyInsert = nil // running it would panic
	var starts []task.Change
	now := time.Now()
	for _, n := range waiting {
		c, err := task.Started(&n, []byte("h"), "w1", now)
		if err != nil {
			t.Fatal(err)
		}
		starts = append(starts, c)
	}
	s.w.write([]*ticket{{op: newApplyOp(starts)}})
	var running []task.Task
	for _, n := range waiting {
		running = append(running, stored(n.ID))
	}
	endRun(t, s, running, -1)
	for _, n := range running {
		h, err := s.History(t.Context(), task.Scope{All: true}, n.ID, 0)
		if err != nil || len(h) != int(n.Version)+1 || h[len(h)-3].Attempt != 1 || h[len(h)-3].To != task.Pending || h[len(h)-1].To != task.Succeeded {
			t.Errorf("task %d of version %d has the history %+v: %v", n.Seq, n.Version, h, err)
		}
	}
}
