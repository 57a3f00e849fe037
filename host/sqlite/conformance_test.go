package sqlite

import (
	"testing"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/host/task/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) task.Store {
		s, err := Open(t.Context(), dir, Options{Fatal: func(err error) { t.Errorf("fatal: %v", err) }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
