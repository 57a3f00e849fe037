package sqlite

import (
	"database/sql"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/task"
)

// oldStore makes a store of that schema in a new directory, and has fill write into it.
func oldStore(t *testing.T, schema int64, fill func(exec func(string, ...any))) string {
	t.Helper()
	dir := t.TempDir()
	db, err := sql.Open("sqlite3", writerDSN(filepath.Join(dir, FileName)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := provider(db)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	fill(func(query string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestHistoryOfAnOldStore: tasks of a store whose rows told nothing of their history by
// themselves have the history that they had, and it goes on.
func TestHistoryOfAnOldStore(t *testing.T) {
	const at = 1_700_000_000_000_000
	want := map[task.ID][]task.Event{}
	var running task.ID
	dir := oldStore(t, 1, func(exec func(string, ...any)) {
		exec(`INSERT INTO lane (id, type, owner, route, executor, suspect) VALUES (1, 'noop', 'ann', '', '', 0)`)
		exec(`INSERT INTO in_flight_block (block) VALUES (0)`)
		for seq, path := range [][]task.State{
			{task.Pending}, {task.Running}, {task.Pending, task.Running}, {task.Pending, task.Running, task.Succeeded},
			{task.Running, task.Pending, task.Running, task.Failed},
		} {
			id, from, attempt := newID(), task.None, 0
			for i, to := range path {
				e := task.Event{Seq: int64(i + 1), At: fromMicros(at + int64(i)), From: from, To: to, By: task.ByHost}
				if i == 0 {
					e.By = "ann"
				}
				if to == task.Running {
					attempt++
				}
				e.Attempt = attempt
				want[id] = append(want[id], e)
				exec(`INSERT INTO history (task, n, at, from_state, to_state, attempt, by) VALUES (?, ?, ?, ?, ?, ?, nullif(?, 'host'))`,
					seq+1, e.Seq, micros(e.At), e.From, e.To, e.Attempt, e.By)
				from = to
			}
			waiting, finished := 0, any(nil)
			var token []byte
			switch from {
			case task.Pending:
				waiting = 1
			case task.Running:
				tk := newToken()
				token = tk[:]
				running = id
			default:
				finished = at + len(path) - 1
			}
			exec(`INSERT INTO task (seq, id, lane, state, waiting, priority, attempt, version, token, failures, max_attempts, lost, max_lost, timeout, retain,
created_at, run_at, started_at, finished_at, expires_at, updated_at, result) VALUES (?, ?, 1, ?, ?, 0, ?, ?, ?, 0, 3, 0, 3, 1000000, 1000000, ?, ?, ?, ?, ?, ?, 0)`,
				seq+1, id[:], from, waiting, attempt, len(path), token, at, at, at+1, finished, finished, at)
		}
	})
	s := openStore(t, dir)
	check := func() {
		t.Helper()
		for id, events := range want {
			got, err := s.History(t.Context(), task.Scope{All: true}, id, 0)
			if err != nil || !reflect.DeepEqual(got, events) {
				t.Errorf("history\n%+v, %v, want\n%+v", got, err, events)
			}
		}
		if r, err := Check(t.Context(), dir, nil); err != nil || !r.OK() {
			t.Errorf("%+v, %v", r, err)
		}
	}
	check()
	r, err := s.Get(t.Context(), task.Scope{All: true}, running)
	if err != nil {
		t.Fatal(err)
	}
	c, err := task.Settle(&r, &task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), []task.Change{c})[0]; err != nil {
		t.Fatal(err)
	}
	want[running] = append(want[running], task.Event{Seq: 3, At: fromMicros(micros(c.Event.At)), From: task.Running, To: task.Succeeded, Attempt: 1, By: task.ByHost})
	check()
}

// TestHandedOnInAnOldStore: an attempt that was handed on when that was a row of the history
// goes on, and is told once.
func TestHandedOnInAnOldStore(t *testing.T) {
	const at = 1_700_000_000_000_000
	id := newID()
	dir := oldStore(t, 18, func(exec func(string, ...any)) {
		token := newToken()
		exec(`INSERT INTO lane (id, type, owner, route, executor, suspect, child, label_values) VALUES (1, 'noop', 'ann', '', '', 0, 0, '')`)
		exec(`INSERT INTO in_flight_block (block) VALUES (0)`)
		exec(`INSERT INTO task (seq, id, lane, state, waiting, priority, attempt, version, token, executor, failures, max_attempts, lost, max_lost, timeout, retain, created_at, run_at, updated_at, result)
VALUES (1, ?, 1, ?, ?, 0, 1, 2, ?, 'fleet', 0, 3, 0, 3, 0, 0, ?, ?, ?, 0)`, id[:], task.Pending, task.WaitDispatched, token[:], at, at, at)
		exec(`INSERT INTO history (task, n, at, from_state, to_state, attempt, message) VALUES (1, 2, ?, ?, ?, 1, 'dispatched to fleet')`, at+1, task.Pending, task.Pending)
	})
	s := openStore(t, dir)
	want := []task.Event{{Seq: 1, At: fromMicros(at), To: task.Pending, By: "ann"},
		{Seq: 2, At: fromMicros(at + 1), From: task.Pending, To: task.Pending, Attempt: 1, By: task.ByHost, Message: "dispatched to fleet"}}
	check := func() task.Task {
		t.Helper()
		got, err := s.History(t.Context(), task.Scope{All: true}, id, 0)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("history\n%+v, %v, want\n%+v", got, err, want)
		}
		if r, err := Check(t.Context(), dir, nil); err != nil || !r.OK() {
			t.Fatalf("%+v, %v", r, err)
		}
		is, err := s.Get(t.Context(), task.Scope{All: true}, id)
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	apply := func(c task.Change, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(t.Context(), []task.Change{c})[0]; err != nil {
			t.Fatal(err)
		}
		e := *c.Event
		e.Seq = c.Task.Version + 1
		want = append(want, e)
	}
	handed := check()
	apply(task.Started(&handed, []byte("h"), "w1", fromMicros(at+2)))
	running := check()
	apply(task.Settle(&running, &task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, fromMicros(at+3), 0))
	check()
}

// TestResourcesOfAnOldStore: who held resources or waited for them in a store that kept its
// claims by their names, or by their tasks, does so still, and the order goes on.
func TestResourcesOfAnOldStore(t *testing.T) {
	for _, version := range []int64{12, 25} {
		t.Run(strconv.FormatInt(version, 10), func(t *testing.T) { resourcesOfAnOldStore(t, version) })
	}
}

func resourcesOfAnOldStore(t *testing.T, version int64) {
	const at = 1_700_000_000_000_000
	var ids []task.ID
	dir := oldStore(t, version, func(exec func(string, ...any)) {
		exec(`INSERT INTO lane (id, type, owner, route, executor, suspect, child, label_values) VALUES (1, 'noop', 'ann', '', '', 0, 0, '')`)
		for seq := range 3 {
			id := newID()
			ids = append(ids, id)
			waiting := task.WaitResource
			if seq == 0 {
				waiting = task.WaitQueued
			}
			exec(`INSERT INTO task (seq, id, lane, state, waiting, priority, attempt, version, failures, max_attempts, lost, max_lost, timeout, retain, created_at, run_at, updated_at, result, resources)
VALUES (?, ?, 1, ?, ?, 0, 0, 1, 0, 3, 0, 3, 0, 0, ?, ?, ?, 0, '{"exclusive":["disk"],"shared":["net"]}')`, seq+1, id[:], task.Pending, waiting, at, at, at)
			exec(`INSERT INTO resource_claim (owner, name, place, task, mode, held, since) VALUES ('ann', 'disk', ?, ?, ?, ?, ?)`, seq+1, seq+1, resource.Exclusive, seq == 0, at)
			exec(`INSERT INTO resource_claim (owner, name, place, task, mode, held, since) VALUES ('ann', 'net', ?, ?, ?, 1, ?)`, seq+1, seq+1, resource.Shared, at)
		}
	})
	s := openStore(t, dir)
	for _, id := range ids {
		disk, err := s.Resource(t.Context(), task.Scope{Owner: "ann"}, "disk")
		if err != nil || disk.Held != 1 || disk.Holders[0].Task != id {
			t.Fatalf("%+v, %v: it is the turn of %s", disk, err, id)
		}
		got, err := s.Get(t.Context(), task.Scope{All: true}, id)
		if err != nil || got.Waiting != task.WaitQueued {
			t.Fatalf("it waits for %s, %v", got.Waiting, err)
		}
		c, err := task.Cancel(&got, "ann", fromMicros(at))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(t.Context(), []task.Change{c})[0]; err != nil {
			t.Fatal(err)
		}
	}
	if page, err := s.Resources(t.Context(), task.Scope{All: true}, "", 0); err != nil || len(page.Resources) > 0 {
		t.Errorf("there are left %+v, %v", page, err)
	}
}

// TestTrashedMembersOfAnOldStore: members that were trashed while they were counted as failed
// are counted apart, and go from there.
func TestTrashedMembersOfAnOldStore(t *testing.T) {
	const at = 1_700_000_000_000_000
	id, other := newID(), newID()
	var trashed task.ID
	dir := oldStore(t, 18, func(exec func(string, ...any)) {
		exec(`INSERT INTO lane (id, type, owner, route, executor, suspect, child, label_values) VALUES (1, 'noop', 'ann', '', '', 0, 0, '')`)
		exec(`INSERT INTO task_group (id, owner, created_at, closed_at, finished_at, failed) VALUES (?, 'ann', ?, ?, ?, 2)`, id[:], at, at, at)
		exec(`INSERT INTO task_group (id, owner, created_at, failed) VALUES (?, 'ann', ?, 1)`, other[:], at)
		for seq, code := range []string{task.FailureScript, task.FailureTrashed} {
			trashed = newID()
			exec(`INSERT INTO task (seq, id, lane, state, waiting, priority, attempt, version, failures, max_attempts, lost, max_lost, timeout, retain, created_at, run_at, started_at, finished_at, expires_at, updated_at, result, group_id, error_code, error_attempt)
VALUES (?, ?, 1, ?, 0, 0, 1, 3, 0, 3, 0, 3, 1000000, 0, ?, ?, ?, ?, ?, ?, 0, ?, ?, 1)`, seq+1, trashed[:], task.Failed, at, at, at, at, int64(never), at, id[:], code)
		}
	})
	s := openStore(t, dir)
	want := func(id task.ID, failed, trashed int64) {
		t.Helper()
		g, err := s.Group(t.Context(), task.Scope{All: true}, id)
		if err != nil || g.Counts[task.Failed] != failed || g.Counts[group.Trashed] != trashed {
			t.Errorf("%+v, %v, want %d failed and %d trashed", g.Counts, err, failed, trashed)
		}
	}
	want(id, 1, 1)
	want(other, 1, 0)
	got, err := s.Get(t.Context(), task.Scope{All: true}, trashed)
	if err != nil {
		t.Fatal(err)
	}
	c, err := task.Retry(&got, "ann", fromMicros(at))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), []task.Change{c})[0]; err != nil {
		t.Fatal(err)
	}
	want(id, 1, 0)
}
