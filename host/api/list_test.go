package api

import (
	"reflect"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Whatever a filter asks for is in the query: a field that is left out would have a
// list show what nobody asked for.
func TestListQueryHasAllOfAFilter(t *testing.T) {
	set := reflect.ValueOf(task.Filter{
		States: []task.State{task.Failed}, Types: []string{"a"}, Executor: "a", Owner: "a", Key: "a", Labels: map[string]string{"a": "b"},
		Group: task.ID{1}, Flow: task.ID{1}, Parent: task.ID{1}, CreatedAfter: time.Unix(1, 0), CreatedBefore: time.Unix(1, 0),
		FinishedAfter: time.Unix(1, 0), FinishedBefore: time.Unix(1, 0), Ascending: true, Limit: 1, Cursor: task.ID{1},
	})
	for i := range set.NumField() {
		name := set.Type().Field(i).Name
		if name == "Placed" { // which follows from Executor, and is the host's to fill in
			continue
		}
		if set.Field(i).IsZero() {
			t.Errorf("%s is new: set it here", name)
		}
		var one task.Filter
		reflect.ValueOf(&one).Elem().Field(i).Set(set.Field(i))
		if q := ListQuery(one); len(q) != 1 {
			t.Errorf("%s: the query is %q", name, q.Encode())
		}
	}
	if q := ListQuery(task.Filter{}); len(q) != 0 {
		t.Errorf("of nothing: %q", q.Encode())
	}
}
