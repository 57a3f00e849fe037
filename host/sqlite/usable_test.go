package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// killed is a directory as a host leaves it that is killed: the store, its log
// and the lock file, after so many tasks. The log was carried over every so many.
func killed(t *testing.T, tasks, carryOver int) (dir string) {
	t.Helper()
	live := t.TempDir()
	s := openStore(t, live)
	work(t, s, tasks, carryOver)
	return copyOf(t, live)
}

// carryNow has the writer carry the log over behind its group.
type carryNow struct{}

func (carryNow) size() (rows, bytes int) { return 1, 0 }

func (carryNow) run(w *writer) error {
	w.walBytes = checkpointBytes
	return nil
}

// work inserts tasks one by one; the last are in the log alone.
func work(t *testing.T, s *Store, tasks, carryOver int) {
	t.Helper()
	for i := range tasks {
		fill(t, s, 1)
		if carryOver > 0 && i%carryOver == carryOver-1 {
			if err := s.w.do(t.Context(), carryNow{}); err != nil {
				t.Fatal(err)
			}
			fill(t, s, 1)
		}
	}
}

// copyOf is a directory with the same files as a machine finds them after a crash.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{FileName, FileName + "-wal", LockName} {
		if data, there := slurp(t, filepath.Join(dir, name)); there {
			write(t, filepath.Join(to, name), data)
		}
	}
	return to
}

func count(t *testing.T, s *Store) int {
	t.Helper()
	n := 0
	if err := s.rows(t.Context(), `SELECT count(*) FROM task`, nil, 1, func(r row) bool { n = int(r.int(0)); return true }); err != nil {
		t.Fatal(err)
	}
	return n
}

// refusedAndAccepted wants the store of dir refused with what, untouched, by Open and
// Check; and opened if the operator accepts it.
func refusedAndAccepted(t *testing.T, dir, what string) {
	t.Helper()
	refused(t, dir, what, false)
	s, err := Open(t.Context(), dir, Options{AcceptOlder: true})
	if err != nil {
		t.Fatalf("accepted, and not opened: %v", err)
	}
	fill(t, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openStore(t, dir) // from then on it is the store
}

func refused(t *testing.T, dir, what string, accept bool) {
	t.Helper()
	files := func() (all string) {
		for _, name := range []string{FileName, FileName + "-wal", LockName} {
			data, _ := slurp(t, filepath.Join(dir, name))
			all += name + string(data)
		}
		return all
	}
	before := files()
	_, err := Open(t.Context(), dir, Options{AcceptOlder: accept})
	if task.CodeOf(err) != task.CodeStoreUnavailable || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "store restore") {
		t.Fatalf("open: %v, want it refused with %q and what to do", err, what)
	}
	if r, err := Check(t.Context(), dir, nil); err != nil || r.OK() || !strings.Contains(r.Problems[0], what) {
		t.Fatalf("check: %q, %v", r.Problems, err)
	}
	if files() != before {
		t.Fatal("it was touched")
	}
}

// TestKilledIsNotRefused: whatever a killed host leaves is opened, whole, and
// again if the next is killed while it opens.
func TestKilledIsNotRefused(t *testing.T) {
	for _, carryOver := range []int{0, 1, 3} {
		dir := killed(t, 10, carryOver)
		want := -1
		for range 3 {
			s := openStore(t, dir)
			if n := count(t, s); want >= 0 && n != want || n < 10 {
				t.Fatalf("%d tasks, want %d", n, want)
			}
			fill(t, s, 1)
			want = count(t, s)
			dir = copyOf(t, dir)
		}
	}
}

// TestLogGone: the log of a killed host is missed if it is deleted, emptied or cut,
// however often it was carried over before.
func TestLogGone(t *testing.T) {
	for _, carryOver := range []int{0, 1, 3} {
		for name, spoil := range map[string]func(log string) error{
			"deleted": os.Remove,
			"emptied": func(log string) error { return os.Truncate(log, 0) },
			"cut":     func(log string) error { return os.Truncate(log, 4096) },
		} {
			dir := killed(t, 11, carryOver)
			log := filepath.Join(dir, FileName+"-wal")
			if err := spoil(log); err != nil {
				t.Fatal(err)
			}
			t.Run(name, func(t *testing.T) { refusedAndAccepted(t, dir, "work that was acknowledged may be missing") })
		}
	}
}

// TestLogCut: a log that lost a megabyte of its end is missed, too.
func TestLogCut(t *testing.T) {
	dir := killed(t, 0, 0)
	s := openStore(t, dir)
	for sizeOf(filepath.Join(dir, FileName+"-wal")) < 5<<20 {
		fill(t, s, 1000)
	}
	dir = copyOf(t, dir)
	log := filepath.Join(dir, FileName+"-wal")
	if err := os.Truncate(log, sizeOf(log)-2<<20); err != nil {
		t.Fatal(err)
	}
	refusedAndAccepted(t, dir, "is cut")
}

// TestOlderStore: a store that was put back from before is refused: a copy of the
// file, or a backup, of this opening or an earlier one, with what is missing.
func TestOlderStore(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, FileName)
	old := map[string][]byte{}
	for _, name := range []string{"first", "second"} {
		s, err := Open(t.Context(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		fill(t, s, 5)
		backup := filepath.Join(t.TempDir(), "backup.db")
		if err := Backup(t.Context(), dir, backup); err != nil {
			t.Fatal(err)
		}
		old["backup of the "+name], _ = slurp(t, backup)
		fill(t, s, 5)
		if name == "first" {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			old["copy of the first"], _ = slurp(t, file)
			continue
		}
		work(t, s, 4, 1)
		old["copy while it ran"], _ = slurp(t, file)
		work(t, s, 4, 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	openStore(t, copyOf(t, dir))
	for name, data := range old {
		t.Run(name, func(t *testing.T) {
			dir := copyOf(t, dir)
			write(t, filepath.Join(dir, FileName), data)
			refusedAndAccepted(t, dir, "work that was acknowledged may be missing")
		})
	}
	t.Run("in an empty directory", func(t *testing.T) {
		for _, data := range old {
			dir := t.TempDir()
			write(t, filepath.Join(dir, FileName), data)
			openStore(t, dir)
		}
	})
}

// TestForeignLog: a log is never carried over into a file that it is not of,
// which is told, whether the operator would accept an older store or not.
func TestForeignLog(t *testing.T) {
	live := t.TempDir()
	s := openStore(t, live)
	fill(t, s, 5)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := Backup(t.Context(), live, backup); err != nil {
		t.Fatal(err)
	}
	work(t, s, 4, 1)
	early, _ := slurp(t, filepath.Join(live, FileName))
	work(t, s, 4, 1)
	data, _ := slurp(t, backup)
	another, _ := slurp(t, filepath.Join(killed(t, 3, 1), FileName))
	for name, put := range map[string][]byte{"a backup": data, "another store": another, "an early copy": early} {
		t.Run(name, func(t *testing.T) {
			dir := copyOf(t, live)
			write(t, filepath.Join(dir, FileName), put)
			refused(t, dir, "is not of the store", false)
			refused(t, dir, "is not of the store", true)
			// What the message says to do.
			if err := os.Remove(filepath.Join(dir, FileName+"-wal")); err != nil {
				t.Fatal(err)
			}
			refusedAndAccepted(t, dir, "work that was acknowledged may be missing")
		})
	}
	t.Run("a backup alone with a log", func(t *testing.T) {
		dir := copyOf(t, live)
		write(t, filepath.Join(dir, FileName), data)
		if err := os.Remove(filepath.Join(dir, LockName)); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, "is not of the store", true)
	})
}

// TestForeignDatabase: another program's database is never made a store, nor is one
// without tables where there was a store.
func TestForeignDatabase(t *testing.T) {
	make := func(sql string) []byte {
		path := filepath.Join(t.TempDir(), "other.db")
		conn, err := connect(writerDSN(path))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(sql, nil); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		data, _ := slurp(t, path)
		return data
	}
	foreign, bare := make(`CREATE TABLE bookmarks (url TEXT)`), make(`CREATE TABLE t (x); DROP TABLE t; VACUUM`)
	used := killed(t, 3, 1)
	for name, c := range map[string]struct {
		dir  string
		data []byte
	}{
		"foreign, no store before": {t.TempDir(), foreign}, "foreign": {used, foreign}, "bare": {used, bare},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, filepath.Join(c.dir, FileName), c.data)
			for _, log := range []string{"with its log", "without"} {
				t.Log(log)
				refused(t, c.dir, "holds no store", true)
				_ = os.Remove(filepath.Join(c.dir, FileName+"-wal"))
			}
		})
	}
}

// TestCarriedOverByAnother: a log that another program carried over is not missed.
func TestCarriedOverByAnother(t *testing.T) {
	dir := killed(t, 10, 3)
	conn, err := connect(writerDSN(filepath.Join(dir, FileName)))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, FileName+"-wal")); err == nil {
		t.Fatal("the log is still there")
	}
	openStore(t, dir)
}
