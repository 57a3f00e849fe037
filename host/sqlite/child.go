package sqlite

import (
	"context"
	"fmt"

	"github.com/taskhost/taskhost/host/task"
)

// What is asked of parents and children. A child's name is in task.step.
var (
	sqlChildNamed = `SELECT t.id, l.type, t.state FROM task t JOIN lane l ON l.id = t.lane WHERE t.parent = +? AND t.step = +?`
	sqlChildren   = `SELECT t.seq, t.id, t.step, l.type, t.state, t.result, r.type, length(r.data), t.error_code, t.error_attempt, m.error_message
FROM task t JOIN lane l ON l.id = t.lane LEFT JOIN result r ON r.task = t.seq LEFT JOIN task_detail m ON m.task = t.seq WHERE t.parent = +? ORDER BY t.id LIMIT +?`
	sqlChildResults = `SELECT task, data FROM result WHERE task IN (SELECT value FROM json_each(?))`
	// A parent may have children while an attempt of it runs.
	sqlParent        = `SELECT t.seq, t.state, t.place, l.owner, t.token FROM task t JOIN lane l ON l.id = t.lane WHERE t.id = +?`
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
func (s *Store) Child(ctx context.Context, parent task.ID, name string) (c task.Child, err error) {
	err = s.rows(ctx, sqlChildNamed, []any{parent[:], name}, 3, func(r row) bool {
		c = readChildNamed(r, name)
		return false
	})
	if err == nil && c.ID.IsZero() {
		err = task.Errorf(task.CodeNotFound, "task %s has no child %q", parent, name)
	}
	return c, err
}

func readChildNamed(r row, name string) task.Child {
	c := task.Child{Name: name, Type: r.text(1), State: task.State(r.int(2))}
	copy(c.ID[:], r.blob(0))
	return c
}

// Children implements task.ChildStore. Which results there is room for is known before any is read.
func (s *Store) Children(ctx context.Context, parent task.ID, limit int, results int64) (out []task.Child, err error) {
	at := map[int64]int{} // where in out the children are whose results are to be read
	var wanted []int64
	err = s.rows(ctx, sqlChildren, []any{parent[:], limit}, 11, func(r row) bool {
		c := task.Child{Name: r.text(2), Type: r.text(3), State: task.State(r.int(4))}
		copy(c.ID[:], r.blob(1))
		if code := r.text(8); code != "" {
			c.Error = &task.Failure{Code: code, Attempt: int(r.int(9)), Message: r.text(10)}
		}
		switch size := r.int(7); {
		case r.int(5) == resultNull:
			c.Result, c.ResultType = []byte("null"), typeJSON
		case r.int(5) != resultRow:
		case size > results:
			c.ResultLeftOut = true
		default:
			results -= size
			c.ResultType = r.text(6)
			at[r.int(0)] = len(out)
			wanted = append(wanted, r.int(0))
		}
		out = append(out, c)
		return true
	})
	if err != nil || len(wanted) == 0 {
		return out, err
	}
	err = s.rows(ctx, sqlChildResults, []any{array(wanted)}, 2, func(r row) bool {
		out[at[r.int(0)]].Result = r.blob(1)
		return true
	})
	return out, err
}

// checkParents refuses new children whose parent is not run by the attempt that spawns them,
// or has one of their names, and gives each its place in the queue: that of the task at the
// top of its tree.
func (w *writer) checkParents(tasks []*task.Task) (refused, err error) {
	named := map[childKey]task.ID{}
	for i, t := range tasks {
		if t.Parent.IsZero() || !t.Existing().IsZero() {
			continue
		}
		if refused, err = w.checkParent(t); refused == nil && err == nil && t.Step != "" {
			refused, err = w.checkChildName(t, named)
		}
		if refused != nil || err != nil {
			return task.WithTaskNumber(refused, i, len(tasks)), err
		}
	}
	return nil, nil
}

// childKey is a name within a parent.
type childKey struct {
	parent task.ID
	name   string
}

func (w *writer) checkParent(t *task.Task) (refused, err error) {
	st := w.st.parent
	st.bind().blob(t.Parent[:])
	found, err := st.one()
	if err != nil {
		return nil, err
	}
	if !found || st.row.text(3) != t.Owner {
		return noSuch("task", t.Parent), nil
	}
	var token task.Token
	copy(token[:], st.row.blob(4))
	switch state := task.State(st.row.int(1)); {
	case state != task.Running:
		return task.Errorf(task.CodeConflict, "task %s is %s: only a running task has children", t.Parent, state), nil
	case token != t.Spawner:
		return task.Errorf(task.CodeConflict, "task %s is run by another attempt: only its current one spawns children", t.Parent), nil
	}
	if t.Place = st.row.int(2); t.Place == 0 {
		t.Place = st.row.int(0)
	}
	return nil, nil
}

func (w *writer) checkChildName(t *task.Task, own map[childKey]task.ID) (refused, err error) {
	k := childKey{t.Parent, t.Step}
	holder, taken := own[k]
	if own[k] = t.ID; !taken {
		st := w.st.childNamed
		st.bind().blob(t.Parent[:]).value(t.Step)
		if taken, err = st.one(); taken {
			holder = readChildNamed(st.row, t.Step).ID
		}
	}
	if err != nil || !taken {
		return nil, err
	}
	return &task.Error{Code: task.CodeConflict, Message: fmt.Sprintf("child %q of task %s is task %s", t.Step, t.Parent, holder),
		Fields: []task.FieldError{{Path: []string{"name"}, Message: "is taken by task " + holder.String()}}}, nil
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

// neededByParent says that a child may not be forgotten yet: its parent would not know that
// it has had it.
func (w *writer) neededByParent(parent task.ID) (bool, error) {
	if parent.IsZero() {
		return false, nil
	}
	st := w.st.parent
	st.bind().blob(parent[:])
	found, err := st.one()
	return found && !task.State(st.row.int(1)).Final(), err
}
