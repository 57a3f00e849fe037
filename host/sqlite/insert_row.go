package sqlite

import (
	"time"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

// insertRow is what can be made ready of a task before the writer has it.
type insertRow struct {
	lane      lane.Key
	labels    string
	resources string
	seq       int64
	in        *lane.Lane // what the writer found for it
}

// encodeRows makes ready of new tasks what can be.
func encodeRows(tasks []*task.Task) ([]insertRow, error) {
	rows := make([]insertRow, len(tasks))
	for i, t := range tasks {
		if err := rows[i].encode(t); err != nil {
			return nil, task.WithTaskNumber(err, i, len(tasks))
		}
	}
	return rows, nil
}

func (r *insertRow) encode(t *task.Task) error {
	if err := checkTimes(t); err != nil {
		return err
	}
	route, err := document(t.Route)
	if err != nil {
		return task.Errorf(task.CodeInvalidRequest, "task %s: route: %v", t.ID, err)
	}
	r.labels, err = document(t.Labels)
	if err != nil {
		return task.Errorf(task.CodeInvalidRequest, "task %s: labels: %v", t.ID, err)
	}
	if t.State != task.Pending && t.State != task.Running {
		return task.Errorf(task.CodeInternal, "task %s is %s: a new task is pending or running", t.ID, t.State)
	}
	r.resources = resourcesDocument(&t.Resources)
	t.Version = 1
	r.lane = keyOf(t, route)
	return nil
}

// bindNew gives the statement that inserts new tasks, with their rows bound. alike says that they
// differ in eachColumns alone.
func (w *writer) bindNew(tasks []*task.Task, rows []insertRow, alike bool) *stmt {
	st, columns := w.st.taskInsert, insertColumns
	switch {
	case alike:
		st, columns = w.st.alikeInsert, eachColumns
	case len(tasks) == insertAtOnce:
		st = w.st.tasksInsert
	}
	a := st.bind()
	for i, t := range tasks {
		r := &rows[i]
		w.row = taskRow{Task: t, seq: r.seq, lane: r.in.Row, version: t.Version, labels: r.labels, resources: r.resources, result: resultNone}
		if t.CreatedBy == "" {
			w.row.tells = toldAtInsert(t)
		}
		if alike && i == 0 {
			bindColumns(alikeColumns, a, &w.row)
		}
		bindColumns(columns, a, &w.row)
	}
	return st
}

// alikeRow is what the row of a new task has in alikeColumns.
type alikeRow struct {
	lane                                                           *lane.Lane
	state                                                          task.State
	waiting                                                        task.Waiting
	labels, resources, executor, node, key, step, trace, createdBy string
	priority, attempt, failures, maxAttempts, lost, maxLost        int
	version, place                                                 int64
	timeout, retain                                                time.Duration
	deadline, created, runAt, started, updated                     time.Time
	group, flow, parent                                            task.ID
}

// areAlike says that the rows of new tasks differ in eachColumns alone.
func areAlike(tasks []*task.Task, rows []insertRow) bool {
	first := alikeOf(tasks[0], &rows[0])
	for i := 1; i < len(tasks); i++ {
		if alikeOf(tasks[i], &rows[i]) != first {
			return false
		}
	}
	return true
}

func alikeOf(t *task.Task, r *insertRow) alikeRow {
	return alikeRow{
		lane: r.in, state: t.State, waiting: t.Waiting, labels: r.labels, resources: r.resources, executor: t.Executor, node: t.Node,
		key: t.Key, step: t.Step, trace: t.Trace, createdBy: t.CreatedBy, priority: t.Priority, attempt: t.Attempt, failures: t.Failures,
		maxAttempts: t.MaxAttempts, lost: t.Lost, maxLost: t.MaxLost, version: t.Version, place: t.Place, timeout: t.Timeout, retain: t.Retain,
		deadline: t.Deadline, created: t.CreatedAt, runAt: t.RunAt, started: t.StartedAt, updated: t.UpdatedAt,
		group: t.Group, flow: t.Flow, parent: t.Parent,
	}
}
