package sqlite

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// taskRow is a task as a row is bound from it: what the row has otherwise than
// task.Task, and the progress, the error and the result that are to stand in it.
type taskRow struct {
	*task.Task
	seq          int64
	lane         int64
	version      int64
	labels       string
	resources    string
	tells        tells
	result       int64
	progress     task.Progress
	errorCode    string
	errorAttempt int64
}

// taskReader reads one row into a task, column by column.
type taskReader struct {
	row
	at     int // the column
	task   task.Task
	damage damage
	result int64 // what task.result says
}

// columnUse says when a column of table task is bound, and which columns no list reads.
type columnUse uint8

const (
	onInsert columnUse = 1 << iota // as a task is inserted; otherwise the column is NULL then
	onUpdate                       // as a change is written that no narrower statement makes
	unlisted                       // large: a list does without
	ofEach                         // new tasks that are alike differ in it: see alikeRow
)

// taskColumn is one thing that is kept of a task.
type taskColumn struct {
	table string // t: task, i: input, r: result, m: task_detail; the last three are written apart, by statements of their own
	name  string
	use   columnUse
	bind  func(*arg, *taskRow) // nil unless use says when
	read  func(*taskReader)
}

// taskColumns are all that is kept of a task beside its lane, each with how it is bound
// and read: a new one needs a line here and one in the schema, and another only where a
// statement of the hot path writes it (taskBegin, taskStart, taskSucceed). They are read
// in this order; the unlisted ones are last.
var taskColumns = []taskColumn{
	{"t", "seq", onInsert | ofEach, func(a *arg, t *taskRow) { a.int(t.seq) }, func(r *taskReader) { r.task.Seq = r.int(r.at) }},
	{"t", "id", onInsert | ofEach, func(a *arg, t *taskRow) { a.blob(t.ID[:]) }, func(r *taskReader) { copy(r.task.ID[:], r.blob(r.at)) }},
	{"t", "lane", onInsert | onUpdate, func(a *arg, t *taskRow) { a.int(t.lane) }, func(*taskReader) {}},
	{"t", "state", onInsert | onUpdate, func(a *arg, t *taskRow) { a.int(int64(t.State)) }, func(r *taskReader) { r.task.State = r.damage.state(r.row, r.at, "state", task.Pending) }},
	{"t", "waiting", onInsert | onUpdate, func(a *arg, t *taskRow) { a.int(int64(t.Waiting)) }, func(r *taskReader) { r.task.Waiting = task.Waiting(r.int(r.at)) }},
	{"t", "priority", onInsert | onUpdate, func(a *arg, t *taskRow) { a.int(int64(t.Priority)) }, func(r *taskReader) { r.task.Priority = int(r.int(r.at)) }},
	{"t", "attempt", onInsert | onUpdate, func(a *arg, t *taskRow) { a.int(int64(t.Attempt)) }, func(r *taskReader) { r.task.Attempt = int(r.int(r.at)) }},
	{"t", "version", onInsert | onUpdate, func(a *arg, t *taskRow) { a.int(t.version) }, func(r *taskReader) { r.task.Version = r.int(r.at) }},
	{"t", "begun", onInsert | onUpdate, func(a *arg, t *taskRow) { a.opt(t.tells.begun) }, func(*taskReader) {}},
	{"t", "handed_at", onInsert | onUpdate, func(a *arg, t *taskRow) { a.opt(micros(t.tells.handed)) }, func(*taskReader) {}},
	{"t", "token", onInsert | onUpdate | ofEach, func(a *arg, t *taskRow) { a.id((*[16]byte)(&t.Token)) }, func(r *taskReader) { copy(r.task.Token[:], r.blob(r.at)) }},
	{"t", "executor", onInsert | onUpdate, func(a *arg, t *taskRow) { a.text(t.Executor) }, func(r *taskReader) { r.task.Executor = r.text(r.at) }},
	{"t", "node", onInsert | onUpdate, func(a *arg, t *taskRow) { a.text(t.Node) }, func(r *taskReader) { r.task.Node = r.text(r.at) }},
	{"t", "failures", onInsert | onUpdate, func(a *arg, t *taskRow) { a.int(int64(t.Failures)) }, func(r *taskReader) { r.task.Failures = int(r.int(r.at)) }},
	{"t", "max_attempts", onInsert, func(a *arg, t *taskRow) { a.int(int64(t.MaxAttempts)) }, func(r *taskReader) { r.task.MaxAttempts = int(r.int(r.at)) }},
	{"t", "lost", onInsert | onUpdate, func(a *arg, t *taskRow) { a.int(int64(t.Lost)) }, func(r *taskReader) { r.task.Lost = int(r.int(r.at)) }},
	{"t", "max_lost", onInsert, func(a *arg, t *taskRow) { a.int(int64(t.MaxLost)) }, func(r *taskReader) { r.task.MaxLost = int(r.int(r.at)) }},
	{"t", "requeued", onUpdate, func(a *arg, t *taskRow) { a.opt(int64(t.Requeued)) }, func(r *taskReader) { r.task.Requeued = int(r.int(r.at)) }},
	{"t", "timeout", onInsert, func(a *arg, t *taskRow) { a.int(t.Timeout.Microseconds()) }, func(r *taskReader) { r.task.Timeout = time.Duration(r.int(r.at)) * time.Microsecond }},
	{"t", "retain", onInsert, func(a *arg, t *taskRow) { a.int(t.Retain.Microseconds()) }, func(r *taskReader) { r.task.Retain = time.Duration(r.int(r.at)) * time.Microsecond }},
	{"t", "created_at", onInsert, func(a *arg, t *taskRow) { a.int(micros(t.CreatedAt)) }, func(r *taskReader) { r.time(&r.task.CreatedAt, "created_at") }},
	{"t", "run_at", onInsert | onUpdate, func(a *arg, t *taskRow) { a.int(micros(t.RunAt)) }, func(r *taskReader) { r.time(&r.task.RunAt, "run_at") }},
	{"t", "started_at", onInsert | onUpdate, func(a *arg, t *taskRow) { a.opt(micros(t.StartedAt)) }, func(r *taskReader) { r.time(&r.task.StartedAt, "started_at") }},
	{"t", "finished_at", onUpdate, func(a *arg, t *taskRow) { a.opt(micros(t.FinishedAt)) }, func(r *taskReader) { r.time(&r.task.FinishedAt, "finished_at") }},
	{"t", "expires_at", onUpdate, func(a *arg, t *taskRow) { a.opt(expiry(t.Task)) }, func(r *taskReader) { r.expiry() }},
	{"t", "updated_at", onInsert | onUpdate, func(a *arg, t *taskRow) { a.int(micros(t.UpdatedAt)) }, func(r *taskReader) { r.time(&r.task.UpdatedAt, "updated_at") }},
	{"t", "result", onInsert | onUpdate, func(a *arg, t *taskRow) { a.int(t.result) }, func(r *taskReader) { r.resultKind() }},
	{"r", "type", 0, nil, func(r *taskReader) { r.resultType() }},
	{"t", "done", onUpdate, func(a *arg, t *taskRow) { a.opt(t.progress.Done) }, func(r *taskReader) { r.task.Progress.Done = r.int(r.at) }},
	{"t", "total", onUpdate, func(a *arg, t *taskRow) { a.opt(t.progress.Total) }, func(r *taskReader) { r.task.Progress.Total = r.int(r.at) }},
	{"t", "message", onUpdate, func(a *arg, t *taskRow) { a.text(t.progress.Message) }, func(r *taskReader) { r.task.Progress.Message = r.text(r.at) }},
	{"t", "error_code", onUpdate, func(a *arg, t *taskRow) { a.text(t.errorCode) }, func(r *taskReader) { r.errorCode() }},
	{"t", "error_attempt", onUpdate, func(a *arg, t *taskRow) { a.opt(t.errorAttempt) }, func(r *taskReader) { r.failure(func(f *task.Failure) { f.Attempt = int(r.int(r.at)) }) }},
	{"m", "error_message", 0, nil, func(r *taskReader) { r.failure(func(f *task.Failure) { f.Message = r.text(r.at) }) }},
	{"t", "deadline", onInsert | onUpdate, func(a *arg, t *taskRow) { a.opt(micros(t.Deadline)) }, func(r *taskReader) { r.time(&r.task.Deadline, "deadline") }},
	{"t", "key", onInsert, func(a *arg, t *taskRow) { a.text(t.Key) }, func(r *taskReader) { r.task.Key = r.text(r.at) }},
	{"t", "labels", onInsert, func(a *arg, t *taskRow) { a.text(t.labels) }, func(r *taskReader) { r.damage.document(r.blob(r.at), &r.task.Labels, "labels") }},
	{"t", "group_id", onInsert, func(a *arg, t *taskRow) { a.id((*[16]byte)(&t.Group)) }, func(r *taskReader) { copy(r.task.Group[:], r.blob(r.at)) }},
	{"t", "flow", onInsert, func(a *arg, t *taskRow) { a.id((*[16]byte)(&t.Flow)) }, func(r *taskReader) { copy(r.task.Flow[:], r.blob(r.at)) }},
	{"t", "parent", onInsert, func(a *arg, t *taskRow) { a.id((*[16]byte)(&t.Parent)) }, func(r *taskReader) { copy(r.task.Parent[:], r.blob(r.at)) }},
	{"t", "step", onInsert, func(a *arg, t *taskRow) { a.text(t.Step) }, func(r *taskReader) { r.task.Step = r.text(r.at) }},
	{"t", "resources", onInsert, func(a *arg, t *taskRow) { a.text(t.resources) }, func(r *taskReader) { r.resources() }},
	{"t", "place", onInsert, func(a *arg, t *taskRow) { a.opt(t.Place) }, func(r *taskReader) { r.task.Place = r.int(r.at) }},
	{"t", "cancel_requested_at", onUpdate, func(a *arg, t *taskRow) { a.opt(micros(t.CancelRequestedAt)) }, func(r *taskReader) { r.time(&r.task.CancelRequestedAt, "cancel_requested_at") }},
	{"t", "requested_by", onUpdate, func(a *arg, t *taskRow) { a.text(t.RequestedBy) }, func(r *taskReader) { r.task.RequestedBy = r.text(r.at) }},
	{"t", "trace", onInsert, func(a *arg, t *taskRow) { a.text(t.Trace) }, func(r *taskReader) { r.task.Trace = r.text(r.at) }},

	inputColumn,
	{"r", "data", unlisted, nil, func(r *taskReader) { r.resultData() }},
	{"m", "checkpoint", unlisted, nil, func(r *taskReader) { r.task.Checkpoint = r.blob(r.at) }},
	{"t", "handle", unlisted, nil, func(r *taskReader) { r.task.Handle = r.blob(r.at) }}, // written only if a change says so
	{"m", "error_details", unlisted, nil, func(r *taskReader) {
		r.failure(func(f *task.Failure) { r.damage.document(r.blob(r.at), &f.Details, "error details") })
	}},
}

var (
	stubCount    = slices.IndexFunc(taskColumns, func(c taskColumn) bool { return c.use&unlisted != 0 })
	wholeCount   = len(taskColumns)
	stubColumns  = columnNames(taskColumns[:stubCount])
	wholeColumns = columnNames(taskColumns)
)

const (
	stubTables  = `task t LEFT JOIN result r ON r.task = t.seq LEFT JOIN task_detail m ON m.task = t.seq`
	wholeTables = `task t LEFT JOIN input i ON i.task = t.seq LEFT JOIN result r ON r.task = t.seq LEFT JOIN task_detail m ON m.task = t.seq`
	laneColumns = `, l.type, l.owner, l.route, l.executor, l.suspect` // of a reader, who has no lanes in memory; behind the others
	laneCount   = 5
	laneTable   = ` LEFT JOIN lane l ON l.id = t.lane`
)

func columnNames(columns []taskColumn) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.table + "." + c.name
	}
	return strings.Join(names, ", ")
}

// boundColumns are the columns that a statement binds, in their order: those of that use, and not of
// the other.
func boundColumns(when, not columnUse) (columns []taskColumn) {
	for _, c := range taskColumns {
		if c.use&when == when && c.use&not == 0 {
			columns = append(columns, c)
		}
	}
	return columns
}

// nullInput is the input of a task without one. Nobody may write to it.
var nullInput = json.RawMessage("null")

var inputColumn = taskColumn{"i", "data", unlisted, nil, func(r *taskReader) { r.input() }}

// The columns that taskInsert and taskUpdate bind.
var (
	insertColumns = boundColumns(onInsert, 0)
	updateColumns = boundColumns(onUpdate, 0)
)

// bindColumns binds those columns of a row.
func bindColumns(columns []taskColumn, a *arg, row *taskRow) {
	for i := range columns {
		columns[i].bind(a, row)
	}
}

// insertTasks is the statement that binds insertColumns for each of so many rows.
func insertTasks(n int) string {
	row := `(?` + strings.Repeat(", ?", len(insertColumns)-1) + `)`
	return insertInto(insertColumns) + row + strings.Repeat(", "+row, n-1)
}

// The columns that alikeInsert binds: once, and then for each row.
var (
	alikeColumns = boundColumns(onInsert, ofEach)
	eachColumns  = boundColumns(onInsert|ofEach, 0)
)

// insertAlike is the statement that binds alikeColumns, and eachColumns for each of so many rows.
func insertAlike(n int) string {
	rows := make([]string, n)
	next := len(alikeColumns) + 1
	for i := range rows {
		rows[i] = "(" + numbered(next, len(eachColumns)) + ", " + numbered(1, len(alikeColumns)) + ")"
		next += len(eachColumns)
	}
	return insertInto(slices.Concat(eachColumns, alikeColumns)) + strings.Join(rows, ", ")
}

// numbered are so many parameters of a statement, numbered from first.
func numbered(first, count int) string {
	params := make([]string, count)
	for i := range params {
		params[i] = "?" + strconv.Itoa(first+i)
	}
	return strings.Join(params, ", ")
}

func insertInto(columns []taskColumn) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return `INSERT INTO task (` + strings.Join(names, ", ") + `) VALUES `
}

// updateTask is the statement that binds updateColumns, whether handle is to be set,
// handle, and the order key.
func updateTask() string {
	var b strings.Builder
	for _, c := range updateColumns {
		b.WriteString(c.name + " = ?, ")
	}
	return `UPDATE task SET ` + b.String() + `handle = iif(?, ?, handle) WHERE seq = ?`
}

// decode reads those columns, which the row begins with, into a task of that lane. What
// cannot be read of it is said in Damage.
func decode(r row, lane *task.Lane, columns []taskColumn) task.Task {
	d := taskReader{row: r, task: task.Task{Type: lane.Type, Owner: lane.Owner, Pinned: lane.Executor, Suspect: lane.Suspect}}
	for d.at = range columns {
		columns[d.at].read(&d)
	}
	d.damage.document([]byte(lane.Route), &d.task.Route, "route")
	d.task.Damage = d.damage.String()
	return d.task
}

func (r *taskReader) time(to *time.Time, name string) { *to = r.damage.time(r.row, r.at, name) }

func (r *taskReader) expiry() {
	if r.int(r.at) != never {
		r.time(&r.task.ExpiresAt, "expires_at")
	}
}

func (r *taskReader) resources() {
	b := r.blob(r.at)
	if name, ok := oneExclusive(b); ok {
		r.task.Resources.Exclusive = []string{name}
		return
	}
	r.damage.document(b, &r.task.Resources, "resources")
}

func (r *taskReader) resultKind() {
	r.result = r.int(r.at)
	if r.result == resultNull {
		r.task.ResultType = typeJSON
	}
}

func (r *taskReader) resultType() {
	if r.result == resultRow {
		r.task.ResultType = r.text(r.at)
	}
}

func (r *taskReader) resultData() {
	switch r.result {
	case resultNull:
		r.task.Result = []byte("null")
	case resultRow:
		r.task.Result = r.blob(r.at)
	}
}

func (r *taskReader) errorCode() {
	if code := r.text(r.at); code != "" {
		r.task.Error = &task.Failure{Code: code}
	}
}

// failure reads into the task's error, if it has one.
func (r *taskReader) failure(read func(*task.Failure)) {
	if r.task.Error != nil {
		read(r.task.Error)
	}
}

func (r *taskReader) input() {
	r.task.Input = r.blob(r.at)
	if r.task.Input == nil {
		r.task.Input = nullInput
	}
}
