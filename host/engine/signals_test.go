package engine_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// meeting is a store that writes no decision before as many as want are on their way.
type meeting struct {
	*sqlite.Store
	t       *testing.T
	coming  atomic.Int64
	want    int64
	allHere chan struct{}
}

func (m *meeting) meet() {
	if m.coming.Add(1) == m.want {
		close(m.allHere)
	}
	select {
	case <-m.allHere:
	case <-time.After(20 * time.Second):
		m.t.Error("a decision waits for the one before it")
	}
}

func (m *meeting) FinishGroup(ctx context.Context, id task.ID, finisher *task.Task, used task.Signal) error {
	m.meet()
	return m.Store.FinishGroup(ctx, id, finisher, used)
}

func (m *meeting) ChangeSchedule(ctx context.Context, s schedule.Schedule, run *task.Task) error {
	m.meet()
	return m.Store.ChangeSchedule(ctx, s, run)
}

// What is to be decided at once is: each decision is a commit, and those that come together
// share one.
func TestDecisionsAreMadeTogether(t *testing.T) {
	x, err := sdk.NewScripts(script("work", nothing))
	if err != nil {
		t.Fatal(err)
	}
	for name, give := range map[string]func(store *sqlite.Store, id task.ID) error{
		"finishers": func(store *sqlite.Store, id task.ID) error {
			g, err := group.New(id, me.Owner, group.Spec{OnFinished: &task.Spec{Type: "work"}}, time.Now())
			if err == nil {
				_, err = store.CreateGroup(t.Context(), &g, task.Submission{})
			}
			return err
		},
		"schedules": func(store *sqlite.Store, id task.ID) error {
			s, err := schedule.New(id, me.Owner, schedule.Spec{Name: id.String(), Every: 24 * time.Hour, Task: task.Spec{Type: "work"}}, time.Now().Add(-25*time.Hour), 0)
			if err == nil {
				err = store.CreateSchedule(t.Context(), s)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &meeting{Store: openStore(t, t.TempDir()), t: t, want: 5, allHere: make(chan struct{})}
			for range m.want {
				id, err := engine.NewID()
				if err != nil {
					t.Fatal(err)
				}
				if err := give(m.Store, id); err != nil {
					t.Fatal(err)
				}
			}
			e := engine.New(engine.Options{Store: m, DrainTimeout: 10 * time.Millisecond, Executors: []registry.Binding{{Name: "x", Slots: 1, Executor: x}}})
			if err := e.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { e.Close(context.Background()) })
			r := &rig{e, t, m.Store}
			r.until("each has run", func() bool {
				p, err := r.List(t.Context(), me, task.Filter{States: []task.State{task.Succeeded}})
				return err == nil && int64(len(p.Tasks)) == m.want
			})
		})
	}
}
