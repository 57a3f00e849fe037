// Package files makes what the host keeps on disk: for its user alone, whatever the
// umask and whoever made the directory, and whole or not at all.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// MakePrivateDir makes dir, and what is missing above it, for this user alone. One
// that is there and that others may enter is closed to them, if it is this user's
// and holds nothing, or what a data directory does; any other is refused with what to
// do, for it may be one that others need, such as /var/lib.
func MakePrivateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("directory %s belongs to user %d, and others may enter it (mode %04o): have its owner run \"chmod 700 %s\", or use another",
			dir, st.Uid, info.Mode().Perm(), dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read directory: %w", err)
	}
	isOwn := func(e fs.DirEntry) bool { return slices.Contains(dataDirEntries, e.Name()) }
	if info.Mode()&os.ModeSticky != 0 || len(entries) > 0 && !slices.ContainsFunc(entries, isOwn) {
		return fmt.Errorf("others may enter directory %s (mode %04o), and it holds what is not taskhost's: use a directory of its own, or run \"chmod 700 %s\" if nobody else needs it",
			dir, info.Mode().Perm(), dir)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("close directory to others: %w", err)
	}
	return nil
}

// dataDirEntries are names by which a data directory is known, of a host or a worker.
var dataDirEntries = []string{"taskhost.lock", "taskhost.db", "executors", "run"}

// RestrictFile takes a file from others than its owner, if it is there.
func RestrictFile(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if err == nil {
		err = os.Chmod(path, info.Mode().Perm()&0o700)
	}
	if err != nil {
		return fmt.Errorf("others may read %s, and it cannot be closed to them: %w; run \"chmod 600 %s\" as its owner", path, err, path)
	}
	return nil
}

// WriteDurable has the file at path hold data, durably and for its owner alone. Whoever reads it,
// also after a crash, finds all of the old content or all of the new.
func WriteDurable(path string, data []byte) error {
	tmp := path + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by a crash, perhaps with another mode
		return err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
