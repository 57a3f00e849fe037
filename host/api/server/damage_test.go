package server_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
)

// year10000 is the first moment, in microseconds, that RFC 3339 cannot tell.
const year10000 = "253402300800000000"

// openBeneath opens the store of a host that runs on it, past all its checks.
func openBeneath(t *testing.T, r *testServer) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(r.dir, sqlite.FileName)+"?_busy_timeout=10000&_fk=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`PRAGMA ignore_check_constraints = on`); err != nil {
		t.Fatal(err)
	}
	return db
}

// Whatever stands in one row, it is shown with a note, and keeps nobody from the
// others: not in lists, and not by way of a client that decodes them.
func TestDamagedTasks(t *testing.T) {
	r := newTestServer(t, server.Options{})
	db := openBeneath(t, r)
	for _, c := range []struct{ sql, note string }{
		{`UPDATE task SET run_at = ` + year10000, "run_at"},
		{`UPDATE task SET created_at = -9223372036854775808`, "created_at"},
		{`UPDATE task SET finished_at = 9223372036854775807, expires_at = 9223372036854775807`, "expires_at"},
		{`UPDATE task SET updated_at = 'yesterday', deadline = -` + year10000, "deadline"},
		{`UPDATE task SET labels = '{"a":'`, "labels"},
		{`UPDATE task SET labels = '[1]'`, "labels"},
		{`UPDATE task SET state = 99`, "state 99"},
		{`UPDATE task SET state = -1`, "state -1"},
		{`UPDATE task SET state = 257, waiting = 77`, "state 257"},
		{`UPDATE task SET state = 'done'`, "state done"},
		{`UPDATE task SET lane = 4711`, "lane"},
		{`UPDATE task SET error_code = 'permanent', token = x'01', done = 'half', parent = 'x'`, ""},
	} {
		id := r.submit(`{"type":"echo","input":"x","labels":{"team":"a"}}`)
		r.final(id)
		blob := "x'" + strings.ReplaceAll(id, "-", "") + "'"
		if _, err := db.Exec(c.sql + ` WHERE id = ` + blob); err != nil {
			t.Fatalf("%s: %v", c.sql, err)
		}
		a := r.do("GET", "/v1/tasks/"+id, "")
		r.wants(a, 200, "")
		var got api.Task
		a.json(t, &got)
		if !strings.Contains(got.Damage, c.note) || (got.Damage == "") != (c.note == "") {
			t.Errorf("%s: shown with the note %q, want %q", c.sql, got.Damage, c.note)
		}
	}
	wantListed(t, r, 12)
}

// wantListed lists all tasks from both ends.
func wantListed(t *testing.T, r *testServer, want int) {
	t.Helper()
	for _, ascending := range []bool{true, false} {
		n := 0
		for one, err := range r.client.List(t.Context(), task.Filter{Limit: 3, Ascending: ascending}) {
			if err != nil {
				t.Fatal(err)
			}
			if one.State == task.None {
				t.Errorf("%+v has no state", one)
			}
			n++
		}
		if n != want {
			t.Errorf("%d of %d tasks are listed", n, want)
		}
	}
}

// What belongs to a task may be damaged as well, and its other parts are shown.
func TestDamagedRecords(t *testing.T) {
	r := newTestServer(t, server.Options{})
	db := openBeneath(t, r)
	id := r.submit(`{"type":"flaky","input":"x"}`)
	r.final(id)
	for wait := 0; !strings.Contains(string(r.do("GET", "/v1/tasks/"+id+"/logs", "").body), "about to fail"); wait++ {
		if wait == 500 {
			t.Fatal("its log was not written")
		}
		time.Sleep(10 * time.Millisecond)
	}
	of := ` WHERE task = (SELECT seq FROM task WHERE id = x'` + strings.ReplaceAll(id, "-", "") + `')`
	for _, damage := range []string{
		`UPDATE history SET at = ` + year10000 + of, `UPDATE history SET to_state = 77, from_state = -5` + of, `UPDATE log SET at = -` + year10000 + `, fields = 'x'` + of,
		`UPDATE input SET data = '{' ` + of, `UPDATE task_detail SET error_details = '{'` + of,
	} {
		if _, err := db.Exec(damage); err != nil {
			t.Fatalf("%s: %v", damage, err)
		}
	}
	for _, path := range []string{"", "/history", "/logs", "/result"} {
		a := r.do("GET", "/v1/tasks/"+id+path, "")
		if a.StatusCode >= 500 {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
		if path == "/history" || path == "/logs" {
			if !strings.Contains(string(a.body), "damaged: ") {
				t.Errorf("%s does not say what is damaged: %s", path, a.body)
			}
		}
	}
	if got := r.final(id); got.Damage == "" || string(got.Input) != "null" {
		t.Errorf("a task whose input is no JSON: %q, %s", got.Damage, got.Input)
	}
	wantListed(t, r, 1)
}
