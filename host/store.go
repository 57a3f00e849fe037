package host

import (
	"context"

	"github.com/taskhost/taskhost/host/sqlite"
)

// StoreFile is the store's name in the data directory.
const StoreFile = sqlite.FileName

// CheckStore looks the store of a data directory through and changes nothing; a
// host may be running on it.
func CheckStore(ctx context.Context, dataDir string) (sqlite.Report, error) {
	return sqlite.Check(ctx, dataDir)
}

// BackupStore writes a consistent copy of the store to file, which must not
// exist; a host may be running on it.
func BackupStore(ctx context.Context, dataDir, file string) error {
	return sqlite.Backup(ctx, dataDir, file)
}
