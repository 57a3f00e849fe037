package sqlite

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"fmt"
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
	wholeTables  = `task t LEFT JOIN input i ON i.task = t.seq LEFT JOIN result r ON r.task = t.seq LEFT JOIN memo m ON m.task = t.seq`
)

// decode reads stubColumns or wholeColumns into a task of that lane.
func decode(r row, lane *task.Lane) (task.Task, error) {
	t := task.Task{
		Seq: r.int(0), Type: lane.Type, Owner: lane.Owner, Pinned: lane.Executor, Suspect: lane.Suspect, Requeued: int(r.int(41)),
		State: task.State(r.int(3)), Waiting: task.Waiting(r.int(4)), Priority: int(r.int(5)),
		Attempt: int(r.int(6)), Version: r.int(7), Executor: r.text(9), Node: r.text(10),
		Failures: int(r.int(11)), MaxAttempts: int(r.int(12)), Lost: int(r.int(13)), MaxLost: int(r.int(14)),
		Timeout: time.Duration(r.int(15)) * time.Microsecond, Retain: time.Duration(r.int(16)) * time.Microsecond,
		CreatedAt: r.time(17), RunAt: r.time(18), StartedAt: r.time(19),
		FinishedAt: r.time(20), ExpiresAt: r.time(21), UpdatedAt: r.time(22),
		Progress: task.Progress{Done: r.int(24), Total: r.int(25), Message: r.text(26)},
		Deadline: r.time(29), Key: r.text(30), Step: r.text(35), CancelRequestedAt: r.time(36), RequestedBy: r.text(37), Trace: r.text(38),
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
	if err := unmarshal(r.blob(31), &t.Labels); err != nil {
		return t, fmt.Errorf("task %s: labels: %w", t.ID, err)
	}
	if err := unmarshal([]byte(lane.Route), &t.Route); err != nil {
		return t, fmt.Errorf("lane %d: route: %w", lane.ID, err)
	}
	if len(r) > stubCount {
		return t, decodeWhole(r, &t)
	}
	return t, nil
}

// decodeWhole reads what wholeColumns have beyond stubColumns.
func decodeWhole(r row, t *task.Task) error {
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
		if err := unmarshal(r.blob(46), &t.Error.Details); err != nil {
			return fmt.Errorf("task %s: error details: %w", t.ID, err)
		}
	}
	return nil
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
