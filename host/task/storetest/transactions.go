package storetest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// RunTransactions holds a store against task.TransactionStore.
func RunTransactions[S interface {
	task.Store
	task.TransactionStore
}](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{
		{"a transaction is all", transactionIsAll},
		{"a transaction is none", transactionIsNone},
		{"versions", versions},
		{"one decision wins", oneDecisionWins},
	})
}

func (s *suite) commit(t task.Transaction) error {
	s.Helper()
	return port[task.TransactionStore](s).Commit(s.ctx, t)
}

func (s *suite) wantVersion(name string, want int64) {
	s.Helper()
	got, err := port[task.TransactionStore](s).Version(s.ctx, name)
	s.must(err)
	if got != want {
		s.Fatalf("%s has version %d, want %d", name, got, want)
	}
}

func transactionIsAll(s *suite) {
	s.must(s.commit(task.Transaction{}))
	waiting := s.insert(task.Spec{Input: []byte(`1`), Priority: -1})[0]
	running := s.run(task.Spec{Type: "a"})
	lost := s.run(task.Spec{Type: "b"})
	settled := func(t task.Task, kind task.OutcomeKind) task.Change {
		return must(task.Settle(&t, &task.Outcome{Kind: kind, Suspect: true, Result: []byte("r"), ResultType: "text/plain"}, task.Backoff{}, start.Add(time.Minute), 0))
	}
	changes := []task.Change{must(task.Cancel(&waiting, "ann", start.Add(time.Minute))), settled(running, task.OutcomeSucceeded), settled(lost, task.OutcomeLost)}
	ready := s.make(task.Spec{Type: "next", Key: "k", Input: []byte(`2`)})
	begun := s.make(task.Spec{Type: "next"})
	*begun = task.Begin(begun, "local", newToken(), false, start).Task
	s.must(s.commit(task.Transaction{Changes: changes, Inserts: []*task.Task{ready, begun}, Versions: []task.VersionChange{{Name: "flow/1", To: 1}}}))
	for _, c := range changes {
		want := c.Task
		want.Version++
		equal(s.T, s.get(want.ID), want)
	}
	for _, t := range []*task.Task{ready, begun} {
		if t.Seq <= lost.Seq {
			s.Fatalf("a task inserted in a transaction has Seq %d after %d", t.Seq, lost.Seq)
		}
		equal(s.T, s.get(t.ID), *t)
	}
	if n := len(s.history(running.ID)); n != 3 {
		s.Fatalf("%d events, want 3", n)
	}
	s.wantCount(task.LaneCount{Ready: 2, Active: 1})
	if got, err := s.handle().ByKey(s.ctx, mine, "next", "k"); err != nil || got.ID != ready.ID {
		s.Fatalf("by key %v, %v", got.ID, err)
	}
	s.reopen()
	s.wantVersion("flow/1", 1)
	if got := ids(s.claim(5)); !slices.Equal(got, []task.ID{lost.ID, ready.ID}) {
		s.Fatalf("claimed %v, want what the transaction made ready", got)
	}
}

// transactionIsNone breaks each guard in turn: nothing of the transaction is there then.
func transactionIsNone(s *suite) {
	taken := s.insert(task.Spec{Key: "taken", Priority: -1})[0]
	running := s.run(task.Spec{Key: "held"})
	second := s.run(task.Spec{})
	s.must(s.commit(task.Transaction{Versions: []task.VersionChange{{Name: "flow/1", To: 5}}}))
	for name, breaks := range map[string]func(*task.Transaction){
		"version":         func(t *task.Transaction) { t.Versions[0].From = 4 },
		"version of none": func(t *task.Transaction) { t.Versions[1].From = 1 },
		"no version":      func(t *task.Transaction) { t.Versions[0].From = 0 },
		"state":           func(t *task.Transaction) { t.Changes[1].From = task.Canceling },
		"attempt":         func(t *task.Transaction) { t.Changes[1].FromAttempt = 7 },
		"task version":    func(t *task.Transaction) { t.Changes[1].Task.Version++ },
		"no such task":    func(t *task.Transaction) { t.Changes[1].Task.Seq += 100 },
		"key":             func(t *task.Transaction) { t.Inserts[1].Key = "taken" },
		"key twice":       func(t *task.Transaction) { t.Inserts[0].Key, t.Inserts[1].Key = "new", "new" },
		"key replaced": func(t *task.Transaction) {
			t.Inserts[1].Key, t.Inserts[1].OnConflict = "held", &task.KeyConflict{Do: task.ConflictReplace}
		},
		"id":               func(t *task.Transaction) { t.Inserts[1].ID = taken.ID },
		"a broken row":     func(t *task.Transaction) { t.Changes[1].Task.State = task.Canceling },
		"a broken insert":  func(t *task.Transaction) { t.Inserts[1].State = task.Running },
		"task twice":       func(t *task.Transaction) { t.Changes[1] = t.Changes[0] },
		"version twice":    func(t *task.Transaction) { t.Versions[1] = t.Versions[0] },
		"a time too large": func(t *task.Transaction) { t.Inserts[1].Deadline = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		t := task.Transaction{
			Changes: []task.Change{
				must(task.Settle(&running, &task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, start, 0)),
				must(task.Settle(&second, &task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, start, 0)),
			},
			Inserts:  []*task.Task{s.make(task.Spec{}), s.make(task.Spec{})},
			Versions: []task.VersionChange{{Name: "flow/1", From: 5, To: 6}, {Name: "flow/2", To: 1}},
		}
		breaks(&t)
		if err := s.commit(t); err == nil {
			s.Fatalf("%s: it was committed", name)
		} else if code := task.CodeOf(err); code != task.CodeConflict && code != task.CodeInternal && code != task.CodeInvalidRequest {
			s.Fatalf("%s: %v with code %s", name, err, code)
		}
		equal(s.T, s.get(running.ID), running)
		equal(s.T, s.get(second.ID), second)
		_, err := s.handle().Get(s.ctx, all, t.Inserts[0].ID)
		s.wantCode(err, task.CodeNotFound)
		s.wantVersion("flow/1", 5)
		s.wantVersion("flow/2", 0)
		s.wantCount(task.LaneCount{Ready: 1, Active: 2})
	}
	err := s.commit(task.Transaction{Changes: []task.Change{must(task.Cancel(&taken, "ann", start))},
		Inserts: []*task.Task{s.make(task.Spec{Key: "taken", OnConflict: task.ConflictReplace})}})
	s.wantCode(err, task.CodeConflict) // what it changes, it cannot have replaced
	err = s.commit(task.Transaction{Inserts: []*task.Task{s.make(task.Spec{Key: "taken"})}})
	s.wantCode(err, task.CodeConflict)
	s.wantField(err, 0, "key")
}

func versions(s *suite) {
	for _, c := range []struct {
		from, to int64
		ok       bool
		want     int64
	}{
		{1, 2, false, 0}, {0, 0, true, 0}, {0, 3, true, 3}, {0, 4, false, 3}, {3, 3, true, 3}, {3, 10, true, 10}, {10, 0, true, 0}, {0, 1, true, 1},
	} {
		err := s.commit(task.Transaction{Versions: []task.VersionChange{{Name: "group/1", From: c.from, To: c.to}}})
		if c.ok {
			s.must(err)
		} else {
			s.wantCode(err, task.CodeConflict)
		}
		s.wantVersion("group/1", c.want)
		s.wantVersion("group/2", 0)
	}
}

// oneDecisionWins: of those who decided on the same version one is heard, and its
// tasks are there; the others have left nothing.
func oneDecisionWins(s *suite) {
	const deciders, each = 8, 20
	var made atomic.Int64
	var wg sync.WaitGroup
	for range deciders {
		wg.Go(func() {
			for made := &made; made.Load() < each; {
				version, err := port[task.TransactionStore](s).Version(s.ctx, "flow/1")
				if err != nil {
					s.Errorf("version: %v", err)
					return
				}
				if version >= each {
					return
				}
				err = s.commit(task.Transaction{
					Inserts:  []*task.Task{s.make(task.Spec{Type: fmt.Sprint("step ", version)})},
					Versions: []task.VersionChange{{Name: "flow/1", From: version, To: version + 1}},
				})
				switch task.CodeOf(err) {
				case "":
					made.Add(1)
				case task.CodeConflict:
				default:
					s.Errorf("commit: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	s.wantVersion("flow/1", each)
	s.wantCount(task.LaneCount{Ready: each})
	for i, l := range s.handle().Lanes(0) {
		if l.Type != fmt.Sprint("step ", i) || s.count(l.ID).Ready != 1 {
			s.Fatalf("the lane of step %d is %+v with %+v", i, l, s.count(l.ID))
		}
	}
}
