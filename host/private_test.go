package host

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/taskhost/taskhost/host/sqlite"
)

// TestDataDirectoryIsPrivate: whatever the umask, and though the directory was made
// open to all, as a service manager does, nobody else can read what a host keeps;
// and a directory that is not the host's own is not touched.
func TestDataDirectoryIsPrivate(t *testing.T) {
	old := syscall.Umask(0)
	t.Cleanup(func() { syscall.Umask(old) })
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	h, err := Open(t.Context(), Options{DataDir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	seen := map[string]bool{}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		seen[e.Name()] = true
		return nil
	})
	if err != nil || !seen["address"] || !seen[sqlite.FileName] {
		t.Fatalf("%v, %v", seen, err)
	}

	shared := t.TempDir()
	for path, mode := range map[string]os.FileMode{filepath.Join(shared, "others"): 0o644, shared: 0o755} {
		if err := os.WriteFile(filepath.Join(shared, "others"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), Options{DataDir: shared}); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Fatalf("a directory with what is another's was opened: %v", err)
	}
	if info, err := os.Stat(shared); err != nil || info.Mode().Perm() != 0o755 {
		t.Fatalf("%v: its mode is %v", err, info.Mode())
	}
}
