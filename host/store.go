package host

import (
	"context"

	"github.com/taskhost/taskhost/host/sqlite"
)

// CheckStore looks the store of a data directory through, also whether what is sealed in it can be opened
// with the keys beside it, and changes nothing; a host may be running on it.
func CheckStore(ctx context.Context, dataDir string) (sqlite.Report, error) {
	open, err := opener(dataDir)
	if err != nil {
		return sqlite.Report{}, err
	}
	return sqlite.Check(ctx, dataDir, open)
}

// RestoreStore makes a copy of file, a backup or another store's file, the store of
// a data directory in which no host may be running, and sets aside what was there.
func RestoreStore(ctx context.Context, dataDir, file string) (sqlite.Restored, error) {
	return sqlite.Restore(ctx, dataDir, file)
}

// BackupStore writes a consistent copy of the store to file, which must not
// exist; a host may be running on it.
func BackupStore(ctx context.Context, dataDir, file string) error {
	return sqlite.Backup(ctx, dataDir, file)
}
