package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/taskhost/taskhost/host/task"
)

// Info implements task.InfoStore: the size is that of the file and of its log.
func (s *Store) Info(ctx context.Context) (task.StoreInfo, error) {
	info := task.StoreInfo{Place: filepath.Join(s.dir, FileName)}
	for _, name := range []string{info.Place, info.Place + "-wal"} {
		file, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && name != info.Place: // all of it is carried over
		case err != nil:
			return info, &task.Error{Code: task.CodeStoreUnavailable, Message: "the store's file is not there any more", Cause: err}
		default:
			info.Bytes += file.Size()
		}
	}
	return info, ctx.Err()
}
