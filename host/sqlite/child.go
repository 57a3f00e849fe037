package sqlite

import (
	"context"

	"github.com/taskhost/taskhost/host/task"
)

// What is asked of parents and children. A child's name is in task.step.
var (
	sqlChildByName = `SELECT id FROM task WHERE parent = +? AND step = +?`
	// A parent may have children while an attempt of it runs.
	sqlParent        = `SELECT t.seq, t.state, t.place, l.owner FROM task t JOIN lane l ON l.id = t.lane WHERE t.id = +?`
	sqlAnyUnfinished = named(`SELECT 1 FROM task WHERE parent = +? AND state < {succeeded} LIMIT 1`)
	sqlWaitForAll    = named(`INSERT OR IGNORE INTO child_wait (parent, child) SELECT parent, id FROM task WHERE parent = +? AND state < {succeeded}`)
	sqlWaitForOne    = named(`INSERT OR IGNORE INTO child_wait (parent, child) SELECT parent, id FROM task WHERE parent = +? AND id = +? AND state < {succeeded}`)
)

const (
	sqlChildDone  = `DELETE FROM child_wait WHERE parent = ? AND child = ?`
	sqlForgetWait = `DELETE FROM child_wait WHERE parent = ?`
	sqlAnyWait    = `SELECT 1 FROM child_wait WHERE parent = ? LIMIT 1`
)

// Child implements task.ChildStore.
func (s *Store) Child(ctx context.Context, parent task.ID, name string) (id task.ID, err error) {
	found := false
	err = s.rows(ctx, sqlChildByName, []any{parent[:], name}, 1, func(r row) bool {
		copy(id[:], r.blob(0))
		found = true
		return false
	})
	if err == nil && !found {
		err = task.Errorf(task.CodeNotFound, "task %s has no child %q", parent, name)
	}
	return id, err
}

// checkParents refuses new children whose parent does not run, and gives each its place
// in the queue: that of the task at the top of its tree.
func (w *writer) checkParents(tasks []*task.Task) (refused, err error) {
	for i, t := range tasks {
		if t.Parent.IsZero() || !t.Existing().IsZero() {
			continue
		}
		st := w.st.parent
		st.bind().blob(t.Parent[:])
		found, err := st.one()
		if err != nil {
			return nil, err
		}
		if !found || st.row.text(3) != t.Owner {
			return task.WithTaskNumber(noSuch("task", t.Parent), i, len(tasks)), nil
		}
		if state := task.State(st.row.int(1)); state != task.Running {
			return task.WithTaskNumber(task.Errorf(task.CodeConflict, "task %s is %s: only a running task has children", t.Parent, state), i, len(tasks)), nil
		}
		if t.Place = st.row.int(2); t.Place == 0 {
			t.Place = st.row.int(0)
		}
	}
	return nil, nil
}

// waitForChildren has a parent wait for those of its children that are not final, of all
// or of some; for none it may go on at once.
func (w *writer) waitForChildren(parent task.ID, some []task.ID) error {
	w.st.forgetWait.bind().blob(parent[:])
	if err := w.st.forgetWait.run(); err != nil {
		return err
	}
	if some == nil {
		w.st.waitForAll.bind().blob(parent[:])
		if err := w.st.waitForAll.run(); err != nil {
			return err
		}
	}
	for _, child := range some {
		w.st.waitForOne.bind().blob(parent[:]).blob(child[:])
		if err := w.st.waitForOne.run(); err != nil {
			return err
		}
	}
	return w.signalUnlessWaiting(parent)
}

// childDone tells a parent of a child that is final.
func (w *writer) childDone(t *task.Task) error {
	st := w.st.childDone
	st.bind().blob(t.Parent[:]).blob(t.ID[:])
	n, err := st.changed()
	if err != nil || n == 0 {
		return err
	}
	return w.signalUnlessWaiting(t.Parent)
}

func (w *writer) signalUnlessWaiting(parent task.ID) error {
	st := w.st.anyWait
	st.bind().blob(parent[:])
	waits, err := st.one()
	if err != nil || waits {
		return err
	}
	return w.signal(task.Signal{Kind: task.SignalChildrenDone, ID: parent})
}

// cancelChildrenOf asks for the cancel of a canceled task's children, if it has any.
func (w *writer) cancelChildrenOf(parent task.ID) error {
	st := w.st.anyUnfinished
	st.bind().blob(parent[:])
	found, err := st.one()
	if err != nil || !found {
		return err
	}
	return w.signal(task.Signal{Kind: task.SignalCancelDown, ID: parent})
}
