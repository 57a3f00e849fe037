package server

import (
	"net/http"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// taskLines are the tasks of a list as lines: as in a page of it, each a taskLine.
type taskLines []taskLine

// taskLine stands for a task as lists show it.
type taskLine struct{}

// linesAtOnce is how many tasks of a list as lines are read at a time: what a client that
// stops reading costs in memory. A task may have 32 KiB of labels.
const linesAtOnce = 250

// writeTaskLines writes all tasks that the filter selects, or most of them at the most where
// that is not 0, each as a line of JSON. They are read a page at a time, and none is read
// before the one before it was taken: a client that stops reading costs a page of memory
// until it is cut off, and keeps nothing of the store open. What comes or goes meanwhile may
// be among them or not, as in a walk through pages.
func (h *handlers) writeTaskLines(w http.ResponseWriter, r *http.Request, s task.Scope, f task.Filter, most int) error {
	if !accepts(r, "application/x-ndjson") {
		return task.Errorf(api.CodeNotAcceptable, "with format=jsonl the answer is application/x-ndjson")
	}
	ctx, cancel := requestContext(r, maxStream)
	defer cancel()
	f.Limit = linesAtOnce
	if most > 0 {
		f.Limit = most
	}
	page, err := h.svc.List(ctx, s, f)
	if err != nil {
		return err
	}
	out, err := h.stream(w, "application/x-ndjson")
	if err != nil || r.Method == http.MethodHead {
		return err
	}
	for {
		if err := out.writeTasks(page.Tasks); err != nil {
			return err
		}
		if page.Next.IsZero() || most > 0 {
			return nil
		}
		f.Cursor = page.Next
		page, err = h.svc.List(ctx, s, f)
		switch {
		case ctx.Err() != nil:
			panic(http.ErrAbortHandler) // the host ends: half of them must not look like all
		case err != nil:
			return err
		}
	}
}

// bytesAtOnce is about how much of a list as lines is written at a time.
const bytesAtOnce = 32 << 10

// writeTasks writes tasks as lines, and has them on their way.
func (s *stream) writeTasks(tasks []task.Task) error {
	var lines []byte
	for i := range tasks {
		shown := toTask(&tasks[i], false)
		var err error
		if lines, err = api.AppendTask(lines, &shown); err != nil {
			return err
		}
		lines = append(lines, '\n')
		if len(lines) >= bytesAtOnce {
			if err := s.write(lines); err != nil {
				return err
			}
			lines = lines[:0]
		}
	}
	if err := s.write(lines); err != nil {
		return err
	}
	return s.flush()
}
