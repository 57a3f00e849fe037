package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/host/task"
)

const (
	// One statement, and so one moment: what leaves the row comes into the table.
	sqlHistory = `SELECT h.n, h.at, h.from_state, h.to_state, h.attempt, h.by, h.message,
l.owner, t.state, t.attempt, t.version, t.begun, t.node, t.created_at, t.started_at, t.finished_at, t.executor, t.parent, t.handed_at
FROM task t JOIN lane l ON l.id = t.lane LEFT JOIN history h ON h.task = t.seq AND h.n > +? WHERE t.id = +? ORDER BY h.n`
	historyCount = 19
	sqlLogs      = `SELECT n, at, attempt, level, message, fields FROM log WHERE task = ?1 AND n > ?2 AND (?3 = 0 OR attempt = ?3)
AND (?4 = '' OR level IN (SELECT value FROM json_each(?4))) ORDER BY n LIMIT +?5`
	sqlOwner = `SELECT t.seq, l.owner FROM task t JOIN lane l ON l.id = t.lane WHERE t.id = +?`
)

// seqOf finds the order key of a task in the scope.
func (s *Store) seqOf(ctx context.Context, scope task.Scope, id task.ID) (int64, error) {
	var seq int64
	err := s.rows(ctx, sqlOwner, []any{id[:]}, 2, func(r row) bool {
		if sees(scope, r.text(1)) {
			seq = r.int(0)
		}
		return true
	})
	if err == nil && seq == 0 {
		err = notFound(id)
	}
	return seq, err
}

// History implements task.Journal.
func (s *Store) History(ctx context.Context, scope task.Scope, id task.ID, after int64) ([]task.Event, error) {
	var events, told []task.Event
	found := false
	err := s.rows(ctx, sqlHistory, []any{after, id[:]}, historyCount, func(r row) bool {
		if !found {
			if found = sees(scope, r.text(7)); !found {
				return false
			}
			told = toldByRow(r)
		}
		if r[0] != nil {
			events = append(events, readEvent(r))
		}
		return true
	})
	if err != nil || !found {
		return nil, cmp.Or(err, notFound(id))
	}
	if len(events) > 0 && events[0].Seq == told[0].Seq { // of a task that was made before rows told that
		told = told[1:]
	}
	events = append(events, told...)
	slices.SortFunc(events, func(a, b task.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	first, _ := slices.BinarySearchFunc(events, after+1, func(e task.Event, seq int64) int { return cmp.Compare(e.Seq, seq) })
	return events[first:], nil
}

// readEvent reads the event of a row of sqlHistory.
func readEvent(r row) task.Event {
	var d damage
	e := task.Event{Seq: r.int(0), At: d.time(r, 1, "at"), From: d.state(r, 2, "from", task.None), To: d.state(r, 3, "to", task.Pending),
		Attempt: int(r.int(4)), By: cmp.Or(r.text(5), task.ByHost), Message: r.text(6)}
	return withDamage(e, d)
}

// toldByRow are the events that the task's row tells by itself, as sqlHistory reads it: its
// creation first.
func toldByRow(r row) []task.Event {
	var d damage
	t := task.Task{Owner: r.text(7), State: d.state(r, 8, "state", task.Pending), Attempt: int(r.int(9)), Version: r.int(10), Node: r.text(12),
		CreatedAt: d.time(r, 13, "created_at"), StartedAt: d.time(r, 14, "started_at"), FinishedAt: d.time(r, 15, "finished_at"), Executor: r.text(16)}
	copy(t.Parent[:], r.blob(17))
	events := toldBy(&t, tells{begun: r.int(11), handed: d.time(r, 18, "handed_at")})
	if len(events) == 0 || events[0].Seq != 1 {
		events = slices.Insert(events, 0, creation(&t))
	}
	for i := range events {
		events[i] = withDamage(events[i], d)
	}
	return events
}

// withDamage is an event that says what of it cannot be read.
func withDamage(e task.Event, d damage) task.Event {
	if len(d) > 0 {
		e.Message = strings.TrimSpace(e.Message + " (damaged: " + d.String() + ")")
	}
	return e
}

// AppendLogs implements task.Journal. Lines of a task that was deleted are
// dropped, and so is a line whose number the task has already.
func (s *Store) AppendLogs(ctx context.Context, seq int64, lines []task.LogLine) error {
	if len(lines) == 0 {
		return nil
	}
	o := &logOp{seq: seq, lines: lines, fields: make([]string, len(lines))}
	for i := range lines {
		var err error
		if o.fields[i], err = document(lines[i].Fields); err != nil {
			return fmt.Errorf("log line %d: %w", lines[i].Seq, err)
		}
	}
	return s.w.do(ctx, o)
}

type logOp struct {
	seq    int64
	lines  []task.LogLine
	fields []string
}

func (o *logOp) size() (rows, bytes int) {
	for i := range o.lines {
		bytes += len(o.lines[i].Message)
	}
	return len(o.lines), bytes
}

func (o *logOp) run(w *writer) error {
	st := w.st.logInsert
	for i := range o.lines {
		l := &o.lines[i]
		st.bind().int(o.seq).int(l.Seq).int(micros(l.At)).int(int64(l.Attempt)).value(l.Level).value(l.Message).text(o.fields[i])
		if err := st.run(); err != nil {
			return err
		}
	}
	return nil
}

// Logs implements task.Journal. A level means that one and the graver ones.
func (s *Store) Logs(ctx context.Context, scope task.Scope, id task.ID, f task.LogFilter) ([]task.LogLine, error) {
	seq, err := s.seqOf(ctx, scope, id)
	if err != nil {
		return nil, err
	}
	limit := f.Limit
	if limit <= 0 {
		limit = task.MaxListLimit
	}
	var out []task.LogLine
	err = s.rows(ctx, sqlLogs, []any{seq, f.After, f.Attempt, levels(f.Level), limit}, 6, func(r row) bool {
		var d damage
		l := task.LogLine{Seq: r.int(0), At: d.time(r, 1, "at"), Attempt: int(r.int(2)), Level: r.text(3), Message: r.text(4)}
		d.document(r.blob(5), &l.Fields, "fields")
		if len(d) > 0 {
			l.Message = strings.TrimSpace(l.Message + " (damaged: " + d.String() + ")")
		}
		out = append(out, l)
		return true
	})
	return out, err
}

// levels is level and all graver ones as a JSON array; "" for all there are.
func levels(level string) string {
	order := []string{"trace", "debug", "info", "warn", "error"}
	at := slices.Index(order, level)
	switch {
	case level == "":
		return ""
	case at < 0:
		order, at = []string{level}, 0
	}
	b, _ := json.Marshal(order[at:]) // strings always marshal
	return string(b)
}
