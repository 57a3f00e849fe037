package task

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// OnConflict is what is done with a new task whose key another has.
type OnConflict string

// What may be asked for. "" is ConflictRefuse.
const (
	ConflictRefuse   OnConflict = "refuse"   // it is refused with conflict
	ConflictExisting OnConflict = "existing" // it is not written: the other is the answer
	ConflictReplace  OnConflict = "replace"  // it takes the key; the other is canceled if it waits, and refused to be replaced if an attempt runs
)

// KeyConflict is what a new task asks for should another have its key, and what the commit
// that wrote it, or did not, made of that. No store keeps it.
type KeyConflict struct {
	Do OnConflict
	// Existing is who has the key, where the new task was not written for that.
	Existing ID
	// Replaced is who had the key. It has none any more.
	Replaced ID
	// Freed says that the one replaced was waiting, and so makes room in the queue.
	Freed bool
	// Canceled is the cancel of the one replaced, on record; nil if it was final.
	Canceled *Change
}

// Existing is the task that a new one was not written for, because it has the key; zero if
// there is none.
func (t *Task) Existing() ID {
	if t.OnConflict == nil {
		return ID{}
	}
	return t.OnConflict.Existing
}

// RecordedID is the id of what is on record for a new task once it is committed: its own, or
// that of the task that has its key.
func (t *Task) RecordedID() ID {
	if id := t.Existing(); !id.IsZero() {
		return id
	}
	return t.ID
}

// ErrDeletedSince is the answer to a submission that is answered with a task that was there
// before, if that was deleted meanwhile.
func ErrDeletedSince(id ID) error {
	return Errorf(CodeConflict, "this was submitted before as task %s, which was deleted since: nothing was submitted now; use a new key to submit anew", id)
}

// KeyTaken is the refusal of the i-th of so many tasks, whose key another has. why goes on
// after the key's name.
func KeyTaken(t *Task, why string, i, of int) error {
	return WithTaskNumber(&Error{Code: CodeConflict, Message: fmt.Sprintf("key %q of task type %q %s", t.Key, t.Type, why),
		Fields: []FieldError{{Path: []string{"key"}, Message: why}}}, i, of)
}

// IsKeyTaken says that an error of a store is such a refusal, and not of what changed meanwhile.
func IsKeyTaken(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == CodeConflict && len(e.Fields) == 1 && slices.Equal(e.Fields[0].Path, []string{"key"})
}

// checkConflict says what is wrong with what a spec wants done about its key.
func (s *Spec) checkConflict(bad *Faults) {
	switch s.OnConflict {
	case "":
		return
	case ConflictRefuse, ConflictExisting, ConflictReplace:
		bad.Check(s.Key != "", "on_conflict", "is given, and there is no key")
	default:
		bad.Check(false, "on_conflict", "is none of %s, %s, %s", ConflictRefuse, ConflictExisting, ConflictReplace)
	}
}

// keyConflict is what a task of the spec brings to the store; nil if it is to be refused.
func (s *Spec) keyConflict() *KeyConflict {
	if s.OnConflict == "" || s.OnConflict == ConflictRefuse {
		return nil
	}
	return &KeyConflict{Do: s.OnConflict}
}

// Replace cancels a pending task whose key a new one takes. conflict if it is not pending.
func Replace(t *Task, by string, with ID, now time.Time) (Change, error) {
	if t.State != Pending {
		return Change{}, Errorf(CodeConflict, "task %s is %s: only one that waits is replaced", t.ID, t.State)
	}
	message := "replaced by task " + with.String()
	c := changeOf(t)
	err := c.cancelWaiting(by, message, message, now)
	return c, err
}
