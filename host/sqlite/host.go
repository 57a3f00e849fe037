package sqlite

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// onlyHost is the host of a store in SQLite: the lock of the data directory keeps all
// others out.
const onlyHost task.HostID = "local"

// Host implements task.HostStore.
func (s *Store) Host() task.Host { return task.Host{ID: onlyHost, Epoch: s.epoch} }

// RenewLease implements task.HostStore. The lock on the data directory is the lease: it
// does not lapse while the store is open and can be written.
func (s *Store) RenewLease(ctx context.Context, _ time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.w.unusable()
}

// FenceLapsed implements task.HostStore: there is no other host.
func (s *Store) FenceLapsed(ctx context.Context) ([]task.HostID, error) { return nil, ctx.Err() }
