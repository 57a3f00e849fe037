package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/task"
)

// sealedAtOnce is how many inputs are read, and written, at once.
const sealedAtOnce = 200

// Inputs in which something may be sealed: those of tasks, by order key, and of schedules.
const (
	sqlSealedInputs = `SELECT i.task, t.id, l.owner, l.type, i.data FROM input i JOIN task t ON t.seq = i.task JOIN lane l ON l.id = t.lane
WHERE i.task > ? AND instr(i.data, ?) > 0 ORDER BY i.task LIMIT +?`
	sqlSealedSchedules = `SELECT id, owner, spec FROM schedule WHERE instr(spec, ?) > 0`
)

// sealedInput is an input in which something may be sealed.
type sealedInput struct {
	of          string // whose it is, for a message
	owner, kind string
	data        []byte
	save        func(w *writer, data []byte) error
}

// eachSealed reads such inputs, and gives some at a time.
func eachSealed(ctx context.Context, db *sql.DB, do func([]sealedInput) error) error {
	for after := int64(-1); ; {
		var some []sealedInput
		rows, err := db.QueryContext(ctx, sqlSealedInputs, after, []byte(task.SealMark), sealedAtOnce)
		if err != nil {
			return err
		}
		for rows.Next() {
			var in sealedInput
			var seq int64
			var data []byte
			var id task.ID
			if err := rows.Scan(&seq, &data, &in.owner, &in.kind, &in.data); err != nil {
				return errors.Join(err, rows.Close())
			}
			after = seq
			copy(id[:], data)
			in.of = "task " + id.String()
			in.save = func(w *writer, data []byte) error {
				w.st.inputUpdate.bind().blob(data).int(seq)
				return w.st.inputUpdate.run()
			}
			some = append(some, in)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		if len(some) == 0 {
			break
		}
		if err := do(some); err != nil {
			return err
		}
	}
	return eachSealedSchedule(ctx, db, do)
}

func eachSealedSchedule(ctx context.Context, db *sql.DB, do func([]sealedInput) error) error {
	rows, err := db.QueryContext(ctx, sqlSealedSchedules, task.SealMark)
	if err != nil {
		return err
	}
	var some []sealedInput
	for rows.Next() {
		var id, data []byte
		var owner string
		if err := rows.Scan(&id, &owner, &data); err != nil {
			return errors.Join(err, rows.Close())
		}
		var spec schedule.Spec
		if json.Unmarshal(data, &spec) != nil {
			continue // it is shown as what cannot be read
		}
		some = append(some, sealedInput{of: fmt.Sprintf("schedule %q of owner %q", spec.Name, owner), owner: owner, kind: spec.Task.Type, data: spec.Task.Input,
			save: func(w *writer, data []byte) error {
				spec.Task.Input = data
				text, err := json.Marshal(spec)
				if err != nil {
					return err
				}
				w.st.scheduleSpec.bind().value(string(text)).blob(id)
				return w.st.scheduleSpec.run()
			}})
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(some) == 0 {
		return err
	}
	return do(some)
}

// RewriteInputs puts other bytes in the place of each input of a task or a schedule in which
// something may be sealed, as rewrite says, and says how many are others now. Nobody else may
// use the store meanwhile. What was rewritten is on disk when it returns; after an error some is.
func (s *Store) RewriteInputs(ctx context.Context, rewrite func(owner, taskType string, input []byte) ([]byte, error)) (n int, err error) {
	err = eachSealed(ctx, s.db, func(some []sealedInput) error {
		var changed []sealedInput
		for _, in := range some {
			data, err := rewrite(in.owner, in.kind, in.data)
			if err != nil {
				return fmt.Errorf("the input of %s: %w", in.of, err)
			}
			if string(data) != string(in.data) {
				in.data = data
				changed = append(changed, in)
			}
		}
		if len(changed) == 0 {
			return nil
		}
		err := s.guarded(ctx, len(changed), func(w *writer) (refused, err error) {
			for _, in := range changed {
				if err := in.save(w, in.data); err != nil {
					return nil, err
				}
			}
			return nil, nil
		})
		if err == nil {
			n += len(changed)
		}
		return err
	})
	return n, err
}

// sealed reports what is sealed and cannot be opened.
func (r *Report) sealed(ctx context.Context, db *sql.DB) error {
	if r.open == nil {
		return nil
	}
	unopened := 0
	first := ""
	err := eachSealed(ctx, db, func(some []sealedInput) error {
		for _, in := range some {
			if err := r.open(in.owner, in.kind, in.data); err != nil {
				if unopened++; unopened == 1 {
					first = fmt.Sprintf("%s: %v", in.of, err)
				}
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return r.found(ctx, "sealed inputs: %v", err)
	}
	if unopened > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("no key opens what is sealed in %d inputs; the first are those of %s", unopened, first))
	}
	return nil
}
