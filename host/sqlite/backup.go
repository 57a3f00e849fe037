package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/taskhost/taskhost/host/files"
)

// Backup writes a consistent copy of the store to file, which must not exist. A
// host may be running on the store: it is read beside it. What fails leaves no
// file behind.
func Backup(ctx context.Context, dir, file string) error {
	path := filepath.Join(dir, FileName)
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("backup: there is no store: %w", err)
	}
	// Made here, so that nobody's file is written over and nobody else may read it.
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("backup: %s exists already; name a file that does not", file)
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	err = vacuumInto(ctx, path, file)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = files.SyncDir(filepath.Dir(file))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("backup to %s: %w", file, errors.Join(err, os.Remove(file)))
	}
	return nil
}

// vacuumInto writes the store at path into an empty file.
func vacuumInto(ctx context.Context, path, file string) error {
	// Not a reader as the others: with query_only, SQLite takes the copy for a
	// write to the store.
	db, err := sql.Open("sqlite3", dsn(path, url.Values{"mode": {"ro"}, "_busy_timeout": {"10000"}}))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, file)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	// The copy has a rollback journal; a store has a write-ahead log.
	conn, err := connect(writerDSN(file))
	if err != nil {
		return err
	}
	// It has no log of its own, and none is to be taken for its.
	f, err := readMeta(conn)
	if err == nil {
		f.store = 0
		err = writeMeta(conn, f)
	}
	return errors.Join(err, conn.Close())
}
