package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// LogList is log lines in order.
type LogList struct {
	Lines []task.LogLine `json:"lines" nullable:"false"`
	Next  *string        `json:"next" doc:"give it as since to read on; null if these were all"`
}

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
			q.bad.add("/since", "query parameter since is neither the seq of a line nor a time of RFC 3339")
		}
	}
	if v := q.one("level"); v != "" {
		if l.level = levelRank(v); l.level == 0 {
			q.bad.add("/level", "%q is not a level: want trace, debug, info, warn or error", v)
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

func (a *api) logs(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	l := q.logs()
	if err := q.err(); err != nil {
		return err
	}
	t, err := a.find(r, s)
	if err != nil {
		return err
	}
	if l.follow {
		return a.followLogs(w, r, s, t, l)
	}
	out := LogList{Lines: []task.LogLine{}}
	more, err := a.readLogs(r.Context(), s, t.ID, &l.after, func(line *task.LogLine) (bool, error) {
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
	return a.writeJSON(w, http.StatusOK, out)
}

// readLogs visits the stored lines after *after in order, and keeps in it how
// far it came; more says that visit did not want the next.
func (a *api) readLogs(ctx context.Context, s task.Scope, id task.ID, after *int64, visit func(*task.LogLine) (bool, error)) (more bool, err error) {
	for {
		lines, err := a.svc.Logs(ctx, s, id, task.LogFilter{After: *after, Limit: logPage})
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

// logTail writes a task's lines as they come: each once, in the order of their
// numbers. What is told live may run ahead of what is stored, so a line that
// does not follow the last one waits until the store has those before it.
type logTail struct {
	a     *api
	out   *stream
	s     task.Scope
	id    task.ID
	q     logQuery
	heard int64 // the highest number told of
}

func (l *logTail) emit(line *task.LogLine) (bool, error) {
	if !l.q.wants(line) {
		return true, nil
	}
	own := *line // what is told live is told to others too
	own.At = task.Shown(own.At)
	data, err := encodeJSON(&own)
	if err != nil {
		return false, err
	}
	return true, l.out.put(data)
}

func (l *logTail) stored(ctx context.Context) error {
	if _, err := l.a.readLogs(ctx, l.s, l.id, &l.q.after, l.emit); err != nil {
		return err
	}
	return l.out.flush()
}

func (l *logTail) live(line *task.LogLine) error {
	l.heard = max(l.heard, line.Seq)
	if line.Seq != l.q.after+1 {
		return nil
	}
	l.q.after = line.Seq
	if _, err := l.emit(line); err != nil {
		return err
	}
	return l.out.flush()
}

func (l *logTail) behind() bool { return l.heard > l.q.after }

// followLogs streams lines until the task is final.
func (a *api) followLogs(w http.ResponseWriter, r *http.Request, s task.Scope, t task.Task, q logQuery) error {
	if !accepts(r, "application/x-ndjson") {
		return task.Errorf(codeNotAcceptable, "followed logs are application/x-ndjson")
	}
	ctx, cancel := held(r, maxStream)
	defer cancel()
	out, err := a.stream(w, "application/x-ndjson")
	if err != nil || r.Method == http.MethodHead {
		return err
	}
	tail := &logTail{a: a, out: out, s: s, id: t.ID, q: q}
	for {
		end, err := a.tailOnce(ctx, tail)
		if end || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return brokenOff(err)
		}
	}
}

// tailOnce follows until the task is final (end), or its watch is over.
func (a *api) tailOnce(ctx context.Context, l *logTail) (end bool, err error) {
	watch, stop := context.WithCancel(ctx)
	defer stop()
	updates, err := a.svc.Watch(watch, l.s, l.id)
	if err != nil {
		return false, err
	}
	// Asked after the watch began: an end in between is heard of twice rather than never.
	t, err := a.svc.Get(ctx, l.s, l.id)
	if err != nil {
		return false, err
	}
	if err := l.stored(ctx); err != nil || t.State.Final() {
		return err == nil, err
	}
	lag := time.NewTicker(logLag)
	defer lag.Stop()
	for looks := 0; ; {
		select {
		case u, ok := <-updates:
			if !ok {
				return false, nil
			}
			if u.Log != nil {
				if err := l.live(u.Log); err != nil {
					return false, err
				}
			}
			if u.Task != nil && u.Task.State.Final() {
				return true, l.rest(ctx)
			}
		case <-lag.C:
			if looks++; l.behind() || looks <= settling {
				if err := l.stored(ctx); err != nil {
					return false, err
				}
			}
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// rest writes what is still to come of a final task: a host may store the last
// lines a moment after the end, and not at all if its store fails.
func (l *logTail) rest(ctx context.Context) error {
	lag := time.NewTicker(logLag)
	defer lag.Stop()
	for tries := 0; ; tries++ {
		if err := l.stored(ctx); err != nil || !l.behind() || tries == 10 {
			return err
		}
		select {
		case <-lag.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
