package server

import (
	"net/http"
	"strconv"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

func (h *handlers) getLogs(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	l := q.logs()
	if err := q.err(); err != nil {
		return err
	}
	t, err := h.findTask(r, s)
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
