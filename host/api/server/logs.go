package server

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

const (
	logsListed = 1000
	logPage    = 1000
	// logLag is how long a follower waits before it looks for lines that it heard
	// of but that are not yet stored: hosts write them a few times a second.
	logLag = 200 * time.Millisecond
	// settling is how many such looks a new watch takes whether it heard of
	// anything or not: what was said just before it began is told to nobody, and
	// stored only now.
	settling = 5
)

// logQuery says which lines a client wants.
type logQuery struct {
	after   int64
	since   time.Time
	level   int
	attempt int
	limit   int
	follow  bool
}

func (q *query) logs() logQuery {
	l := logQuery{attempt: int(q.integer("attempt", 1, 1<<31-1)), limit: int(q.integer("limit", 1, 10_000)), follow: q.flag("follow")}
	if l.limit == 0 {
		l.limit = logsListed
	}
	if v := q.one("since"); v != "" {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && n >= 0 {
			l.after = n
		} else if l.since, err = time.Parse(time.RFC3339Nano, v); err != nil {
			q.bad.add(place{"since"}, "query parameter since is neither the seq of a line nor a time of RFC 3339")
		}
	}
	if v := q.one("level"); v != "" {
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

func (l *logQuery) wants(line *task.LogLine) bool {
	return (l.attempt == 0 || line.Attempt == l.attempt) && levelRank(line.Level) >= l.level && (l.since.IsZero() || !line.At.Before(l.since))
}

func (h *handlers) logs(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	l := q.logs()
	if err := q.err(); err != nil {
		return err
	}
	t, err := h.find(r, s)
	if err != nil {
		return err
	}
	if l.follow {
		return h.followLogs(w, r, s, t, l)
	}
	out := api.LogList{Lines: []task.LogLine{}}
	more, err := h.readLogs(r.Context(), s, t.ID, &l.after, func(line *task.LogLine) (bool, error) {
		if l.wants(line) {
			if len(out.Lines) == l.limit {
				return false, nil
			}
			line.At = task.Shown(line.At)
			out.Lines = append(out.Lines, *line)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	if more {
		next := strconv.FormatInt(l.after, 10)
		out.Next = &next
	}
	return h.writeJSON(w, http.StatusOK, out)
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
