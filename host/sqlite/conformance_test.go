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
	storetest.RunOffers(t, open)
	storetest.RunTransactions(t, open)
	storetest.RunUploads(t, open)
	storetest.RunChanges(t, open)
	storetest.RunHosts(t, open)
}
