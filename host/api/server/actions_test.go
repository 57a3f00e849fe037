package server

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// Each field of a filter that selects comes from a client to the server: one that got lost
// would have the action at all tasks.
func TestActionFilterIsReadAsItWasMeant(t *testing.T) {
	set := reflect.ValueOf(task.Filter{States: []task.State{task.Failed, task.Pending}, Types: []string{"a", "b"}, Executor: "a", Owner: "a", Key: "a", Labels: map[string]string{"a": ""},
		Group: task.ID{1}, Parent: task.ID{1}, CreatedAfter: time.Unix(1, 5), CreatedBefore: time.Unix(1, 0), FinishedAfter: time.Unix(1, 0), FinishedBefore: time.Unix(1, 0)})
	for i := range set.NumField() {
		switch name := set.Type().Field(i).Name; name {
		case "Placed", "Flow", "Ascending", "Limit", "Cursor": // the host's to fill in, not to be asked for, and how a list goes
			continue
		default:
			if set.Field(i).IsZero() {
				t.Errorf("%s is new: set it here", name)
			}
		}
		var one task.Filter
		reflect.ValueOf(&one).Elem().Field(i).Set(set.Field(i))
		body, err := json.Marshal(api.ActionRequest{Action: task.ActionCancel, Filter: api.ActionFilterOf(one)})
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := decodeAction(body)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		want, _ := json.Marshal(task.Action{Action: task.ActionCancel, Filter: inUTC(one)})
		if read, _ := json.Marshal(got); string(read) != string(want) {
			t.Errorf("%s is read as\n%s, want\n%s", body, read, want)
		}
	}
}

func inUTC(f task.Filter) task.Filter {
	for _, at := range []*time.Time{&f.CreatedAfter, &f.CreatedBefore, &f.FinishedAfter, &f.FinishedBefore} {
		*at = at.UTC()
	}
	return f
}

// What is empty in a filter would select everything; null is as if it were not there.
func TestActionsThatSelectNothing(t *testing.T) {
	for body, pointer := range map[string]string{
		`{"executor":""}`:           "filter/executor",
		`{"owner":""}`:              "filter/owner",
		`{"key":""}`:                "filter/key",
		`{"group":""}`:              "filter/group",
		`{"parent":""}`:             "filter/parent",
		`{"type":[]}`:               "filter/type",
		`{"type":["a",""]}`:         "filter/type/1",
		`{"state":[]}`:              "filter/state",
		`{"state":[""]}`:            "filter/state/0",
		`{"created_after":""}`:      "filter/created_after",
		`{"type":null,"key":null}`:  "",
		`{"group":null,"key":"a"}`:  "",
		`{"state":["failed"]}`:      "",
		`{"executor":1}`:            "filter/executor",
		`{"type":"a"}`:              "filter/type",
		`{"labels":null}`:           "",
		`{"finished_before":"now"}`: "filter/finished_before",
	} {
		_, _, err := decodeAction([]byte(`{"action":"cancel","filter":` + body + `}`))
		got := ""
		if e, ok := err.(*task.Error); ok {
			got = strings.Join(e.Fields[0].Path, "/")
		}
		if got != pointer {
			t.Errorf("%s: a fault at %q, want %q (%v)", body, got, pointer, err)
		}
	}
	for body, ok := range map[string]bool{
		`{"action":"cancel","filter":{},"to":null}`:   true,
		`{"action":"cancel","filter":{},"to":"x"}`:    false,
		`{"action":"move","filter":{},"to":null}`:     true,
		`{"action":"move","filter":{}}`:               false,
		`{"action":"priority","filter":{},"to":null}`: false,
		`{"action":"cancel","filter":null}`:           false,
	} {
		if a, _, err := decodeAction([]byte(body)); (err == nil) != ok || a.Action == task.ActionCancel && ok && a.To != nil {
			t.Errorf("%s: %+v, %v", body, a, err)
		}
	}
}
