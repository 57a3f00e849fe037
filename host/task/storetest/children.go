package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// RunChildren holds a store against task.ChildStore, and to what it does for parents.
func RunChildren[S interface {
	task.Store
	task.TransactionStore
	task.SignalStore
	task.ChildStore
}](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{
		{"a parent waits for its children", parentWaits},
		{"a parent waits for some of its children", parentWaitsForSome},
		{"a parent whose children are final", parentNeedNotWait},
		{"children by name", childrenByName},
		{"what became of children", childrensResults},
		{"who may have children", mayHaveChildren},
		{"a child stays until its parent is final", childStays},
		{"children wait at their parent's place", childrensPlace},
		{"cancel goes down", cancelGoesDown},
		{"a signal that was given anew stays", signalGivenAnew},
	})
}

// spawn inserts children of a running task.
func (s *suite) spawn(parent task.Task, n int) []task.Task {
	s.Helper()
	specs := make([]task.Spec, n)
	for i := range specs {
		specs[i] = task.Spec{Type: "child", Parent: parent.ID, Spawner: parent.Token}
	}
	return s.insert(specs...)
}

// await has a running parent wait for these of its children, nil for all, and gives what it is then.
func (s *suite) await(parent task.Task, some []task.ID) task.Task {
	s.Helper()
	s.settle(parent, task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Children: true, WaitFor: some}})
	got := s.get(parent.ID)
	if got.State != task.Pending || got.Waiting != task.WaitChildren {
		s.Fatalf("the parent is %s, waiting for %s", got.State, got.Waiting)
	}
	return got
}

// finish claims tasks of that type and settles them.
func (s *suite) finish(taskType string, n int, o task.Outcome) {
	s.Helper()
	var lanes []task.LaneID
	for _, l := range s.handle().Lanes(0) {
		if l.Type == taskType {
			lanes = append(lanes, l.ID)
		}
	}
	got := s.claim(n, lanes...)
	if len(got) != n {
		s.Fatalf("claimed %d of type %s, want %d", len(got), taskType, n)
	}
	for _, t := range got {
		s.settle(t, o)
	}
}

// wake has a parent go on whose children are final.
func (s *suite) wake(parent task.ID) {
	s.Helper()
	signal, ok := s.signals(task.SignalChildrenDone)[parent]
	if !ok {
		s.Fatal("nothing says that the children are final")
	}
	c, err := task.ChildrenDone(new(s.get(parent)), start)
	s.must(err)
	s.must(s.commit(task.Transaction{Changes: []task.Change{c}, Signals: []task.Signal{signal}}))
}

func parentWaits(s *suite) {
	parent := s.run(task.Spec{})
	s.spawn(parent, 3)
	s.finish("child", 1, task.Outcome{Kind: task.OutcomeSucceeded}) // while it still runs
	waits := s.await(parent, nil)
	s.finish("child", 1, task.Outcome{Kind: task.OutcomeFailed, Permanent: true})
	s.reopen()
	if n := len(s.signals(task.SignalChildrenDone)); n != 0 {
		s.Fatalf("%d signals while a child is not final", n)
	}
	s.finish("child", 1, task.Outcome{Kind: task.OutcomeSucceeded})
	s.wake(waits.ID)
	if n := len(s.signals(task.SignalChildrenDone)); n != 0 {
		s.Fatalf("%d signals are left", n)
	}
	if got := s.claim(1); len(got) != 1 || got[0].ID != parent.ID || got[0].Attempt != 2 {
		s.Fatalf("claimed %+v, want the parent", got)
	}
}

func parentWaitsForSome(s *suite) {
	parent := s.run(task.Spec{})
	children := s.spawn(parent, 3)
	stranger := s.insert(task.Spec{Type: "stranger"})[0]
	s.await(parent, []task.ID{children[0].ID, stranger.ID, id()})
	s.finish("child", 1, task.Outcome{Kind: task.OutcomeSucceeded})
	s.wake(parent.ID)
	if got := s.get(children[1].ID); got.State != task.Pending {
		s.Fatalf("the second child is %s", got.State)
	}
}

func parentNeedNotWait(s *suite) {
	parent := s.run(task.Spec{})
	s.spawn(parent, 1)
	s.finish("child", 1, task.Outcome{Kind: task.OutcomeSucceeded})
	s.await(parent, nil)
	s.wake(parent.ID)
	childless := s.claim(1)[0]
	s.await(childless, []task.ID{})
	s.wake(childless.ID)
}

func childrenByName(s *suite) {
	parent := s.run(task.Spec{})
	named := func(name string) task.Spec {
		return task.Spec{Type: "child", Parent: parent.ID, Spawner: parent.Token, Name: name}
	}
	a := s.insert(named("a"))[0]
	s.insert(named(""), named(""))
	got, err := port[task.ChildStore](s).Child(s.ctx, parent.ID, "a")
	if err != nil || got.ID != a.ID || got.Type != "child" || got.State != task.Pending || got.Name != "a" {
		s.Fatalf("%+v, %v", got, err)
	}
	_, err = port[task.ChildStore](s).Child(s.ctx, parent.ID, "b")
	s.wantCode(err, task.CodeNotFound)
	for _, taken := range [][]*task.Task{{s.make(named("a"))}, {s.make(named("c")), s.make(named("a"))}, {s.make(named("c")), s.make(named("c"))}} {
		_, err = s.handle().Insert(s.ctx, task.Submission{Tasks: taken})
		s.wantCode(err, task.CodeConflict)
	}
	p, err := s.handle().List(s.ctx, all, task.Filter{Parent: parent.ID})
	if err != nil || len(p.Tasks) != 3 {
		s.Fatalf("%d children, %v", len(p.Tasks), err)
	}
	other := s.run(task.Spec{Priority: 1}) // who may have one of the same name
	s.insert(task.Spec{Parent: other.ID, Spawner: other.Token, Name: "a"})
}

// childrensResults: results are told as long as there is room, whatever has none.
func childrensResults(s *suite) {
	parent := s.run(task.Spec{})
	s.spawn(parent, 6)
	s.finish("child", 1, task.Outcome{Kind: task.OutcomeSucceeded, Result: []byte("12345"), ResultType: "x/y"})
	s.finish("child", 1, task.Outcome{Kind: task.OutcomeSucceeded, Result: make([]byte, 100), ResultType: "x/y"})
	s.finish("child", 1, task.Outcome{Kind: task.OutcomeSucceeded, Result: []byte("1234567890"), ResultType: "x/y"})
	s.finish("child", 1, task.Outcome{Kind: task.OutcomeSucceeded, Result: []byte("null"), ResultType: "application/json"})
	s.finish("child", 1, task.Outcome{Kind: task.OutcomeFailed, Permanent: true, Code: "broken", Message: "no"})
	s.reopen()
	got, err := port[task.ChildStore](s).Children(s.ctx, parent.ID, 10, 15)
	if s.must(err); len(got) != 6 {
		s.Fatalf("%d children", len(got))
	}
	for i, want := range []task.Child{{State: task.Succeeded, Result: []byte("12345"), ResultType: "x/y"}, {State: task.Succeeded, ResultLeftOut: true},
		{State: task.Succeeded, Result: []byte("1234567890"), ResultType: "x/y"}, {State: task.Succeeded, Result: []byte("null"), ResultType: "application/json"},
		{State: task.Failed}, {State: task.Pending}} {
		c := got[i]
		if c.State != want.State || string(c.Result) != string(want.Result) || c.ResultType != want.ResultType || c.ResultLeftOut != want.ResultLeftOut || c.Type != "child" {
			s.Errorf("child %d is %+v, want %+v", i, c, want)
		}
		if (c.Error != nil) != (c.State == task.Failed) {
			s.Errorf("child %d: error %+v", i, c.Error)
		}
	}
	if e := got[4].Error; e == nil || e.Code != "broken" || e.Message != "no" || e.Attempt != 1 {
		s.Errorf("the failed one: %+v", e)
	}
	if got, err = port[task.ChildStore](s).Children(s.ctx, parent.ID, 2, 0); err != nil || len(got) != 2 || !got[0].ResultLeftOut {
		s.Errorf("two of them: %+v, %v", got, err)
	}
	if got, err = port[task.ChildStore](s).Children(s.ctx, id(), 2, 0); err != nil || len(got) != 0 {
		s.Errorf("a task that is not there has %d children, %v", len(got), err)
	}
}

// mayHaveChildren: it is the attempt that runs the task that spawns, and no other.
func mayHaveChildren(s *suite) {
	waiting := s.insert(task.Spec{Priority: -1})[0]
	running := s.run(task.Spec{})
	ended := s.run(task.Spec{})
	s.succeed(ended)
	for parent, want := range map[task.ID]task.Code{waiting.ID: task.CodeConflict, ended.ID: task.CodeConflict, running.ID: task.CodeConflict, id(): task.CodeNotFound} {
		_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{s.make(task.Spec{Parent: parent, Spawner: ended.Token})}})
		s.wantCode(err, want)
	}
	theirs := s.make(task.Spec{Parent: running.ID, Spawner: running.Token})
	theirs.Owner = "bob"
	_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{theirs}})
	s.wantCode(err, task.CodeNotFound)
	s.spawn(running, 1)
}

// childStays: a child whose time is up, or that is to be deleted, stays as long as its parent
// may ask for it by its name again.
func childStays(s *suite) {
	parent := s.run(task.Spec{})
	short := time.Second
	child := s.insert(task.Spec{Type: "child", Parent: parent.ID, Spawner: parent.Token, Name: "a", Retain: &short})[0]
	s.finish("child", 1, task.Outcome{Kind: task.OutcomeSucceeded})
	s.wantCode(s.handle().Delete(s.ctx, all, child.ID), task.CodeNotFinal)
	gone, _, err := s.handle().DeleteExpired(s.ctx, start.Add(time.Hour), 10)
	if s.must(err); len(gone) != 0 {
		s.Fatal("a child of a task that runs was retired")
	}
	s.succeed(parent)
	gone, _, err = s.handle().DeleteExpired(s.ctx, start.Add(time.Hour), 10)
	if s.must(err); len(gone) != 1 || gone[0] != child.ID {
		s.Fatalf("retired %v, want the child", gone)
	}
}

// childrensPlace: what a task spawns is claimed before what came after that task, also
// where a window is too small for all of it, and what the children spawn likewise.
func childrensPlace(s *suite) {
	parent := s.run(task.Spec{})
	var later []*task.Task
	for range 600 {
		later = append(later, s.make(task.Spec{Type: "child"}))
	}
	s.put(later...)
	children := s.spawn(parent, 600)
	s.reopen()
	got := s.claim(1)
	grandchildren := s.spawn(got[0], 2)
	got = append(got, s.claim(601)...)
	want := ids(children)
	want = append(want, ids(grandchildren)...)
	if !slices.Equal(ids(got), want) {
		s.Fatalf("claimed %d tasks, not the children in their order", len(got))
	}
	if next := s.claim(1); len(next) != 1 || next[0].ID != later[0].ID {
		s.Fatal("what came after the parent is not next")
	}
	urgent := s.insert(task.Spec{Type: "child", Priority: 1})[0]
	s.spawn(parent, 1)
	if next := s.claim(1); len(next) != 1 || next[0].ID != urgent.ID {
		s.Fatal("a child goes before a task of a higher priority")
	}
}

func cancelGoesDown(s *suite) {
	parent := s.run(task.Spec{})
	childless := s.run(task.Spec{})
	s.spawn(parent, 2)
	for _, t := range []task.Task{parent, childless} {
		s.apply(task.Cancel(&t, "ann", start))
	}
	got := s.signals(task.SignalCancelDown)
	if _, ok := got[parent.ID]; !ok || len(got) != 1 {
		s.Fatalf("signals %v, want one for the parent", got)
	}
	_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{s.make(task.Spec{Parent: parent.ID, Spawner: parent.Token})}})
	s.wantCode(err, task.CodeConflict)
	waits := s.run(task.Spec{Priority: 1})
	s.spawn(waits, 1)
	s.apply(task.Cancel(new(s.await(waits, nil)), "ann", start))
	if _, ok := s.signals(task.SignalCancelDown)[waits.ID]; !ok {
		s.Fatal("the cancel of a parent that waits does not go down")
	}
}

func signalGivenAnew(s *suite) {
	parent := s.run(task.Spec{})
	s.await(parent, nil)
	old := s.signals(task.SignalChildrenDone)[parent.ID]
	s.wake(parent.ID)
	again := s.claim(1)[0]
	s.await(again, nil)
	s.wake(parent.ID)
	third := s.claim(1)[0]
	s.await(third, nil)
	s.apply(task.Cancel(new(s.get(parent.ID)), "ann", start))
	now := s.signals(task.SignalChildrenDone)[parent.ID]
	stale := now
	stale.N++
	s.wantCode(s.commit(task.Transaction{Signals: []task.Signal{stale}}), task.CodeConflict)
	s.must(s.commit(task.Transaction{Signals: []task.Signal{now}}))
	for _, used := range []task.Signal{old, now} {
		s.wantCode(s.commit(task.Transaction{Signals: []task.Signal{used}}), task.CodeConflict)
	}
}
