package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
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
	conn, err := connect(writerDSN(filepath.Join(dir, FileName)))
	if err != nil {
		t.Fatal(err)
	}
	columns := strings.Join(names, ", ")
	_, err = conn.Exec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
INSERT INTO task (seq, id, %s) SELECT seq + i, randomblob(16), %[2]s FROM task, n;
UPDATE task SET expires_at = 1 WHERE seq = (SELECT max(seq) FROM task)`, many-1, columns), nil)
	if err := errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	var found []int
	for more := true; more; {
		var gone []task.ID
		if gone, more, err = s.DeleteExpired(t.Context(), time.Now(), 100); err != nil {
			t.Fatal(err)
		}
		found = append(found, len(gone))
	}
	if len(found) != 3 || found[0] != 0 || found[1] != 0 || found[2] != 1 {
		t.Errorf("each step found %v", found)
	}
}
