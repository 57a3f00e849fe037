package sqlite

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// The list of columns is that of the table: none is missing, none stands twice.
func TestColumnsAreTheTables(t *testing.T) {
	s := openStore(t, t.TempDir())
	var want, got []string
	if err := s.rows(t.Context(), `SELECT name FROM pragma_table_info('task')`, nil, 1, func(r row) bool {
		want = append(want, r.text(0))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range taskColumns {
		if c.table == "t" {
			got = append(got, c.name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the list has the columns\n%v, and the table\n%v", got, want)
	}
	for i, c := range taskColumns {
		if (c.use&unlisted != 0) != (i >= stubCount) {
			t.Errorf("column %s: what no list reads must come last", c.name)
		}
		if (c.use&(onInsert|onUpdate) != 0) != (c.bind != nil) {
			t.Errorf("column %s: it is bound, and nothing says how, or the other way round", c.name)
		}
	}
}

// New tasks are taken to be alike, and are written by what one of them has, only if they are: each
// field of a task that a row has otherwise makes a difference.
func TestTasksAlikeHaveTheSameColumns(t *testing.T) {
	w := openStore(t, t.TempDir()).w
	w.stop()
	row := func(change func(*task.Task)) (bound []any, alike alikeRow) {
		n, err := task.New(task.ID{1}, "ann", task.Spec{Type: "noop"}, task.DefaultLimits(), time.Unix(1e9, 0).UTC())
		if err != nil {
			t.Fatal(err)
		}
		change(&n)
		var r insertRow
		if err := r.encode(&n); err != nil {
			t.Fatal(err)
		}
		if r.in, err = w.lane(r.lane); err != nil {
			t.Fatal(err)
		}
		a := w.bindNew([]*task.Task{&n}, []insertRow{r}, true).args
		for i := range alikeColumns {
			bound = append(bound, a[i].Value)
		}
		return slices.Clone(bound), alikeOf(&n, &r)
	}
	plain, alike := row(func(*task.Task) {})
	different := 0
	check := func(field string, change func(*task.Task)) {
		bound, other := row(change)
		if same := reflect.DeepEqual(bound, plain); !same {
			different++
			if other == alike {
				t.Errorf("a task with another %s has another row, and is taken to be alike", field)
			}
		}
	}
	fields := reflect.TypeFor[task.Task]()
	for i := range fields.NumField() {
		f := fields.Field(i)
		var v any
		switch f.Type {
		case reflect.TypeFor[time.Time]():
			v = time.Unix(2e9, 0).UTC()
		case reflect.TypeFor[task.State]():
			v = task.Running
		case reflect.TypeFor[task.Resources]():
			v = task.Resources{Exclusive: []string{"a"}}
		case reflect.TypeFor[map[string]string](), reflect.TypeFor[task.Route]():
			v = map[string]string{"a": "b"}
		case reflect.TypeFor[json.RawMessage](), reflect.TypeFor[[]byte]():
			v = []byte("1")
		case reflect.TypeFor[task.ID](), reflect.TypeFor[task.Token]():
			v = [16]byte{7}
		case reflect.TypeFor[string]():
			v = "another"
		case reflect.TypeFor[bool]():
			v = true
		default:
			if !f.Type.ConvertibleTo(reflect.TypeFor[int]()) {
				continue // no column is of it
			}
			v = 7
		}
		check(f.Name, func(n *task.Task) { reflect.ValueOf(n).Elem().Field(i).Set(reflect.ValueOf(v).Convert(f.Type)) })
	}
	check("beginning", func(n *task.Task) { *n = task.Begin(n, "x", task.Token{1}, false, n.CreatedAt).Task })
	check("handing on", func(n *task.Task) { *n = task.Begin(n, "x", task.Token{1}, true, n.CreatedAt).Task })
	if different < 20 {
		t.Errorf("%d fields make a difference", different)
	}
}

// The numbers in the schema are those of host/task, and no statement is left with a name.
func TestSchemaNumbers(t *testing.T) {
	schema, err := migrations.ReadFile("migrations/00001_initial.sql")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range task.States() {
		names = append(names, fmt.Sprintf("%d %s", int(s), s))
	}
	for w := task.WaitQueued; w <= task.WaitChildren; w++ {
		if w != task.WaitExecutor { // never stored
			names = append(names, fmt.Sprintf("%d %s", int(w), w))
		}
	}
	for _, name := range names {
		if !strings.Contains(string(schema), name) {
			t.Errorf("the schema does not say %q", name)
		}
	}
	s := openStore(t, t.TempDir())
	for _, st := range s.w.st.all {
		if strings.ContainsAny(st.sql, "{}") {
			t.Errorf("a name is left in %s", st.sql)
		}
	}
}
