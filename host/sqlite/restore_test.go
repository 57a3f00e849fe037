package sqlite

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// TestRestore: a backup, or another store with its log, takes the place of whatever
// there is; what was there can still be opened; epochs rise.
func TestRestore(t *testing.T) {
	live := t.TempDir()
	s := openStore(t, live)
	work(t, s, 7, 0)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := Backup(t.Context(), live, backup); err != nil {
		t.Fatal(err)
	}
	work(t, s, 6, 2)
	elsewhere := killed(t, 5, 2) // with a log
	elsewhereTasks := count(t, openStore(t, copyOf(t, elsewhere)))
	all := count(t, s)
	for name, c := range map[string]struct {
		dir        string
		file       string
		now, aside int
	}{
		"over a killed host's":   {copyOf(t, live), backup, 7, all},
		"into an empty place":    {filepath.Join(t.TempDir(), "new"), backup, 7, 0},
		"another store, killed":  {copyOf(t, live), filepath.Join(elsewhere, FileName), elsewhereTasks, all},
		"where the file is gone": {without(t, copyOf(t, live), "", "-wal"), backup, 7, 0},
		"where the log is gone":  {without(t, copyOf(t, live), "-wal"), backup, 7, -1},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := slurp(t, c.file)
			r, err := Restore(t.Context(), c.dir, c.file)
			if err != nil {
				t.Fatal(err)
			}
			if after, _ := slurp(t, c.file); !bytes.Equal(before, after) {
				t.Fatal("the backup was touched")
			}
			if r.Tasks[task.Pending] != int64(c.now) || (r.Aside != "") != (c.aside != 0) {
				t.Fatalf("%+v", r)
			}
			s := openStore(t, c.dir)
			if n := count(t, s); n != c.now || s.Host().Epoch < 2 {
				t.Fatalf("%d tasks at epoch %d, want %d", n, s.Host().Epoch, c.now)
			}
			left, err := filepath.Glob(filepath.Join(c.dir, "*restoring*"))
			if err != nil || len(left) > 0 {
				t.Fatalf("left behind: %v, %v", left, err)
			}
			if c.aside > 0 {
				if n := count(t, openStore(t, r.Aside)); n != c.aside {
					t.Fatalf("%d tasks in what was set aside, want %d", n, c.aside)
				}
			}
		})
	}
	t.Run("twice", func(t *testing.T) {
		dir := copyOf(t, live)
		for range 2 {
			if _, err := Restore(t.Context(), dir, backup); err != nil {
				t.Fatal(err)
			}
			if err := openStore(t, dir).Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func without(t *testing.T, dir string, suffixes ...string) string {
	t.Helper()
	for _, suffix := range suffixes {
		if err := os.Remove(filepath.Join(dir, FileName+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRestoreCutShort: a restore that ended half way is told by the next host, and
// another restore finishes it.
func TestRestoreCutShort(t *testing.T) {
	dir := killed(t, 5, 2)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := Backup(t.Context(), dir, backup); err != nil {
		t.Fatal(err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.write(lockRecord{epoch: lock.known.epoch}); err != nil {
		t.Fatal(err)
	}
	if _, err := setAside(filepath.Join(dir, FileName)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, FileName+".restoring"), []byte("half"))
	if err := lock.unlock(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, Options{}); err == nil || !strings.Contains(err.Error(), "taskhost store restore --data-dir "+dir+" FILE") {
		t.Fatalf("open: %v", err)
	}
	if _, err := Restore(t.Context(), dir, backup); err != nil {
		t.Fatal(err)
	}
	openStore(t, dir)
}

// TestRestoreRefuses: what is no sound store changes nothing, and neither does a
// restore under a host that runs.
func TestRestoreRefuses(t *testing.T) {
	live := t.TempDir()
	s := openStore(t, live)
	work(t, s, 200, 0)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := Backup(t.Context(), live, backup); err != nil {
		t.Fatal(err)
	}
	good, _ := slurp(t, backup)
	file := func(data []byte) string {
		path := filepath.Join(t.TempDir(), "file.db")
		write(t, path, data)
		return path
	}
	damaged := bytes.Clone(good)
	for at := 4096 * 5; at < len(damaged); at += 4096 {
		copy(damaged[at:], bytes.Repeat([]byte{0xa5}, 2000))
	}
	cut := good[:len(good)/2]
	withLog := file(good)
	log, _ := slurp(t, filepath.Join(live, FileName+"-wal"))
	write(t, withLog+"-wal", log)
	dir := copyOf(t, live)
	for name, c := range map[string]struct{ dir, file, want string }{
		"no file":              {dir, filepath.Join(dir, "nothing"), "no such file"},
		"an empty file":        {dir, file(nil), "is empty"},
		"a directory":          {dir, t.TempDir(), "no file"},
		"not a store":          {dir, file([]byte(strings.Repeat("text\n", 1000))), "not a store"},
		"damaged":              {dir, file(damaged), ""},
		"cut":                  {dir, file(cut), ""},
		"with a foreign log":   {dir, withLog, "is not of the store"},
		"the store itself":     {dir, filepath.Join(dir, FileName), "is the store itself"},
		"while a host runs":    {live, backup, "in use by process"},
		"its own file, a link": {dir, link(t, filepath.Join(dir, FileName)), "is the store itself"},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := slurp(t, filepath.Join(c.dir, FileName))
			entries, err := os.ReadDir(c.dir)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Restore(t.Context(), c.dir, c.file); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("restored: %v, want it refused with %q", err, c.want)
			}
			after, _ := slurp(t, filepath.Join(c.dir, FileName))
			now, err := os.ReadDir(c.dir)
			if err != nil || !bytes.Equal(before, after) || len(now) != len(entries) {
				t.Fatalf("something was changed: %v, %v, %v", entries, now, err)
			}
		})
	}
	if n := count(t, openStore(t, dir)); n != 200 {
		t.Fatalf("%d tasks", n)
	}
}

func link(t *testing.T, to string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
	return path
}
