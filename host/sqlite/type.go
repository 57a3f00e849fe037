package sqlite

import (
	"context"

	"github.com/taskhost/taskhost/host/task"
)

const (
	sqlTypes      = `SELECT name, spec, paused FROM task_type ORDER BY name`
	sqlTypePut    = `INSERT INTO task_type (name, spec, paused) VALUES (?, ?, 0) ON CONFLICT (name) DO UPDATE SET spec = excluded.spec`
	sqlTypePause  = `INSERT INTO task_type (name, spec, paused) VALUES (?, NULL, ?) ON CONFLICT (name) DO UPDATE SET paused = excluded.paused`
	sqlTypeDelete = `DELETE FROM task_type WHERE name = ?`
	sqlTypeSweep  = `DELETE FROM task_type WHERE name = ? AND spec IS NULL AND paused = 0`
)

// typeOp is an operation on what is said of types, guarded by what do finds.
type typeOp struct {
	do      func(w *writer) (refused, err error)
	refused error
}

func (o *typeOp) size() (rows, bytes int) { return 2, 0 }

func (o *typeOp) run(w *writer) (err error) {
	o.refused, err = o.do(w)
	return err
}

func (s *Store) onTypes(ctx context.Context, do func(w *writer) (refused, err error)) error {
	o := &typeOp{do: do}
	if err := s.w.do(ctx, o); err != nil {
		return err
	}
	return o.refused
}

// Types implements task.TypeStore.
func (s *Store) Types(ctx context.Context) (types []task.StoredType, err error) {
	err = s.rows(ctx, sqlTypes, nil, 3, func(r row) bool {
		types = append(types, task.StoredType{Name: r.text(0), Spec: r.blob(1), Paused: r.int(2) != 0})
		return true
	})
	return types, err
}

// PutType implements task.TypeStore.
func (s *Store) PutType(ctx context.Context, name string, spec []byte) error {
	return s.onTypes(ctx, func(w *writer) (refused, err error) {
		w.st.typePut.bind().value(name).blob(spec)
		return nil, w.st.typePut.run()
	})
}

// PauseType implements task.TypeStore.
func (s *Store) PauseType(ctx context.Context, name string, paused bool) error {
	return s.onTypes(ctx, func(w *writer) (refused, err error) {
		w.st.typePause.bind().value(name).int(flag(paused))
		if err := w.st.typePause.run(); err != nil {
			return nil, err
		}
		w.st.typeSweep.bind().value(name)
		return nil, w.st.typeSweep.run()
	})
}

// DeleteType implements task.TypeStore.
func (s *Store) DeleteType(ctx context.Context, name string) error {
	return s.onTypes(ctx, func(w *writer) (refused, err error) {
		if n := w.lanes.Unfinished(name); n > 0 {
			return task.Errorf(task.CodeConflict, "task type %q has %d tasks that are not final", name, n), nil
		}
		w.st.typeDelete.bind().value(name)
		return nil, w.st.typeDelete.run()
	})
}
