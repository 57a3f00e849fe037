package files

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// open has the umask take nothing away, and makes a directory that all may enter.
func open(t *testing.T) string {
	t.Helper()
	old := syscall.Umask(0)
	t.Cleanup(func() { syscall.Umask(old) })
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestMakePrivateDir(t *testing.T) {
	dir := open(t)
	made := filepath.Join(dir, "a", "b")
	for _, d := range []string{made, made} {
		if err := MakePrivateDir(d); err != nil || mode(t, d) != 0o700 || mode(t, filepath.Dir(d)) != 0o700 {
			t.Fatalf("%v: %o under %o", err, mode(t, d), mode(t, filepath.Dir(d)))
		}
	}
	empty := open(t)
	if err := MakePrivateDir(empty); err != nil || mode(t, empty) != 0o700 {
		t.Fatalf("an empty directory: %v, %o", err, mode(t, empty))
	}
	used := open(t)
	if err := os.WriteFile(filepath.Join(used, "taskhost.lock"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := MakePrivateDir(used); err != nil || mode(t, used) != 0o700 {
		t.Fatalf("a data directory: %v, %o", err, mode(t, used))
	}
	shared := open(t)
	if err := os.WriteFile(filepath.Join(shared, "others"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := MakePrivateDir(shared); err == nil || !strings.Contains(err.Error(), "chmod 700 "+shared) || mode(t, shared) != 0o755 {
		t.Fatalf("a directory with what is another's: %v, %o", err, mode(t, shared))
	}
}

func TestMakePrivateDirOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a directory of another user")
	}
	foreign := open(t)
	if err := os.Chown(foreign, 1, 1); err != nil {
		t.Fatal(err)
	}
	if err := MakePrivateDir(foreign); err == nil || !strings.Contains(err.Error(), "belongs to user 1") || mode(t, foreign) != 0o755 {
		t.Fatalf("a directory of another user: %v, %o", err, mode(t, foreign))
	}
}

func TestWriteDurable(t *testing.T) {
	path := filepath.Join(open(t), "file")
	for _, old := range []string{path, path + ".tmp"} {
		if err := os.WriteFile(old, []byte("an older and longer content"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteDurable(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "new" || mode(t, path) != 0o600 {
		t.Fatalf("%q, %v, %o", data, err, mode(t, path))
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Fatalf("left: %v, %v", left, err)
	}
	if err := WriteDurable(filepath.Join(path, "below a file"), nil); err == nil {
		t.Fatal("written below a file")
	}
}

func TestRestrictFile(t *testing.T) {
	path := filepath.Join(open(t), "file")
	if err := RestrictFile(path); err != nil {
		t.Fatal("what is not there: ", err)
	}
	for given, want := range map[os.FileMode]os.FileMode{0o666: 0o600, 0o640: 0o600, 0o400: 0o400, 0o755: 0o700} {
		if err := os.WriteFile(path, nil, given); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, given); err != nil {
			t.Fatal(err)
		}
		if err := RestrictFile(path); err != nil || mode(t, path) != want {
			t.Fatalf("%o: %v, %o", given, err, mode(t, path))
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
