package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/taskhost/taskhost/host/task"
)

// LockName is the file in the data directory that a running host holds locked. It
// says who holds it, and how often the store beside it was opened, so that a
// store that has gone is missed.
const LockName = "taskhost.lock"

type dirLock struct {
	file  *os.File
	epoch uint64 // of the last open; 0 if there was none
}

// lockDir keeps other hosts out of dir; the kernel gives it free when the process dies.
func lockDir(dir string) (*dirLock, error) {
	path := filepath.Join(dir, LockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	content, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", path, err), f.Close())
	}
	pid, epoch := parseLock(content)
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = task.Errorf(task.CodeStoreUnavailable, "the data directory %s is in use by process %d: stop that host, or give this one another data_dir", dir, pid)
		} else {
			err = fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, errors.Join(err, f.Close())
	}
	return &dirLock{file: f, epoch: epoch}, nil
}

// parseLock reads what mark wrote; zeros for what it can't read.
func parseLock(content []byte) (pid int, epoch uint64) {
	for _, line := range bytes.Split(content, []byte("\n")) {
		if n, err := fmt.Sscanf(string(line), "pid %d", &pid); n == 1 && err == nil {
			continue
		}
		_, _ = fmt.Sscanf(string(line), "epoch %d", &epoch)
	}
	return pid, epoch
}

// mark records that a store was opened in dir, durably.
func (l *dirLock) mark(dir string, epoch uint64) error {
	text := fmt.Sprintf("pid %d\nepoch %d\n", os.Getpid(), epoch)
	if _, err := l.file.WriteAt([]byte(text), 0); err != nil {
		return fmt.Errorf("write %s: %w", LockName, err)
	}
	if err := l.file.Truncate(int64(len(text))); err != nil {
		return fmt.Errorf("write %s: %w", LockName, err)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", LockName, err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync data directory: %w", err)
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("sync data directory: %w", err)
	}
	return nil
}

func (l *dirLock) unlock() error { return l.file.Close() }

// mayOpen refuses what must not be opened as a store: a file that is none, and a
// missing one where there was a store.
func mayOpen(path string, epoch uint64) error {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && epoch == 0:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return task.Errorf(task.CodeStoreUnavailable,
			"%s is missing, though a store was opened here %d times: restore it from a backup, or remove %s to begin an empty store", path, epoch, filepath.Join(filepath.Dir(path), LockName))
	case err != nil:
		return fmt.Errorf("open store: %w", err)
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 16)
	n, err := io.ReadFull(f, head)
	if n == 0 && errors.Is(err, io.EOF) && epoch == 0 {
		return nil // a first open was cut short
	}
	if _, err := os.Lstat(path + "-journal"); err == nil && epoch == 0 {
		return nil // likewise, and SQLite will undo what got to the disk of it
	}
	if string(head[:n]) != "SQLite format 3\x00" {
		return task.Errorf(task.CodeStoreUnavailable, "%s is not a store, or it is damaged: restore it from a backup; it was not touched", path)
	}
	return nil
}

// damaged says that the store can't be read as one.
func damaged(path string, err error) error {
	return &task.Error{Code: task.CodeStoreUnavailable, Cause: err,
		Message: fmt.Sprintf("the store %s is damaged: run \"taskhost store check\", restore it from a backup; it was not touched", path)}
}
