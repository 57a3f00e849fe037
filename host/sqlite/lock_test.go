package sqlite

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

// TestLockFile: what is written is read back, whatever stood there before, and it
// never changes its length: one write within a sector is all or nothing.
func TestLockFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, LockName)
	// As earlier versions wrote it.
	write(t, path, []byte("pid 17\nepoch 3\n"))
	for i, k := range []lockRecord{{epoch: 3}, {1, 2, 3, 4}, {math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64}, {}} {
		l, err := lockDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 && l.known != k {
			t.Fatalf("read %+v of an earlier version's file, want %+v", l.known, k)
		}
		if err := l.write(k); err != nil {
			t.Fatal(err)
		}
		if err := l.unlock(); err != nil {
			t.Fatal(err)
		}
		data, _ := slurp(t, path)
		if pid, got := parseLock(data); pid != os.Getpid() || got != k || len(data) != 125 || len(data) > sector {
			t.Fatalf("read %d %+v of %d bytes, want %+v", pid, got, len(data), k)
		}
	}
}

// FuzzLockFile: whatever stands in it, nothing of it is negative.
func FuzzLockFile(f *testing.F) {
	f.Add([]byte("pid 17\nepoch 3\n"))
	f.Add([]byte("epoch -3\nstore 99999999999999999999\nmark 1 2\n\x00log 7"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if pid, k := parseLock(data); pid < 0 || k.store < 0 || k.mark < 0 || k.log < 0 || k.epoch > math.MaxInt64 {
			t.Fatalf("%d %+v", pid, k)
		}
	})
}
