package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/taskhost/taskhost/host/files"
	"github.com/taskhost/taskhost/host/task"
)

// LockName is the file in the data directory that a running host holds locked. It
// says who holds it, and what is known of the store beside it, so that a store or
// a log that has gone, or was exchanged, is missed.
const LockName = "taskhost.lock"

type dirLock struct {
	file  *os.File
	known lockRecord
}

// lockRecord is what the lock file keeps of the store. It is never ahead of what is
// durable in the store, so a crash in between makes no false alarm.
type lockRecord struct {
	epoch uint64 // of the last open; 0 if there was none
	// store is the identity of the store that was opened; 0 if not known. Its file
	// alone, without the log, has it.
	store int64
	// mark is raised in the store whenever all of the log was carried over. The
	// file alone has this one, or the one before if the log is still needed.
	mark int64
	// log is how many bytes the log file had at the least since then.
	log int64
}

// lockDir keeps other hosts out of dir; the kernel gives it free when the process dies.
func lockDir(dir string) (*dirLock, error) {
	path := filepath.Join(dir, LockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := files.RestrictFile(path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	content, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", path, err), f.Close())
	}
	pid, k := parseLock(content)
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = task.Errorf(task.CodeStoreUnavailable, "the data directory %s is in use by process %d: stop that host, or give this one another data_dir", dir, pid)
		} else {
			err = fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, errors.Join(err, f.Close())
	}
	return &dirLock{file: f, known: k}, nil
}

// parseLock reads what write wrote; zeros for what it can't read.
func parseLock(content []byte) (pid int, k lockRecord) {
	for line := range bytes.Lines(content) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 0 {
			continue
		}
		switch name {
		case "pid":
			pid = int(n)
		case "epoch":
			k.epoch = uint64(n)
		case "store":
			k.store = n
		case "mark":
			k.mark = n
		case "log":
			k.log = n
		}
	}
	return pid, k
}

// write records what is known, durably. It is one write of always the same
// length within a sector, so what a crash leaves is the old or the new.
func (l *dirLock) write(k lockRecord) error {
	text := fmt.Sprintf("pid %019d\nepoch %019d\nstore %019d\nmark %019d\nlog %019d\n", os.Getpid(), k.epoch, k.store, k.mark, k.log)
	if _, err := l.file.WriteAt([]byte(text), 0); err != nil {
		return fmt.Errorf("write %s: %w", LockName, err)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", LockName, err)
	}
	l.known = k
	return nil
}

func (l *dirLock) unlock() error { return l.file.Close() }

// damaged says that the store can't be read as one.
func damaged(path string, err error) error {
	return &task.Error{Code: task.CodeStoreUnavailable, Cause: err,
		Message: fmt.Sprintf("the store %s is damaged: run %s for what is wrong, and %s; it was not touched", path, storeCommand("check", path, ""), doRestore(path))}
}
