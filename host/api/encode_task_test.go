package api_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// fill sets all that is in v: every field of a task has a value, of what is given.
func fill(v reflect.Value, text string, number int64, at time.Time, raw []byte) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(at))
		return
	case json.RawMessage:
		v.SetBytes(raw)
		return
	case task.State:
		v.SetUint(uint64(number) % uint64(len(task.States())+3))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), text, number+int64(i), at, raw)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text, number, at, raw)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, key := range []string{text, "b", "a"} {
			value := reflect.New(v.Type().Elem()).Elem()
			fill(value, text, number, at, raw)
			v.SetMapIndex(reflect.ValueOf(key), value)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), text, number, at, raw)
		}
	case reflect.String:
		v.SetString(text)
	case reflect.Interface:
		v.Set(reflect.ValueOf(text))
	case reflect.Uint8:
		v.SetUint(uint64(uint8(number)))
	default:
		v.SetInt(number)
	}
}

// sameAsStandard fails unless Encode writes what encoding/json does, and errs where that does.
func sameAsStandard(t *testing.T, v any) {
	t.Helper()
	var want bytes.Buffer
	standard := json.NewEncoder(&want)
	standard.SetEscapeHTML(false)
	wantErr := standard.Encode(v)
	got, err := api.Encode(v)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("error %v, and of encoding/json %v", err, wantErr)
	}
	if err == nil && !bytes.Equal(got, want.Bytes()) {
		t.Fatalf("%s\nwant %s", got, want.Bytes())
	}
}

// FuzzEncodeTask holds a task's JSON to what encoding/json makes of it: each field alone, all
// together, and all but each.
func FuzzEncodeTask(f *testing.F) {
	f.Add("", int64(0), int64(0), 0, []byte(""))
	f.Add("noop", int64(3), int64(1_770_000_000_123_456_789), 0, []byte(`{"a": [1, "<&>"] }`))
	f.Add("a\"b\\c<&>\u2028é\x00\x7f\xff\n", int64(-9), int64(-1), 3600, []byte(` null `))
	f.Add("x", int64(1), int64(1)<<62, -86400*2, []byte("\"\u2028\" "))
	f.Add("x", int64(1), int64(1), 0, []byte(`{"a":`))
	f.Fuzz(func(t *testing.T, text string, number, nanos int64, zone int, raw []byte) {
		at := time.Unix(nanos%1e12, nanos%1e9).In(time.FixedZone("", zone))
		var whole api.Task
		fill(reflect.ValueOf(&whole).Elem(), text, number, at, raw)
		sameAsStandard(t, &api.Task{})
		sameAsStandard(t, &whole)
		for i := range reflect.TypeFor[api.Task]().NumField() {
			var alone api.Task
			reflect.ValueOf(&alone).Elem().Field(i).Set(reflect.ValueOf(whole).Field(i))
			sameAsStandard(t, &alone)
			but := whole
			reflect.ValueOf(&but).Elem().Field(i).SetZero()
			sameAsStandard(t, &but)
		}
		from := whole.State
		for _, e := range []api.StateEvent{{}, {Event: api.Event{Seq: number, At: at, From: &from, To: whole.State, Attempt: int(number), By: text, Message: text}, Task: whole}} {
			sameAsStandard(t, &e)
		}
		empty := api.Task{Labels: map[string]string{}, Route: map[string]string{}, BlockedBy: []string{}, Checkpoint: []byte{}}
		for _, tasks := range [][]api.Task{nil, {}, {empty}, {whole, empty, whole}} {
			sameAsStandard(t, &api.TaskList{Tasks: tasks})
			sameAsStandard(t, &api.TaskList{Tasks: tasks, Next: &text})
		}
	})
}

func BenchmarkEncodeTask(b *testing.B) {
	now := time.Now().UTC()
	t := &api.Task{ID: "01990f4e-7f3a-7c55-a1b2-0123456789ab", Type: "noop", Owner: "default", Labels: map[string]string{}, Route: map[string]string{}, State: task.Running,
		Timeout: "1h0m0s", Retain: "168h0m0s", Input: json.RawMessage("null"), Result: json.RawMessage("null"), CreatedAt: now, RunAt: now, UpdatedAt: now, StartedAt: &now}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := api.Encode(t); err != nil {
			b.Fatal(err)
		}
	}
}
