package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/host/task"
)

const (
	sqlHistory = `SELECT n, at, from_state, to_state, attempt, by, message FROM history WHERE task = ? AND n > ? ORDER BY n`
	sqlLogs    = `SELECT n, at, attempt, level, message, fields FROM log WHERE task = ?1 AND n > ?2 AND (?3 = 0 OR attempt = ?3)
AND (?4 = '' OR level IN (SELECT value FROM json_each(?4))) ORDER BY n LIMIT ?5`
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
	seq, err := s.seqOf(ctx, scope, id)
	if err != nil {
		return nil, err
	}
	var out []task.Event
	err = s.rows(ctx, sqlHistory, []any{seq, after}, 7, func(r row) bool {
		var d damage
		e := task.Event{Seq: r.int(0), At: d.time(r, 1, "at"), From: d.state(r, 2, "from", task.None), To: d.state(r, 3, "to", task.Pending),
			Attempt: int(r.int(4)), By: r.text(5), Message: r.text(6)}
		if len(d) > 0 {
			e.Message = strings.TrimSpace(e.Message + " (damaged: " + d.String() + ")")
		}
		if e.By == "" {
			e.By = task.ByHost
		}
		out = append(out, e)
		return true
	})
	return out, err
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
