package sqlite

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"math"
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
		time *time.Time
	}{
		{"created_at", &t.CreatedAt}, {"run_at", &t.RunAt}, {"started_at", &t.StartedAt}, {"finished_at", &t.FinishedAt}, {"expires_at", &t.ExpiresAt},
		{"updated_at", &t.UpdatedAt}, {"deadline", &t.Deadline}, {"cancel_requested_at", &t.CancelRequestedAt},
	} {
		if !task.ValidTime(*at.time) {
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

// never is task.expires_at of a final task that is kept for ever.
const never = math.MaxInt64 - 1

// expiry is when a task is to be removed, as it is stored; 0 if it is not final.
func expiry(t *task.Task) int64 {
	if t.ExpiresAt.IsZero() && t.State.Final() {
		return never
	}
	return micros(t.ExpiresAt)
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

// inputRow says that an input needs a row: JSON null needs none.
func inputRow(input []byte) bool {
	return len(input) > 0 && !bytes.Equal(input, []byte("null"))
}
