package sqlite

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// TestCache: the writer's connection may keep as much as it is to, though it keeps little while a
// store is opened.
func TestCache(t *testing.T) {
	s := openStore(t, t.TempDir())
	s.w.stop()
	if got, err := pragma(s.w.conn, "cache_size"); err != nil || got != "-16384" {
		t.Errorf("PRAGMA cache_size = %s: %v", got, err)
	}
}

// TestDurable: the connection that writes is one that a power cut can't cheat.
func TestDurable(t *testing.T) {
	s := openStore(t, t.TempDir())
	s.w.stop() // the connection is the test's from here on
	for name, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1"} {
		if got, err := pragma(s.w.conn, name); err != nil || got != want {
			t.Errorf("PRAGMA %s = %s, %v, want %s", name, got, err, want)
		}
	}
	if err := verifyDurable(s.w.conn); err != nil {
		t.Error(err)
	}
	for _, drop := range []string{"_synchronous=FULL", "_foreign_keys=on"} {
		weak, err := connect(strings.Replace(writerDSN(filepath.Join(s.dir, FileName)), drop, "", 1))
		if err != nil {
			t.Fatal(err)
		}
		if err := verifyDurable(weak); err == nil {
			t.Errorf("a connection without %s was accepted", drop)
		}
		if err := weak.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestReadersOnlyRead: the pool that answers queries can change nothing.
func TestReadersOnlyRead(t *testing.T) {
	s := openStore(t, t.TempDir())
	if _, err := s.db.Exec(`DELETE FROM meta`); err == nil {
		t.Fatal("a read connection wrote")
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, db string)
		want  string
	}{
		"a missing file": {func(t *testing.T, db string) {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				if err := os.Remove(db + suffix); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
		}, "is missing"},
		"an emptied file": {func(t *testing.T, db string) { write(t, db, nil) }, "is empty, and there was a store before"},
		"another file":    {func(t *testing.T, db string) { write(t, db, bytes.Repeat([]byte("not a store\n"), 1000)) }, "not a store"},
		"a damaged page": {func(t *testing.T, db string) {
			b, err := os.ReadFile(db)
			if err != nil {
				t.Fatal(err)
			}
			for at := 4096 * 2; at < len(b); at += 4096 {
				copy(b[at:], bytes.Repeat([]byte{0xa5}, 2000))
			}
			write(t, db, b)
		}, "damaged"},
		"a newer schema": {func(t *testing.T, db string) {
			conn, err := connect(writerDSN(db))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`, nil); err != nil {
				t.Fatal(err)
			}
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
		}, "run the newer taskhost"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := Open(t.Context(), dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			fill(t, s, 500)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			db := filepath.Join(dir, FileName)
			c.spoil(t, db)
			before, _ := os.ReadFile(db)
			_, err = Open(t.Context(), dir, Options{})
			if task.CodeOf(err) != task.CodeStoreUnavailable || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), db) {
				t.Fatalf("open: %v, want it refused with %q and the file's name", err, c.want)
			}
			if after, _ := os.ReadFile(db); !bytes.Equal(before, after) {
				t.Fatal("the file was touched")
			}
			if name == "a missing file" {
				return
			}
			r, err := Check(t.Context(), dir, nil)
			if err != nil || r.OK() {
				t.Fatalf("check finds nothing wrong: %+v, %v", r, err)
			}
		})
	}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOneHost: a directory in use is refused with who uses it, to another process
// as to this one, and is free again once that one has closed.
func TestOneHost(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), dir, Options{})
	if task.CodeOf(err) != task.CodeStoreUnavailable || !strings.Contains(err.Error(), "in use by process") {
		t.Fatalf("second open: %v", err)
	}
	out, err := exec.Command(os.Args[0], "-test.run=^TestChild$").CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	if out, err = cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "in use by process") {
		t.Fatalf("another process opened the store: %s, %v", out, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("closing twice: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, FileName+"-wal")); !os.IsNotExist(err) {
		t.Errorf("the write-ahead log was not carried over at close: %v", err)
	}
	if _, err := s.Insert(t.Context(), task.Submission{Tasks: []*task.Task{newTask(t, task.Spec{})}}); task.CodeOf(err) != task.CodeStoreUnavailable {
		t.Fatalf("insert after close: %v", err)
	}
	openStore(t, dir)
}

// TestOddPath: a data directory may have any name.
func TestOddPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c#d%20e&f=ü")
	s := openStore(t, dir)
	fill(t, s, 1)
	if _, err := os.Stat(filepath.Join(dir, FileName)); err != nil {
		t.Fatal(err)
	}
	if p, err := s.List(t.Context(), task.Scope{All: true}, task.Filter{}); err != nil || len(p.Tasks) != 1 {
		t.Fatal(p, err)
	}
}

// TestEpochOutlivesBackup: a store put back from a backup does not give an epoch
// again that plugins have seen.
func TestEpochOutlivesBackup(t *testing.T) {
	dir := t.TempDir()
	open := func() uint64 {
		s, err := Open(context.Background(), dir, Options{AcceptOlder: true})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		return s.Host().Epoch
	}
	open()
	backup, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	open()
	last := open()
	write(t, filepath.Join(dir, FileName), backup)
	if got := open(); got != last+1 {
		t.Fatalf("epoch %d after %d", got, last)
	}
}

// TestBackup: a copy is taken beside a running store, is sound and whole, and
// overwrites nothing; one that fails leaves nothing.
func TestBackup(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	fill(t, s, 10)
	file := filepath.Join(to, FileName)
	if err := Backup(t.Context(), dir, file); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 1) // the store can still be written to
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Fatalf("%v, %v: want a file for its owner alone", info.Mode(), err)
	}
	if files, err := os.ReadDir(to); err != nil || len(files) != 1 {
		t.Fatalf("%v, %v: want the copy alone", files, err)
	}
	if r, err := Check(t.Context(), to, nil); err != nil || !r.OK() || r.Live || r.Tasks[task.Pending] != 10 {
		t.Fatalf("check of the copy: %+v, %v", r, err)
	}
	if err := Backup(t.Context(), dir, file); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Fatalf("a backup over another: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	file = filepath.Join(to, "other")
	if err := Backup(gone, dir, file); err == nil {
		t.Fatal("a backup that was cut short succeeded")
	}
	if _, err := os.Stat(file); err == nil {
		t.Fatal("a backup that failed left a file")
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	if _, err := Check(t.Context(), dir, nil); err == nil {
		t.Fatal("checked a store that is not there")
	}
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, 10)
	for _, deferred := range []bool{false, true} {
		if _, err := s.Claim(t.Context(), task.Claim{Shares: firstLane(3), Max: 3, NewToken: newToken, Executor: "x", Deferred: deferred, Now: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Check(t.Context(), dir, nil)
	if err != nil || !r.OK() || !r.Live || r.Tasks[task.Pending] != 7 || r.Tasks[task.Running] != 3 || r.Epoch != 1 || r.Schema != 27 {
		t.Fatalf("check beside a host: %+v, %v", r, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r, err = Check(t.Context(), dir, nil)
	if err != nil || !r.OK() || r.Live || r.Tasks[task.Pending] != 7 {
		t.Fatalf("check of a closed store: %+v, %v", r, err)
	}
	conn, err := connect(writerDSN(r.Path))
	if err != nil {
		t.Fatal(err)
	}
	broken := map[string][]string{
		`UPDATE task SET version = 1 WHERE seq = 1`:             {"no event is ahead of its task's version: broken 1 times"},
		`UPDATE task SET begun = NULL WHERE seq = 2`:            {"every attempt is in the history of its task: broken 2 times", "a task is in the state of its last event: broken 1 times"},
		`UPDATE task SET handed_at = NULL WHERE seq = 4`:        nil, // the second of the line before
		`INSERT INTO history VALUES (3, 2, 1, 1, 2, 1, '', '')`: {"no event is told twice: broken 2 times"},
		`INSERT INTO history VALUES (5, 2, 1, 1, 1, 1, '', '')`: nil, // the same of one that was handed on
		`UPDATE task SET started_at = NULL WHERE seq = 3`:       {"a row that tells of an attempt has one, and its times: broken 1 times"},
		`UPDATE task SET handed_at = 1 WHERE seq = 9`:           {"a row that tells when an attempt was handed on has one: broken 1 times"},
		`DELETE FROM in_flight_block`:                           {"every task that an attempt holds is in a block on record: broken 6 times"},
		`INSERT INTO input VALUES (999, 'x')`:                   {"inputs belong to tasks: broken 1 times"},
	}
	for sql := range broken {
		if _, err := conn.Exec(sql, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	r, err = Check(t.Context(), dir, nil)
	var want []string
	for _, problems := range broken {
		want = append(want, problems...)
	}
	slices.Sort(want)
	slices.Sort(r.Problems)
	if err != nil || !slices.Equal(r.Problems, want) {
		t.Fatalf("check of a store with faults: %q, %v, want %q", r.Problems, err, want)
	}
}

// TestPrivate: nobody but its user can read a store, whatever the umask, whoever
// made the directory, and whatever modes its files had.
func TestPrivate(t *testing.T) {
	old := syscall.Umask(0)
	t.Cleanup(func() { syscall.Umask(old) })
	dir := t.TempDir()
	open := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	open(dir, 0o755)
	for range 2 {
		s := openStore(t, dir)
		fill(t, s, 1)
		backup := filepath.Join(t.TempDir(), "backup.db")
		if err := Backup(t.Context(), dir, backup); err != nil {
			t.Fatal(err)
		}
		if _, err := Check(t.Context(), dir, nil); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) < 4 {
			t.Fatalf("%v, %v: want the store, its log, what goes with that, and the lock", entries, err)
		}
		for _, path := range []string{backup, dir, filepath.Join(dir, FileName), filepath.Join(dir, FileName+"-wal"), filepath.Join(dir, FileName+"-shm"), filepath.Join(dir, LockName)} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %v, mode %v", path, err, info.Mode())
			}
		}
		dir = copyOf(t, dir) // as from a killed host
		open(dir, 0o755)
		for _, name := range []string{FileName, FileName + "-wal", LockName} {
			open(filepath.Join(dir, name), 0o644)
		}
	}
	if _, err := Restore(t.Context(), dir, filepath.Join(copyOf(t, dir), FileName)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// What was set aside is behind a directory that is closed.
		if info, err := e.Info(); err != nil || info.Mode().Perm()&0o077 != 0 && filepath.Dir(path) == dir {
			t.Errorf("%s: %v, mode %v", path, err, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestCheckIndexes: an index that has lost a row is found, though the tables are sound.
func TestCheckIndexes(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	n := newTask(t, task.Spec{})
	if _, err := s.Insert(t.Context(), task.Submission{Tasks: []*task.Task{n}}); err != nil {
		t.Fatal(err)
	}
	root, err := scalar(s.w.conn, `SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_task_1'`)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, _ := slurp(t, filepath.Join(dir, FileName))
	page := data[4096*(root.(int64)-1) : 4096*root.(int64)]
	at := bytes.Index(page, n.ID[:])
	if at < 0 {
		t.Fatal("the task's id is not in its index")
	}
	page[at+15] ^= 1
	write(t, filepath.Join(dir, FileName), data)
	r, err := Check(t.Context(), dir, nil)
	if err != nil || r.OK() || !strings.Contains(strings.Join(r.Problems, "\n"), "index sqlite_autoindex_task_1") {
		t.Fatalf("%q, %v", r.Problems, err)
	}
}

// TestCheckIsBounded: a store with more tasks than one look takes is looked through
// to its end, and what is kept of many faults is bounded.
func TestCheckIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	fill(t, s, 2*checkSpan+10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Check(t.Context(), dir, nil)
	if err != nil || !r.OK() || r.Tasks[task.Pending] != 2*checkSpan+10 {
		t.Fatalf("%+v, %v", r, err)
	}
	conn, err := connect(strings.Replace(writerDSN(r.Path), "_foreign_keys=on", "", 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`UPDATE task SET lane = 99`, `UPDATE task SET attempt = 1 WHERE seq IN (1, 60000, 100005)`,
		`INSERT INTO input VALUES (-5, 'x'), (9223372036854775807, 'x')`,
	} {
		if _, err := conn.Exec(sql, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	r, err = Check(t.Context(), dir, nil)
	all := strings.Join(r.Problems, "\n")
	if err != nil || len(r.Problems) > 2*maxVerdicts {
		t.Fatalf("%d problems, %v", len(r.Problems), err)
	}
	for _, want := range []string{"and more", "every attempt is in the history of its task: broken 3 times", "inputs belong to tasks: broken 2 times"} {
		if !strings.Contains(all, want) {
			t.Errorf("not found: %s", want)
		}
	}
}
