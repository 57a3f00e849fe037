package sqlite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

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
