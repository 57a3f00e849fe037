package host_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
)

// BenchmarkBacklog is a host that works off b.N tasks of those that wait.
func BenchmarkBacklog(b *testing.B) {
	b.Run("all", func(b *testing.B) { workOff(b, b.N) })
	b.Run("million", func(b *testing.B) { workOff(b, max(b.N, 1_000_000)) })
	b.Run("ten_million", func(b *testing.B) { workOff(b, max(b.N, 10_000_000)) })
	// What ten million are compared with: a machine that has written them is slower for some
	// time (a fifth was seen), whoever works on it.
	b.Run("ten_million_elsewhere", func(b *testing.B) {
		if b.N > 1 {
			fillStore(b, b.TempDir(), 10_000_000)
		}
		workOff(b, b.N)
	})
}

// BenchmarkMemory is what a host holds of memory once it has worked off b.N tasks, a
// thousand at the most, of so many that wait.
func BenchmarkMemory(b *testing.B) {
	b.Run("thousand", func(b *testing.B) { workOff(b, 1000) })
	b.Run("million", func(b *testing.B) { workOff(b, 1_000_000) })
}

func workOff(b *testing.B, waiting int) {
	if b.N == 1 {
		return // the testing package tries one before it comes to what was asked for
	}
	data := b.TempDir()
	fillStore(b, data, waiting)
	h := openBench(b, data, false)
	waits := func() (n int64) { // a task whose executor is paused counts as waiting, and else as ready
		for _, t := range h.Tasks().Types(host.DefaultScope()) {
			n += t.Counts.Ready + t.Counts.Waiting
		}
		return n
	}
	if n := waits(); n != int64(waiting) {
		b.Fatalf("%d tasks wait, want %d", n, waiting)
	}
	control(b, h, "resume")
	used := queuetest.CPUTime()
	b.ResetTimer()
	for waits() > int64(waiting-b.N) {
		time.Sleep(time.Millisecond)
	}
	control(b, h, "pause") // what is left would go on under the measurement of memory
	report(b, used)
}

// fillStore makes a store with so many tasks that wait: by a process of its own, since what it
// takes of memory is not the host's. What the system would write of it under the measurement is
// on the disk then.
func fillStore(b *testing.B, data string, waiting int) {
	b.Helper()
	fill := exec.Command(os.Args[0], "-test.run", "^TestFillBacklog$")
	fill.Env = append(os.Environ(), fillOfChild+"="+data, waitingOfChild+"="+strconv.Itoa(waiting))
	if out, err := fill.CombinedOutput(); err != nil {
		b.Fatalf("fill the store: %v\n%s", err, out)
	}
	f, err := os.OpenFile(filepath.Join(data, sqlite.FileName), os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		b.Fatal(err)
	}
}

// What a child process that fills a store is to do.
const (
	fillOfChild    = "TASKHOST_FILL"
	waitingOfChild = "TASKHOST_FILL_WAITING"
)

// TestFillBacklog is no test: it fills a store for the benchmarks.
func TestFillBacklog(t *testing.T) {
	dir := os.Getenv(fillOfChild)
	if dir == "" {
		return
	}
	waiting, err := strconv.Atoi(os.Getenv(waitingOfChild))
	if err != nil {
		t.Fatal(err)
	}
	fillBacklog(t, dir, waiting)
}

func control(b testing.TB, h *host.Host, action string) {
	b.Helper()
	if _, err := h.Tasks().ControlExecutor(b.Context(), "x", action); err != nil {
		b.Fatal(err)
	}
}

// fillBacklog makes a store with so many tasks that wait for an executor which is paused: one
// as a host writes it, and copies of its row.
func fillBacklog(b testing.TB, data string, waiting int) {
	h := openBench(b, data, false)
	control(b, h, "pause")
	if _, _, err := h.Tasks().Submit(b.Context(), host.DefaultScope(), []task.Spec{plainTask}, nil); err != nil {
		b.Fatal(err)
	}
	if err := h.Close(); err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("sqlite3", filepath.Join(data, sqlite.FileName)+"?_journal_mode=WAL&_synchronous=OFF")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var columns string
	if err := db.QueryRow(`SELECT group_concat(name) FROM pragma_table_info('task') WHERE name NOT IN ('seq', 'id')`).Scan(&columns); err != nil {
		b.Fatal(err)
	}
	const copies = `WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO task (seq, id, COLUMNS) SELECT i, unhex(printf('%012x', unixepoch() * 1000 + i / 100) || hex(randomblob(10))), COLUMNS FROM n, task WHERE seq = 1`
	const step = 100_000 // so that the log does not grow as large as the store
	for from := 2; from <= waiting; from += step {
		if _, err := db.ExecContext(context.Background(), strings.ReplaceAll(copies, "COLUMNS", columns), from, min(from+step-1, waiting)); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	syncFile(b, filepath.Join(data, sqlite.FileName))
}

// syncFile has a file that was written without syncs on disk: or else the first sync of whoever
// is measured next would wait for all of it.
func syncFile(b testing.TB, name string) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
}
