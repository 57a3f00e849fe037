package sqlite

import (
	"errors"
	"fmt"

	"github.com/taskhost/taskhost/host/task"
)

// keyHolder is the task that has a key.
type keyHolder struct {
	id      task.ID
	seq     int64 // 0: it is one of the new tasks
	state   task.State
	waiting task.Waiting
}

// holderOf is the task on record that has the key of a new one; nil if it is free.
func (w *writer) holderOf(t *task.Task) (*keyHolder, error) {
	st := w.st.keyHolder
	st.bind().value(t.Owner).value(t.Type).value(t.Key)
	found, err := st.one()
	if !found || err != nil {
		return nil, err
	}
	h := &keyHolder{seq: st.row.int(1), state: task.State(st.row.int(2)), waiting: task.Waiting(st.row.int(3))}
	copy(h.id[:], st.row.blob(0))
	return h, nil
}

// checkKeys refuses tasks if a key of theirs is taken, and says in their OnConflict what is
// to be done where they ask for something else.
func (w *writer) checkKeys(tasks []*task.Task) (refused, err error) {
	var own map[[3]string]task.ID // of this submission, or what it answers with
	for i, t := range tasks {
		if t.Key == "" {
			continue
		}
		if t.OnConflict != nil { // the operation may be run again
			*t.OnConflict = task.KeyConflict{Do: t.OnConflict.Do}
		}
		k := [3]string{t.Owner, t.Type, t.Key}
		var h *keyHolder
		if id, twice := own[k]; twice {
			h = &keyHolder{id: id}
		} else if h, err = w.holderOf(t); err != nil {
			return nil, err
		}
		if h != nil {
			if why := h.resolve(t); why != "" {
				return task.KeyTaken(t, why, i, len(tasks)), nil
			}
		}
		if own == nil {
			own = map[[3]string]task.ID{}
		}
		own[k] = t.RecordedID()
	}
	return nil, nil
}

// resolve does what a new task asks for whose key the holder has. why is the refusal.
func (h *keyHolder) resolve(t *task.Task) (why string) {
	c := t.OnConflict
	switch {
	case c == nil:
		return "is taken by task " + h.id.String()
	case c.Do == task.ConflictExisting:
		c.Existing = h.id
	case h.seq == 0:
		return "is that of another task of this request, " + h.id.String()
	case h.state != task.Pending && !h.state.Final():
		return fmt.Sprintf("is taken by task %s, which is %s: only one that waits is replaced", h.id, h.state)
	default:
		c.Replaced = h.id
		c.Freed = h.state == task.Pending && h.waiting != task.WaitDispatched
	}
	return ""
}

// takeKey takes the key from the task that a new one replaces, and cancels it if it waits.
func (w *writer) takeKey(t *task.Task) error {
	if t.OnConflict == nil || t.OnConflict.Replaced.IsZero() {
		return nil
	}
	h, err := w.holderOf(t)
	if err != nil || h == nil {
		return err
	}
	if !h.state.Final() {
		if t.OnConflict.Canceled, err = w.cancelReplaced(t, h.seq); err != nil {
			return err
		}
	}
	w.st.keyClear.bind().int(h.seq)
	if err := w.st.keyClear.run(); err != nil {
		return err
	}
	w.st.keyDelete.bind().value(t.Owner).value(t.Type).value(t.Key)
	return w.st.keyDelete.run()
}

// cancelReplaced cancels the task with that order key, which t replaces.
func (w *writer) cancelReplaced(t *task.Task, seq int64) (*task.Change, error) {
	if err := w.flushInputs(); err != nil {
		return nil, err
	}
	st := w.st.taskWhole
	st.bind().int(seq)
	if _, err := st.one(); err != nil {
		return nil, err
	}
	l, err := w.laneOf(st.row.int(2))
	if err != nil {
		return nil, err
	}
	c, err := task.Replace(new(decode(st.row, &l.Lane, taskColumns)), t.Owner, t.ID, t.CreatedAt)
	if err != nil {
		return nil, err
	}
	old, refused, err := w.checkGuard(&c)
	if refused != nil || err != nil {
		return nil, errors.Join(refused, err)
	}
	if err := w.change(&c, &old); err != nil {
		return nil, err
	}
	c.Task.Version++
	c.Task.Key = ""
	return &c, nil
}
