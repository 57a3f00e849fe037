package sqlite

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/task"
)

// PostponeFinisher implements group.Store.
func (s *Store) PostponeFinisher(ctx context.Context, id task.ID, problem string, until time.Time, used task.Signal) error {
	return s.onGroup(ctx, &groupOp{scope: task.Scope{All: true}, id: id, do: func(w *writer, _ bool, _ task.ID) (refused, err error) {
		if refused, err = w.checkSignal(used); refused != nil || err != nil {
			return refused, err
		}
		w.st.groupPostpone.bind().text(problem).int(micros(until)).blob(id[:])
		if err := w.st.groupPostpone.run(); err != nil {
			return nil, err
		}
		return nil, w.useSignal(used)
	}})
}

// RetryFinishers implements group.Store. Nothing is written where nothing is due.
func (s *Store) RetryFinishers(ctx context.Context, now time.Time, limit int) (next time.Time, err error) {
	err = s.rows(ctx, sqlGroupsDue, []any{1}, 2, func(r row) bool {
		next = r.time(1)
		return false
	})
	if err != nil || next.IsZero() || next.After(now) {
		return next, err
	}
	o := &retryFinishersOp{now: now, limit: limit}
	err = s.w.do(ctx, o)
	return o.next, err
}

type retryFinishersOp struct {
	now   time.Time
	limit int
	next  time.Time
}

func (o *retryFinishersOp) size() (rows, bytes int) { return 2 * o.limit, 0 }

func (o *retryFinishersOp) run(w *writer) error {
	o.next = time.Time{}
	var due []task.ID
	st := w.st.groupsDue
	st.bind().int(int64(o.limit) + 1)
	if err := st.each(func(r row) bool {
		if at := r.time(1); at.After(o.now) || len(due) == o.limit {
			o.next = at
			return false
		}
		var id task.ID
		copy(id[:], r.blob(0))
		due = append(due, id)
		return true
	}); err != nil {
		return err
	}
	for _, id := range due {
		w.st.groupAsked.bind().blob(id[:])
		if err := w.st.groupAsked.run(); err != nil {
			return err
		}
		if err := w.signal(task.Signal{Kind: task.SignalGroup, ID: id}); err != nil {
			return err
		}
	}
	return nil
}

// GroupProblems implements group.Store.
func (s *Store) GroupProblems(ctx context.Context, scope task.Scope, limit int) (out []group.Group, err error) {
	err = s.rows(ctx, sqlGroupWrong, []any{scope.All, scope.Owner, limit}, groupCount, func(r row) bool {
		out = append(out, readGroup(r))
		return true
	})
	return out, err
}
