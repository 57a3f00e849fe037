// Package sqlite keeps tasks in SQLite: one writer with group commit, readers
// beside it, and the heads of the lanes in memory.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/taskhost/taskhost/host/files"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/task"
)

// FileName is the store's file in the data directory.
const FileName = "taskhost.db"

// Options tune a store. The zero value is right for most.
type Options struct {
	// Fatal is called, on the writer's goroutine, when the disk refuses to make a
	// commit durable: what is on disk is unknown then, so the process must end and
	// the store be opened anew. Nil logs the error and exits with status 74 (EX_IOERR).
	// Should Fatal return, the store answers every write with store_unavailable.
	Fatal func(error)
	// AcceptOlder opens a store that is older than what was opened in the directory
	// last, or whose log is gone or cut: what was acknowledged since is lost then,
	// which the operator must have accepted. Without it such a store is refused.
	AcceptOlder bool
	// Readers bounds the read connections; 0 means 4, or one a core if that is more.
	Readers int
}

// Store is a task.Store, and keeps the other ports of host/task, in a data directory.
// It is one host's alone. Its methods are safe for many callers at once.
type Store struct {
	dir   string
	lock  *dirLock
	w     *writer
	lanes *lane.Set
	db    *sql.DB // readers
	epoch uint64

	quotas      sync.Mutex // one change of them at a time
	countsBytes bool       // guarded by quotas

	following sync.Mutex // the feed begins to be followed
	recalling sync.Mutex // what is on record of before is read

	expiryMu      sync.Mutex
	expiryScanned int64

	closeOnce sync.Once
	closeErr  error
}

var (
	_ task.Store            = (*Store)(nil)
	_ task.OfferStore       = (*Store)(nil)
	_ task.HostStore        = (*Store)(nil)
	_ task.TransactionStore = (*Store)(nil)
	_ task.ChangeFeed       = (*Store)(nil)
	_ task.UploadStore      = (*Store)(nil)
	_ task.InfoStore        = (*Store)(nil)
	_ task.SignalStore      = (*Store)(nil)
	_ task.ChildStore       = (*Store)(nil)
	_ group.Store           = (*Store)(nil)
	_ resource.Store        = (*Store)(nil)
	_ schedule.Store        = (*Store)(nil)
	_ task.TypeStore        = (*Store)(nil)
	_ task.LimitStore       = (*Store)(nil)
	_ task.QuotaStore       = (*Store)(nil)
)

// Open opens the store in dir, making it if dir holds none, and keeps every other
// host out of dir until Close. It refuses a directory in use, a store of a newer
// schema, one that is damaged, one whose file or log has gone, and one that is not
// what was opened there last. ctx bounds the opening only.
func Open(ctx context.Context, dir string, opts Options) (*Store, error) {
	if err := files.MakePrivateDir(dir); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, dir, lock, opts)
	if err != nil {
		return nil, errors.Join(err, lock.unlock())
	}
	return s, nil
}

func open(ctx context.Context, dir string, lock *dirLock, opts Options) (_ *Store, err error) {
	path := filepath.Join(dir, FileName)
	if err := refuseUnusableFile(path, lock.known, opts.AcceptOlder); err != nil {
		return nil, err
	}
	if err := private(path); err != nil {
		return nil, err
	}
	if err := migrate(ctx, path); err != nil {
		return nil, err
	}
	conn, err := connect(writerDSN(path))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	s := &Store{dir: dir, lock: lock, lanes: lane.NewSet()}
	s.w = &writer{conn: conn, lanes: s.lanes, fatal: opts.Fatal, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.w.st.close(), conn.Close())
		}
	}()
	if s.w.fatal == nil {
		s.w.fatal = exit
	}
	if err := verifyDurable(conn); err != nil {
		return nil, err
	}
	if s.w.st, err = prepareAll(conn); err != nil {
		return nil, err
	}
	if err := setCache(conn, countingCache); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := s.w.load(); err != nil {
		return nil, damaged(path, err)
	}
	if err := setCache(conn, writerCache); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if s.countsBytes, err = s.w.resumeCounting(); err != nil {
		return nil, err
	}
	if err := s.identify(conn); err != nil {
		return nil, err
	}
	readers := opts.Readers
	if readers <= 0 {
		readers = max(4, runtime.NumCPU())
	}
	if s.db, err = openReaders(path, readers); err != nil {
		return nil, err
	}
	if err := s.w.nameClaims(); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	go s.w.loop()
	return s, nil
}

// private makes the store's file, if there is none, and takes what is there from
// others than its owner: SQLite makes one that all may read, and the log and what goes
// with it with the mode of the file.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm", path + "-journal"} {
		if err := files.RestrictFile(name); err != nil {
			return err
		}
	}
	return nil
}

// exit is what Options.Fatal does if nobody says otherwise.
func exit(err error) {
	log.Printf("the store can no longer be written durably, ending: %v", err)
	os.Exit(74)
}

// Close lets what is queued finish, carries the write-ahead log over and gives
// the data directory free. Later writes fail with store_unavailable.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.w.stop()
		s.closeErr = errors.Join(s.db.Close(), s.w.st.close(), s.w.conn.Close(), s.lock.unlock())
	})
	return s.closeErr
}
