package server

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

const (
	// logsListed is how many lines an answer has that is not followed, if nothing else is asked for.
	logsListed = 1000
	// logPage is how many lines are read from the store at a time.
	logPage = 1000
)

// logQuery says which lines a client wants.
type logQuery struct {
	// after is the number of the last line that is not wanted.
	after int64
	// since leaves out lines of before; zero takes those of any time.
	since time.Time
	// level is the lowest rank of a level that is wanted.
	level int
	// text is what a wanted line has in its text or in the value of a field, in small letters.
	text string
	// attempt is whose lines are wanted; 0: those of all.
	attempt int
	// limit is how many lines an answer has that is not followed.
	limit int
	// follow streams lines until the task is final.
	follow bool
}

// logs reads which lines are asked for.
func (q *query) logs() logQuery {
	l := logQuery{attempt: int(q.integer("attempt", 1, 1<<31-1)), limit: int(q.integer("limit", 1, 10_000)), follow: q.boolean("follow")}
	if l.limit == 0 {
		l.limit = logsListed
	}
	if v := q.filled("since"); v != "" {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && n >= 0 {
			l.after = n
		} else if l.since, err = time.Parse(time.RFC3339Nano, v); err != nil {
			q.bad.add(place{"since"}, "query parameter since is neither the seq of a line nor a time of RFC 3339")
		}
	}
	l.text = strings.ToLower(q.filled("text"))
	if v := q.filled("level"); v != "" {
		if l.level = levelRank(v); l.level == 0 {
			q.bad.add(place{"level"}, "%q is not a level: want trace, debug, info, warn or error", v)
		}
	}
	return l
}

// levelRank orders levels from 1; 0 is none.
func levelRank(level string) int {
	switch strings.ToLower(level) {
	case "trace":
		return 1
	case "debug":
		return 2
	case "info":
		return 3
	case "warn":
		return 4
	case "error":
		return 5
	}
	return 0
}

// wants says whether a line is asked for; its number apart, which the store looks at.
func (l *logQuery) wants(line *task.LogLine) bool {
	return (l.attempt == 0 || line.Attempt == l.attempt) && levelRank(line.Level) >= l.level && (l.since.IsZero() || !line.At.Before(l.since)) && l.hasText(line)
}

// hasText says that the text that is asked for is in a line, in capitals or small letters.
func (l *logQuery) hasText(line *task.LogLine) bool {
	if l.text == "" || strings.Contains(strings.ToLower(line.Message), l.text) {
		return true
	}
	for _, v := range line.Fields {
		if strings.Contains(strings.ToLower(v), l.text) {
			return true
		}
	}
	return false
}

// readLogs visits the stored lines after *after in order, and keeps in it how
// far it came; more says that visit did not want the next.
func (h *handlers) readLogs(ctx context.Context, s task.Scope, id task.ID, after *int64, visit func(*task.LogLine) (bool, error)) (more bool, err error) {
	for {
		lines, err := h.svc.Logs(ctx, s, id, task.LogFilter{After: *after, Limit: logPage})
		if err != nil {
			return false, err
		}
		for i := range lines {
			on, err := visit(&lines[i])
			if err != nil || !on {
				return err == nil, err
			}
			*after = lines[i].Seq
		}
		if len(lines) < logPage {
			return false, nil
		}
	}
}
