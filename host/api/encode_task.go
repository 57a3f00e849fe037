package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// A task is what most answers are, alone or by the million, so it is written without
// encoding/json, in less than half of the time. What comes out is the same to the byte: see
// FuzzEncodeTask.

// AppendTask appends t to line as encoding/json writes it, with < and & as they are. Its
// error says that an input or a result is not JSON, or that a time has no year of four digits.
func AppendTask(line []byte, t *Task) ([]byte, error) {
	o := object{data: line}
	o.text(`{"id":`, t.ID)
	o.text(`,"type":`, t.Type)
	o.textOrNull(`,"key":`, t.Key)
	o.text(`,"owner":`, t.Owner)
	o.textMap(`,"labels":`, t.Labels)
	o.text(`,"state":`, t.State.String())
	o.textOrNull(`,"waiting":`, t.Waiting)
	o.textOrNull(`,"waiting_reason":`, t.WaitReason)
	o.textsIfAny(`,"blocked_by":`, t.BlockedBy)
	o.textsIfAny(`,"exclusive":`, t.Exclusive)
	o.textsIfAny(`,"shared":`, t.Shared)
	o.textOrNull(`,"executor":`, t.Executor)
	o.integer(`,"attempt":`, int64(t.Attempt))
	o.integer(`,"failures":`, int64(t.Failures))
	o.integer(`,"max_attempts":`, int64(t.MaxAttempts))
	o.integer(`,"lost":`, int64(t.Lost))
	o.integer(`,"max_lost":`, int64(t.MaxLost))
	o.integer(`,"priority":`, int64(t.Priority))
	o.textMap(`,"route":`, t.Route)
	o.text(`,"timeout":`, t.Timeout)
	o.timeOrNull(`,"deadline":`, t.Deadline)
	o.text(`,"retain":`, t.Retain)
	o.textOrNull(`,"group":`, t.Group)
	o.textOrNull(`,"flow":`, t.Flow)
	o.textOrNull(`,"step":`, t.Step)
	o.textOrNull(`,"parent":`, t.Parent)
	o.textOrNull(`,"name":`, t.Name)
	if len(t.Checkpoint) > 0 {
		o.other(`,"checkpoint":`, t.Checkpoint)
	}
	o.json(`,"input":`, t.Input)
	o.json(`,"result":`, t.Result)
	o.textOrNull(`,"result_type":`, t.ResultType)
	o.otherOrNull(`,"error":`, t.Error, t.Error == nil)
	o.otherOrNull(`,"progress":`, t.Progress, t.Progress == nil)
	o.timeOrNull(`,"created_at":`, &t.CreatedAt)
	o.timeOrNull(`,"run_at":`, &t.RunAt)
	o.timeOrNull(`,"started_at":`, t.StartedAt)
	o.timeOrNull(`,"finished_at":`, t.FinishedAt)
	o.timeOrNull(`,"expires_at":`, t.ExpiresAt)
	o.timeOrNull(`,"updated_at":`, &t.UpdatedAt)
	o.timeOrNull(`,"cancel_requested_at":`, t.CancelAt)
	o.integer(`,"version":`, t.Version)
	o.textIfAny(`,"task":`, t.Task)
	o.textIfAny(`,"damage":`, t.Damage)
	return append(o.data, '}'), o.err
}

func encodeTaskList(l *TaskList) ([]byte, error) {
	size := len(`{"tasks":[],"next":"01990f4e-7f3a-7c55-a1b2-0123456789ab"}`)
	for i := range l.Tasks {
		size += roomOf(&l.Tasks[i])
	}
	page := append(make([]byte, 0, size), `{"tasks":`...)
	if l.Tasks == nil {
		page = append(page, "null"...)
	} else {
		page = append(page, '[')
		for i := range l.Tasks {
			if i > 0 {
				page = append(page, ',')
			}
			var err error
			if page, err = AppendTask(page, &l.Tasks[i]); err != nil {
				return nil, err
			}
		}
		page = append(page, ']')
	}
	o := object{data: page}
	o.textOrNull(`,"next":`, l.Next)
	return append(o.data, "}\n"...), nil
}

func encodeStateEvent(e *StateEvent) ([]byte, error) {
	o := object{data: make([]byte, 0, roomOf(&e.Task)+256)}
	o.integer(`{"seq":`, e.Seq)
	o.timeOrNull(`,"at":`, &e.At)
	if e.From == nil {
		o.null(`,"from":`)
	} else {
		o.text(`,"from":`, e.From.String())
	}
	o.text(`,"to":`, e.To.String())
	o.integer(`,"attempt":`, int64(e.Attempt))
	o.text(`,"by":`, e.By)
	o.text(`,"message":`, e.Message)
	o.name(`,"task":`)
	line, err := AppendTask(o.data, &e.Task)
	return append(line, "}\n"...), cmp.Or(o.err, err)
}

// roomOf is about how many bytes a task takes as JSON.
func roomOf(t *Task) int { return 1<<10 + len(t.Input) + len(t.Result) }

// object is the members of a JSON object, as far as they are written. Names are given as they
// stand there, with the bracket or the comma before them and the colon after.
type object struct {
	data []byte
	err  error // the first
}

func (o *object) name(name string) { o.data = append(o.data, name...) }

func (o *object) null(name string) { o.data = append(append(o.data, name...), "null"...) }

func (o *object) integer(name string, v int64) {
	o.name(name)
	o.data = strconv.AppendInt(o.data, v, 10)
}

func (o *object) text(name, v string) {
	o.name(name)
	o.quote(v)
}

// quote writes a string. Most have nothing that needs to be written otherwise.
func (o *object) quote(v string) {
	for i := range len(v) {
		if c := v[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			o.value(v)
			return
		}
	}
	o.data = append(o.data, '"')
	o.data = append(o.data, v...)
	o.data = append(o.data, '"')
}

func (o *object) textOrNull(name string, v *string) {
	if v == nil {
		o.null(name)
		return
	}
	o.text(name, *v)
}

func (o *object) textIfAny(name, v string) {
	if v != "" {
		o.text(name, v)
	}
}

func (o *object) textsIfAny(name string, v []string) {
	if len(v) > 0 {
		o.other(name, v)
	}
}

func (o *object) textMap(name string, v map[string]string) {
	if v == nil {
		o.null(name)
		return
	}
	o.name(name)
	if len(v) == 0 {
		o.data = append(o.data, "{}"...)
		return
	}
	o.data = append(o.data, '{')
	keys := slices.AppendSeq(make([]string, 0, len(v)), maps.Keys(v))
	slices.Sort(keys)
	for i, key := range keys {
		if i > 0 {
			o.data = append(o.data, ',')
		}
		o.quote(key)
		o.data = append(o.data, ':')
		o.quote(v[key])
	}
	o.data = append(o.data, '}')
}

func (o *object) timeOrNull(name string, v *time.Time) {
	if v == nil {
		o.null(name)
		return
	}
	o.name(name)
	o.data = append(o.data, '"')
	data, err := v.AppendText(o.data)
	o.keep(data, err)
	o.data = append(o.data, '"')
}

// json writes what is JSON already; nothing if there is none.
func (o *object) json(name string, v json.RawMessage) {
	if len(v) == 0 {
		return
	}
	o.name(name)
	if string(v) == "null" {
		o.data = append(o.data, v...)
		return
	}
	buf := bytes.NewBuffer(o.data)
	err := json.Compact(buf, v)
	o.keep(buf.Bytes(), err)
}

func (o *object) otherOrNull(name string, v any, absent bool) {
	if absent {
		o.null(name)
		return
	}
	o.other(name, v)
}

// other writes what stands in few tasks, or has a form of its own.
func (o *object) other(name string, v any) {
	o.name(name)
	o.value(v)
}

func (o *object) value(v any) {
	value, err := Encode(v)
	o.keep(append(o.data, bytes.TrimSuffix(value, []byte("\n"))...), err)
}

func (o *object) keep(data []byte, err error) {
	switch {
	case err == nil:
		o.data = data
	case o.err == nil:
		o.err = err
	}
}
