package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Tasks that are kept are passed by in bounded steps, and what has expired behind them is found.
func TestExpiredAreFoundBehindThoseThatStay(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	stays := newRunning(t)
	if _, err := s.Insert(t.Context(), task.Submission{Tasks: []*task.Task{stays}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), []task.Change{succeeded(t, stays)})[0]; err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	const many = 2*expiryScanRows + 10
	var names []string
	for _, c := range taskColumns {
		if c.table == "t" && c.use&ofEach == 0 {
			names = append(names, c.name)
		}
	}
	columns := strings.Join(names, ", ")
	s = beneath(t, dir, fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
INSERT INTO task (seq, id, %s) SELECT seq + i, randomblob(16), %[2]s FROM task, n;
UPDATE task SET expires_at = 1 WHERE seq = (SELECT max(seq) FROM task)`, many-1, columns))
	found := deleteExpired(t, s, 100)
	if len(found) != 3 || found[0] != 0 || found[1] != 0 || found[2] != 1 {
		t.Errorf("each step found %v", found)
	}
}

// beneath has statements run on a store that nobody has open, and opens it.
func beneath(t *testing.T, dir, sql string) *Store {
	t.Helper()
	conn, err := connect(writerDSN(filepath.Join(dir, FileName)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(sql, nil)
	if err := errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
	return openStore(t, dir)
}

// deleteExpired calls DeleteExpired until it says that there is no more, and gives what each call removed.
func deleteExpired(t *testing.T, s *Store, limit int) (steps []int) {
	t.Helper()
	for more := true; more; {
		var gone []task.ID
		var err error
		if gone, more, err = s.DeleteExpired(t.Context(), time.Now(), limit); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, len(gone))
	}
	return steps
}

// Idempotency keys go as fast as they come, also where no task expires beside them.
func TestManyForgottenKeysGo(t *testing.T) {
	dir := t.TempDir()
	if err := openStore(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	s := beneath(t, dir, fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
INSERT INTO idempotency (owner, key, hash, ids, at) SELECT 'ann', i, x'00', x'', %d FROM n`, micros(time.Now().Add(-25*time.Hour))))
	steps := deleteExpired(t, s, 500)
	left := int64(-1)
	if err := s.rows(t.Context(), `SELECT count(*) FROM idempotency`, nil, 1, func(r row) bool { left = r.int(0); return true }); err != nil {
		t.Fatal(err)
	}
	if left != 0 || len(steps) > 5 {
		t.Errorf("after %d calls %d keys are on record", len(steps), left)
	}
}

// What one operation removes is bounded in rows: tasks behind some with long logs are left to the next.
func TestLongLogsGoInSteps(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	const tasks, lines = 5, expiryRows/2 + 1
	for range tasks {
		n := newRunning(t)
		if _, err := s.Insert(t.Context(), task.Submission{Tasks: []*task.Task{n}}); err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(t.Context(), []task.Change{succeeded(t, n)})[0]; err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = beneath(t, dir, fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
INSERT INTO log (task, n, at, attempt, level, message) SELECT seq, i, 1, 1, 'info', '' FROM task, n;
UPDATE task SET expires_at = 1`, lines))
	found := deleteExpired(t, s, 100)
	if !slices.Equal(found, []int{2, 2, 1}) {
		t.Errorf("each step found %v", found)
	}
}
