package sqlite

import (
	"errors"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/taskhost/taskhost/host/task"
)

func sqliteError(err error) (sqlite3.Error, bool) {
	var e sqlite3.Error
	ok := errors.As(err, &e)
	return e, ok
}

// isConstraint says that a statement broke a rule of the schema: the fault of
// the one who asked for it, and of nobody else in its group.
func isConstraint(err error) bool {
	e, ok := sqliteError(err)
	return ok && e.Code == sqlite3.ErrConstraint
}

// isFsync says that the disk did not take what was to be durable. A second fsync
// could then succeed without the data (Linux marks the pages clean), so there is no
// second try.
func isFsync(err error) bool {
	e, ok := sqliteError(err)
	return ok && (e.ExtendedCode == sqlite3.ErrIoErrFsync || e.ExtendedCode == sqlite3.ErrIoErrDirFsync)
}

// storeError is what the callers of a group are told. atCommit says that the
// transaction itself failed: an I/O error then leaves unknown what is on disk.
func (w *writer) storeError(err error, atCommit bool) error {
	e, ok := sqliteError(err)
	if ok && (isFsync(err) || atCommit && e.Code == sqlite3.ErrIoErr) {
		w.die(err)
	}
	return unavailable(err)
}

// unavailable gives an error of the database the code that clients see.
func unavailable(err error) error {
	var t *task.Error
	if errors.As(err, &t) {
		return err
	}
	if e, ok := sqliteError(err); ok && e.Code == sqlite3.ErrFull {
		return &task.Error{Code: task.CodeStoreFull, Message: "the disk of the data directory is full: free some space; nothing was written", Cause: err}
	}
	return &task.Error{Code: task.CodeStoreUnavailable, Message: "the store could not do it; nothing was written", Cause: err}
}

func constraintError(err error) error {
	var t *task.Error
	if errors.As(err, &t) {
		return err
	}
	if e, ok := sqliteError(err); ok && e.ExtendedCode == sqlite3.ErrConstraintUnique {
		return &task.Error{Code: task.CodeConflict, Message: "a task with this id exists already", Cause: err}
	}
	return &task.Error{Code: task.CodeInternal, Message: "the change breaks a rule of the store; nothing was written", Cause: err}
}
