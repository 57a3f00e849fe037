package sqlite

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// row is one row as the driver gives it: nil, int64, string or []byte.
type row []driver.Value

func (r row) int(i int) int64 {
	v, _ := r[i].(int64)
	return v
}

func (r row) text(i int) string {
	switch v := r[i].(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

func (r row) blob(i int) []byte {
	switch v := r[i].(type) {
	case []byte:
		return v
	case string:
		return []byte(v)
	}
	return nil
}

func (r row) time(i int) time.Time { return fromMicros(r.int(i)) }

// checkTimes refuses a task with a time that nobody could be shown.
func checkTimes(t *task.Task) error {
	for _, at := range [...]struct {
		name string
		time time.Time
	}{
		{"created_at", t.CreatedAt}, {"run_at", t.RunAt}, {"started_at", t.StartedAt}, {"finished_at", t.FinishedAt}, {"expires_at", t.ExpiresAt},
		{"updated_at", t.UpdatedAt}, {"deadline", t.Deadline}, {"cancel_requested_at", t.CancelRequestedAt},
	} {
		if !task.ValidTime(at.time) {
			return &task.Error{Code: task.CodeInvalidRequest, Message: fmt.Sprintf("task %s: %s is not %s: give another time", t.ID, at.name, task.TimeRange),
				Fields: []task.FieldError{{Path: []string{at.name}, Message: "is not " + task.TimeRange}}}
		}
	}
	return nil
}

// damage gathers what of a row cannot be read. What was written past the store
// or by a fault degrades that row: it must not keep anyone from reading others.
type damage []string

func (d *damage) add(format string, args ...any) { *d = append(*d, fmt.Sprintf(format, args...)) }

func (d *damage) String() string { return strings.Join(*d, "; ") }

// time is a time that can be shown.
func (d *damage) time(r row, i int, name string) time.Time {
	t := r.time(i)
	if !task.ValidTime(t) {
		d.add("%s is not %s", name, task.TimeRange)
	}
	return task.Shown(t)
}

// state is a state that there is; an unknown one is final, so that nobody runs it.
func (d *damage) state(r row, i int, name string, least task.State) task.State {
	if v := r.int(i); v >= int64(least) && v <= int64(task.RevertFailed) {
		return task.State(v)
	}
	d.add("%s %v is none", name, r[i])
	return task.Failed
}

// document reads JSON.
func (d *damage) document(b []byte, to any, name string) {
	if err := unmarshal(b, to); err != nil {
		d.add("%s: %v", name, err)
	}
}

// micros is how times are stored: unix microseconds, 0 for none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMicro(v).UTC()
}

// How task.result says where the result is.
const (
	resultNone = iota
	resultNull // JSON null: the usual answer of a script without one, kept without a row
	resultRow
)

const typeJSON = "application/json"

func resultKind(data []byte, typ string) int64 {
	switch {
	case data == nil && typ == "":
		return resultNone
	case typ == typeJSON && string(data) == "null":
		return resultNull
	}
	return resultRow
}

// stubColumns are what a list shows, wholeColumns all of a task. t is task, i
// input, r result and m memo; decode reads them by these numbers.
const (
	stubColumns = `t.seq, t.id, t.lane, t.state, t.waiting, t.priority, t.attempt, t.version, t.token, t.executor,
t.node, t.failures, t.max_attempts, t.lost, t.max_lost, t.timeout, t.retain, t.created_at, t.run_at, t.started_at,
t.finished_at, t.expires_at, t.updated_at, t.result, t.done, t.total, t.message, t.error_code, t.error_attempt, t.deadline,
t.key, t.labels, t.group_id, t.flow, t.parent, t.step, t.cancel_requested_at, t.requested_by, t.trace,
r.type, m.error_message, t.requeued`
	stubCount    = 42
	stubTables   = `task t LEFT JOIN result r ON r.task = t.seq LEFT JOIN memo m ON m.task = t.seq`
	wholeColumns = stubColumns + `, i.data, r.data, m.checkpoint, t.handle, m.error_details`
	wholeCount   = stubCount + 5
	laneColumns  = `, l.type, l.owner, l.route, l.executor, l.suspect` // of a reader, who has no lanes in memory; behind the others
	laneCount    = 5
	laneTable    = ` LEFT JOIN lane l ON l.id = t.lane`
	wholeTables  = `task t LEFT JOIN input i ON i.task = t.seq LEFT JOIN result r ON r.task = t.seq LEFT JOIN memo m ON m.task = t.seq`
)

// decode reads stubColumns, or wholeColumns if whole, into a task of that lane.
// What cannot be read of it is said in Damage.
func decode(r row, lane *task.Lane, whole bool) task.Task {
	var d damage
	t := task.Task{
		Seq: r.int(0), Type: lane.Type, Owner: lane.Owner, Pinned: lane.Executor, Suspect: lane.Suspect, Requeued: int(r.int(41)),
		State: d.state(r, 3, "state", task.Pending), Waiting: task.Waiting(r.int(4)), Priority: int(r.int(5)),
		Attempt: int(r.int(6)), Version: r.int(7), Executor: r.text(9), Node: r.text(10),
		Failures: int(r.int(11)), MaxAttempts: int(r.int(12)), Lost: int(r.int(13)), MaxLost: int(r.int(14)),
		Timeout: time.Duration(r.int(15)) * time.Microsecond, Retain: time.Duration(r.int(16)) * time.Microsecond,
		CreatedAt: d.time(r, 17, "created_at"), RunAt: d.time(r, 18, "run_at"), StartedAt: d.time(r, 19, "started_at"),
		FinishedAt: d.time(r, 20, "finished_at"), ExpiresAt: d.time(r, 21, "expires_at"), UpdatedAt: d.time(r, 22, "updated_at"),
		Progress: task.Progress{Done: r.int(24), Total: r.int(25), Message: r.text(26)},
		Deadline: d.time(r, 29, "deadline"), Key: r.text(30), Step: r.text(35), CancelRequestedAt: d.time(r, 36, "cancel_requested_at"), RequestedBy: r.text(37), Trace: r.text(38),
	}
	copy(t.ID[:], r.blob(1))
	copy(t.Token[:], r.blob(8))
	copy(t.Group[:], r.blob(32))
	copy(t.Flow[:], r.blob(33))
	copy(t.Parent[:], r.blob(34))
	if code := r.text(27); code != "" {
		t.Error = &task.Failure{Code: code, Attempt: int(r.int(28)), Message: r.text(40)}
	}
	switch r.int(23) {
	case resultNull:
		t.ResultType = typeJSON
	case resultRow:
		t.ResultType = r.text(39)
	}
	d.document(r.blob(31), &t.Labels, "labels")
	d.document([]byte(lane.Route), &t.Route, "route")
	if whole {
		decodeWhole(r, &t, &d)
	}
	t.Damage = d.String()
	return t
}

// decodeWhole reads what wholeColumns have beyond stubColumns.
func decodeWhole(r row, t *task.Task, d *damage) {
	t.Input = r.blob(42)
	if t.Input == nil {
		t.Input = json.RawMessage("null")
	}
	switch r.int(23) {
	case resultNull:
		t.Result = []byte("null")
	case resultRow:
		t.Result = r.blob(43)
	}
	t.Checkpoint, t.Handle = r.blob(44), r.blob(45)
	if t.Error != nil {
		d.document(r.blob(46), &t.Error.Details, "error details")
	}
}

func unmarshal(b []byte, to any) error {
	if len(b) == 0 {
		return nil
	}
	return json.Unmarshal(b, to)
}

// document is m as canonical JSON (keys sorted); "" if it is empty.
func document(m map[string]string) (string, error) {
	if len(m) == 0 {
		return "", nil
	}
	b, err := json.Marshal(m)
	return string(b), err
}

// idBlob is NULL for no id.
func idBlob(id *task.ID) []byte {
	if id.IsZero() {
		return nil
	}
	return id[:]
}

// inputRow says that an input needs a row: JSON null needs none.
func inputRow(input []byte) bool {
	return len(input) > 0 && !bytes.Equal(input, []byte("null"))
}
