package sqlite

import (
	"testing"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/host/task/storetest"
)

func TestConformance(t *testing.T) {
	open := func(t *testing.T, dir string) *Store {
		s, err := Open(t.Context(), dir, Options{Fatal: func(err error) { t.Errorf("fatal: %v", err) }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	storetest.Run(t, func(t *testing.T, dir string) task.Store { return open(t, dir) })
	t.Run("two handles", func(t *testing.T) {
		// One host at a time may open a store in SQLite: both handles are on one that is open.
		opened := map[string]*sharedStore{}
		storetest.RunOnTwoHandles(t, func(t *testing.T, dir string) task.Store {
			s := opened[dir]
			if s == nil || s.handles == 0 {
				s = &sharedStore{Store: open(t, dir)}
				opened[dir] = s
			}
			s.handles++
			return s
		})
	})
	storetest.RunOffers(t, open)
	storetest.RunTransactions(t, open)
	storetest.RunUploads(t, open)
	storetest.RunChanges(t, open)
	storetest.RunHosts(t, open)
	storetest.RunInfo(t, open)
	storetest.RunGroups(t, open)
	storetest.RunChildren(t, open)
	storetest.RunResources(t, open)
	t.Run("few claims are kept", func(t *testing.T) {
		storetest.RunResources(t, func(t *testing.T, dir string) *Store {
			s := open(t, dir)
			s.w.resources.kept = claimsKept - 3
			return s
		})
	})
	storetest.RunSchedules(t, open)
	storetest.RunBacklog(t, open)
	storetest.RunTypes(t, open)
	storetest.RunLimits(t, open)
	storetest.RunQuotas(t, open)
	storetest.RunIdentity(t, open)
}

// sharedStore is closed with the last of its handles.
type sharedStore struct {
	*Store
	handles int
}

func (s *sharedStore) Close() error {
	if s.handles--; s.handles > 0 {
		return nil
	}
	return s.Store.Close()
}
