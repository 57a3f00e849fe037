package sqlite

import (
	"context"

	"github.com/taskhost/taskhost/host/task"
)

const (
	sqlVersionGet = `SELECT version FROM version WHERE name = ?`
	sqlVersionPut = `INSERT INTO version (name, version) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET version = excluded.version`
)

// Commit implements task.TransactionStore.
func (s *Store) Commit(ctx context.Context, t task.Transaction) error {
	o, err := newCommitOp(t)
	if err != nil {
		return err
	}
	if err := s.w.do(ctx, o); err != nil {
		return err
	}
	if o.refused != nil {
		return o.refused
	}
	for i, n := range t.Inserts {
		n.Seq = o.rows[i].seq
	}
	return nil
}

// Version implements task.TransactionStore.
func (s *Store) Version(ctx context.Context, name string) (version int64, err error) {
	err = s.rows(ctx, sqlVersionGet, []any{name}, 1, func(r row) bool {
		version = r.int(0)
		return false
	})
	return version, err
}

// commitOp checks every guard of a transaction before it writes anything: so a guard
// that does not hold is an answer, and needs no savepoint.
type commitOp struct {
	task.Transaction
	rows    []insertRow // of the inserts
	olds    []guard     // of the changes
	refused error
}

func newCommitOp(t task.Transaction) (*commitOp, error) {
	rows, err := encodeRows(t.Inserts)
	if err != nil {
		return nil, err
	}
	changed := map[int64]bool{}
	for i := range t.Changes {
		n := &t.Changes[i].Task
		if err := checkTimes(n); err != nil {
			return nil, err
		}
		if changed[n.Seq] {
			return nil, task.Errorf(task.CodeInternal, "a transaction changes task %s twice: make it one change", n.ID)
		}
		changed[n.Seq] = true
	}
	named := map[string]bool{}
	for _, v := range t.Versions {
		if named[v.Name] {
			return nil, task.Errorf(task.CodeInternal, "a transaction expects a version of %q twice", v.Name)
		}
		named[v.Name] = true
	}
	return &commitOp{Transaction: t, rows: rows, olds: make([]guard, len(t.Changes))}, nil
}

func (o *commitOp) size() (rows, bytes int) {
	rows, bytes = sizeOfChanges(o.Changes)
	insertRows, insertBytes := sizeOfTasks(o.Inserts)
	return rows + insertRows + len(o.Versions) + len(o.Signals), bytes + insertBytes
}

func (o *commitOp) run(w *writer) (err error) {
	if o.refused, err = o.check(w); o.refused != nil || err != nil {
		return err
	}
	for i := range o.Changes {
		if err := w.change(&o.Changes[i], &o.olds[i]); err != nil {
			return err
		}
	}
	if err := w.insertAll(o.Inserts, o.rows); err != nil {
		return err
	}
	for _, v := range o.Versions {
		if err := w.setVersion(v); err != nil {
			return err
		}
	}
	for _, g := range o.Signals {
		if err := w.useSignal(g); err != nil {
			return err
		}
	}
	return nil
}

// check says which guard does not hold.
func (o *commitOp) check(w *writer) (refused, err error) {
	for _, v := range o.Versions {
		if refused, err := w.checkVersion(v); refused != nil || err != nil {
			return refused, err
		}
	}
	var coming []*task.Task // into the queue, with the inserts
	for i := range o.Changes {
		c := &o.Changes[i]
		if o.olds[i], refused, err = w.checkGuard(c); refused != nil || err != nil {
			return refused, err
		}
		if c.From.Final() {
			coming = append(coming, &c.Task)
		}
	}
	if len(coming) > 0 {
		if refused := w.checkQueues(append(coming, o.Inserts...)); refused != nil {
			return refused, nil
		}
	}
	for _, g := range o.Signals {
		if refused, err = w.checkSignal(g); refused != nil || err != nil {
			return refused, err
		}
	}
	if refused, err = w.checkNew(o.Inserts, task.ID{}); refused != nil || err != nil {
		return refused, err
	}
	return o.checkReplaced(), nil
}

// checkReplaced refuses a transaction that changes a task and has another take its key.
func (o *commitOp) checkReplaced() error {
	for _, t := range o.Inserts {
		if t.OnConflict == nil || t.OnConflict.Replaced.IsZero() {
			continue
		}
		for i := range o.Changes {
			if o.Changes[i].Task.ID == t.OnConflict.Replaced {
				return task.Errorf(task.CodeConflict, "task %s is changed by the transaction in which task %s takes its key", t.OnConflict.Replaced, t.ID)
			}
		}
	}
	return nil
}

func (w *writer) checkVersion(v task.VersionChange) (refused, err error) {
	st := w.st.versionGet
	st.bind().value(v.Name)
	found, err := st.one()
	if err != nil {
		return nil, err
	}
	version := int64(0)
	if found {
		version = st.row.int(0)
	}
	if version != v.From {
		return task.Errorf(task.CodeConflict, "%s has changed meanwhile: its version is %d, and not %d", v.Name, version, v.From), nil
	}
	return nil, nil
}

func (w *writer) setVersion(v task.VersionChange) error {
	st := w.st.versionPut
	switch v.To {
	case v.From:
		return nil
	case 0:
		st = w.st.versionDelete
		st.bind().value(v.Name)
	default:
		st.bind().value(v.Name).int(v.To)
	}
	return st.run()
}
