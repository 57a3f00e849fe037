package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Backup writes a consistent copy of the store to file, which must not exist. A
// host may be running on the store: it is read beside it.
func Backup(ctx context.Context, dir, file string) error {
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("backup: %s exists already; name a file that does not", file)
	}
	path := filepath.Join(dir, FileName)
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("backup: there is no store: %w", err)
	}
	db, err := openReaders(path, 1)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, file)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("backup to %s: %w", file, err)
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
