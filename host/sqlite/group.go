package sqlite

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/task"
)

// groupColumns are the columns of table task_group, as readGroup reads them.
var (
	groupColumns = `id, owner, name, labels, on_finished, finisher, created_at, closed_at, finished_at, problem, ` + strings.Join(countColumns(), ", ")
	groupCount   = 10 + len(group.Counted())

	sqlGroupGet   = `SELECT ` + groupColumns + ` FROM task_group WHERE id = ?`
	sqlGroupList  = `SELECT ` + groupColumns + ` FROM task_group WHERE id < ? AND (?2 OR owner = ?3) AND (?4 = '' OR name = ?4) ORDER BY id DESC LIMIT +?5`
	sqlGroupWrong = `SELECT ` + groupColumns + ` FROM task_group WHERE problem IS NOT NULL AND (?1 OR owner = ?2) ORDER BY id DESC LIMIT +?3`
	sqlGroupCount = `UPDATE task_group SET ` + addCounts() + ` WHERE id = ?`
)

const (
	unfinishedMembers = `pending + running + canceling + reverting`
	noFinisherDue     = `(on_finished IS NULL OR finisher IS NOT NULL)`
	sqlGroupInsert    = `INSERT INTO task_group (id, owner, name, labels, on_finished, created_at, closed_at, finished_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	sqlGroupJoin      = `SELECT owner, closed_at FROM task_group WHERE id = ?`
	sqlGroupClose     = `UPDATE task_group SET closed_at = ? WHERE id = ? AND closed_at IS NULL`
	// What is returned is whether a finisher is due.
	sqlGroupFinished = `UPDATE task_group SET finished_at = ? WHERE id = ? AND closed_at IS NOT NULL AND finished_at IS NULL AND ` + unfinishedMembers + ` = 0
RETURNING on_finished IS NOT NULL AND finisher IS NULL`
	sqlGroupReopened = `UPDATE task_group SET finished_at = NULL, problem = NULL, retry_at = NULL WHERE id = ? AND finished_at IS NOT NULL AND ` + unfinishedMembers + ` > 0`
	sqlGroupFinisher = `UPDATE task_group SET finisher = ?, problem = NULL, retry_at = NULL WHERE id = ?`
	sqlGroupPostpone = `UPDATE task_group SET problem = ?, retry_at = ? WHERE id = ?`
	sqlGroupAsked    = `UPDATE task_group SET retry_at = NULL WHERE id = ?`
	sqlGroupsDue     = `SELECT id, retry_at FROM task_group WHERE retry_at IS NOT NULL ORDER BY retry_at LIMIT +?`
	sqlGroupState    = `SELECT owner, finished_at, finisher FROM task_group WHERE id = ?`
	sqlGroupDelete   = `DELETE FROM task_group WHERE id = ?`
	sqlGroupRetire   = `DELETE FROM task_group WHERE id = ? AND finished_at IS NOT NULL AND ` + noFinisherDue
	sqlGroupsEmpty   = `SELECT id FROM task_group g WHERE finished_at <= ?1 AND ` + noFinisherDue + ` AND NOT EXISTS (SELECT 1 FROM task t WHERE t.group_id = g.id) ORDER BY finished_at LIMIT +?2`
)

// countColumns are the columns that count, in the order of group.Counted.
func countColumns() (names []string) {
	for _, s := range group.Counted() {
		names = append(names, group.CountName(s))
	}
	return names
}

func addCounts() string {
	var terms []string
	for _, c := range countColumns() {
		terms = append(terms, c+" = "+c+" + ?")
	}
	return strings.Join(terms, ", ")
}

func readGroup(r row) (g group.Group) {
	copy(g.ID[:], r.blob(0))
	g.Owner = r.text(1)
	g.Name = r.text(2)
	if b := r.blob(3); len(b) > 0 {
		_ = json.Unmarshal(b, &g.Labels) // a document of this store; damage shows as no labels
	}
	if b := r.blob(4); len(b) > 0 {
		g.OnFinished = &task.Spec{}
		if json.Unmarshal(b, g.OnFinished) != nil {
			g.OnFinished = nil
		}
	}
	copy(g.Finisher[:], r.blob(5))
	g.CreatedAt = r.time(6)
	g.ClosedAt = r.time(7)
	g.FinishedAt = r.time(8)
	g.Problem = r.text(9)
	for i, s := range group.Counted() {
		g.Counts[s] = r.int(10 + i)
	}
	return g
}

// groupMoves are the counts of groups as the open transaction changes them: they are
// written once a transaction, however many members it moves.
type groupMoves struct {
	moved []groupMove
	index map[task.ID]int
	last  int // the index of the one that was moved last, which mostly is the next, too
}

type groupMove struct {
	id    task.ID
	delta group.Counts
	at    int64 // of the last change
}

func (g *groupMoves) move(id task.ID, from, to task.State, at int64) {
	i, ok := g.last, g.last < len(g.moved) && g.moved[g.last].id == id
	if !ok {
		i, ok = g.index[id]
	}
	if !ok {
		if g.index == nil {
			g.index = map[task.ID]int{}
		}
		i = len(g.moved)
		g.index[id] = i
		g.moved = append(g.moved, groupMove{id: id})
	}
	g.last = i
	m := &g.moved[i]
	m.delta[to]++
	m.delta[from]--
	m.delta[task.None] = 0
	m.at = max(m.at, at)
}

// trashed has a member counted as trashed or not any more whose move is noted already.
func (g *groupMoves) trashed(id task.ID, was, is bool) {
	if was == is {
		return
	}
	from, to := task.Failed, group.Trashed
	if was {
		from, to = to, from
	}
	g.move(id, from, to, 0)
}

func (g *groupMoves) clear() {
	g.moved = g.moved[:0]
	clear(g.index)
}

// writeGroups writes the counts of the transaction, and which groups it finishes. It is
// part of the commit.
func (w *writer) writeGroups() error {
	for i := range w.groups.moved {
		if err := w.writeGroup(&w.groups.moved[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) writeGroup(m *groupMove) error {
	st := w.st.groupCount
	a := st.bind()
	for _, s := range group.Counted() {
		a.int(m.delta[s])
	}
	a.blob(m.id[:])
	if err := st.run(); err != nil {
		return err
	}
	if unfinished := m.delta.Total() - m.delta.Done(); unfinished > 0 {
		w.st.groupReopened.bind().blob(m.id[:])
		return w.st.groupReopened.run()
	}
	if m.delta.Done() <= 0 {
		return nil
	}
	return w.finishGroup(m.id, m.at)
}

// finishGroup marks a group as finished if it is, and asks for its finisher.
func (w *writer) finishGroup(id task.ID, at int64) error {
	st := w.st.groupFinished
	st.bind().int(at).blob(id[:])
	found, err := st.one()
	if err != nil || !found || st.row.int(0) == 0 {
		return err
	}
	return w.signal(task.Signal{Kind: task.SignalGroup, ID: id})
}

// checkGroups refuses new tasks whose group is not there, another's, or closed. own is a
// group that the same operation makes.
func (w *writer) checkGroups(tasks []*task.Task, own task.ID) (refused, err error) {
	var last task.ID
	for i, t := range tasks {
		if t.Group.IsZero() || t.Group == own || t.Group == last || !t.Existing().IsZero() {
			continue
		}
		st := w.st.groupJoin
		st.bind().blob(t.Group[:])
		found, err := st.one()
		if err != nil {
			return nil, err
		}
		if !found || st.row.text(0) != t.Owner {
			return task.WithTaskNumber(noSuch("group", t.Group), i, len(tasks)), nil
		}
		if st.row.int(1) != 0 {
			return task.WithTaskNumber(task.Errorf(task.CodeConflict, "group %s is closed: no more tasks can join it", t.Group), i, len(tasks)), nil
		}
		last = t.Group
	}
	return nil, nil
}

// CreateGroup implements group.Store.
func (s *Store) CreateGroup(ctx context.Context, g *group.Group, sub task.Submission) (task.Receipt, error) {
	rows, err := encodeRows(sub.Tasks)
	if err != nil {
		return task.Receipt{}, err
	}
	o := &createGroupOp{insertOp: insertOp{sub: sub, rows: rows, group: g.ID}, group: g}
	if o.labels, err = document(g.Labels); err != nil {
		return task.Receipt{}, task.Errorf(task.CodeInvalidRequest, "labels: %v", err)
	}
	if g.OnFinished != nil {
		b, err := json.Marshal(g.OnFinished)
		if err != nil {
			return task.Receipt{}, task.Errorf(task.CodeInvalidRequest, "on_finished: %v", err)
		}
		o.onFinished = string(b)
	}
	if err := s.w.do(ctx, o); err != nil {
		return task.Receipt{}, err
	}
	return o.receipt()
}

type createGroupOp struct {
	insertOp
	group              *group.Group
	labels, onFinished string
}

func (o *createGroupOp) run(w *writer) error {
	if err := o.insertOp.run(w); err != nil || o.refused != nil || o.replayed != nil {
		return err
	}
	g := o.group
	if !g.ClosedAt.IsZero() && !slices.ContainsFunc(o.sub.Tasks, func(t *task.Task) bool { return t.Existing().IsZero() }) {
		g.FinishedAt = g.ClosedAt
	}
	st := w.st.groupInsert
	st.bind().blob(g.ID[:]).value(g.Owner).text(g.Name).text(o.labels).text(o.onFinished).int(micros(g.CreatedAt)).opt(micros(g.ClosedAt)).opt(micros(g.FinishedAt))
	if err := st.run(); err != nil {
		return err
	}
	if !g.FinishedAt.IsZero() && g.OnFinished != nil {
		return w.signal(task.Signal{Kind: task.SignalGroup, ID: g.ID})
	}
	return nil
}

// Group implements group.Store.
func (s *Store) Group(ctx context.Context, scope task.Scope, id task.ID) (g group.Group, err error) {
	found := false
	err = s.rows(ctx, sqlGroupGet, []any{id[:]}, groupCount, func(r row) bool {
		g = readGroup(r)
		found = true
		return false
	})
	if err == nil && (!found || !sees(scope, g.Owner)) {
		err = noSuch("group", id)
	}
	return g, err
}

// Groups implements group.Store.
func (s *Store) Groups(ctx context.Context, scope task.Scope, f group.Filter) (page group.Page, err error) {
	from, limit := newestFirst(f.Cursor, f.Limit)
	err = s.rows(ctx, sqlGroupList, []any{from, scope.All, scope.Owner, f.Name, limit + 1}, groupCount, func(r row) bool {
		page.Groups = append(page.Groups, readGroup(r))
		return true
	})
	if err == nil && len(page.Groups) > limit {
		page.Groups = page.Groups[:limit]
		page.Next = page.Groups[limit-1].ID
	}
	return page, err
}

// groupOp is an operation on one group that is there.
type groupOp struct {
	scope   task.Scope
	id      task.ID
	refused error
	// do is called with the group's state in groupState's row.
	do func(w *writer, finished bool, finisher task.ID) (refused, err error)
}

func (o *groupOp) size() (rows, bytes int) { return 4, 0 }

func (o *groupOp) run(w *writer) (err error) {
	// What the operations before it in the transaction have changed is to be seen.
	if err := w.writeGroups(); err != nil {
		return err
	}
	w.groups.clear()
	st := w.st.groupState
	st.bind().blob(o.id[:])
	found, err := st.one()
	if err != nil {
		return err
	}
	if !found || !sees(o.scope, st.row.text(0)) {
		o.refused = noSuch("group", o.id)
		return nil
	}
	var finisher task.ID
	copy(finisher[:], st.row.blob(2))
	o.refused, err = o.do(w, st.row.int(1) != 0, finisher)
	return err
}

func (s *Store) onGroup(ctx context.Context, o *groupOp) error {
	if err := s.w.do(ctx, o); err != nil {
		return err
	}
	return o.refused
}

// CloseGroup implements group.Store.
func (s *Store) CloseGroup(ctx context.Context, scope task.Scope, id task.ID, now time.Time) error {
	return s.onGroup(ctx, &groupOp{scope: scope, id: id, do: func(w *writer, _ bool, _ task.ID) (refused, err error) {
		w.st.groupClose.bind().int(micros(now)).blob(id[:])
		if err := w.st.groupClose.run(); err != nil {
			return nil, err
		}
		return nil, w.finishGroup(id, micros(now))
	}})
}

// FinishGroup implements group.Store.
func (s *Store) FinishGroup(ctx context.Context, id task.ID, finisher *task.Task, used task.Signal) error {
	var inserts []*task.Task
	if finisher != nil {
		inserts = append(inserts, finisher)
	}
	rows, err := encodeRows(inserts)
	if err != nil {
		return err
	}
	err = s.onGroup(ctx, &groupOp{scope: task.Scope{All: true}, id: id, do: func(w *writer, finished bool, has task.ID) (refused, err error) {
		if refused, err = w.checkSignal(used); refused != nil || err != nil {
			return refused, err
		}
		if finisher != nil {
			if !finished || !has.IsZero() {
				return task.Errorf(task.CodeConflict, "group %s is not finished, or has a finisher", id), nil
			}
			if refused, err = w.checkNew(inserts, task.ID{}); refused != nil || err != nil {
				return refused, err
			}
			if err := w.insertAll(inserts, rows); err != nil {
				return nil, err
			}
			on := finisher.RecordedID()
			w.st.groupFinisher.bind().blob(on[:]).blob(id[:])
			if err := w.st.groupFinisher.run(); err != nil {
				return nil, err
			}
		}
		return nil, w.useSignal(used)
	}})
	if err == nil && finisher != nil {
		finisher.Seq = rows[0].seq
	}
	return err
}

// DeleteGroup implements group.Store.
func (s *Store) DeleteGroup(ctx context.Context, scope task.Scope, id task.ID) error {
	return s.onGroup(ctx, &groupOp{scope: scope, id: id, do: func(w *writer, finished bool, _ task.ID) (refused, err error) {
		if !finished {
			return task.Errorf(task.CodeNotFinal, "group %s is not finished: cancel it first, or wait until it is", id), nil
		}
		w.st.groupDelete.bind().blob(id[:])
		return nil, w.st.groupDelete.run()
	}})
}

// DeleteFinishedGroups implements group.Store.
func (s *Store) DeleteFinishedGroups(ctx context.Context, before time.Time, limit int) ([]task.ID, error) {
	var ids []task.ID
	err := s.rows(ctx, sqlGroupsEmpty, []any{micros(before), limit}, 1, func(r row) bool {
		var id task.ID
		copy(id[:], r.blob(0))
		ids = append(ids, id)
		return true
	})
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	var gone []task.ID
	err = s.guarded(ctx, len(ids), func(w *writer) (refused, err error) {
		gone = gone[:0]
		if err := w.writeGroups(); err != nil { // a member may have been retried
			return nil, err
		}
		w.groups.clear()
		for _, id := range ids {
			w.st.groupRetire.bind().blob(id[:])
			n, err := w.st.groupRetire.changed()
			if err != nil {
				return nil, err
			}
			if n > 0 {
				gone = append(gone, id)
			}
		}
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return gone, nil
}
