package engine

import (
	"context"
	"slices"
	"sync"

	"github.com/taskhost/taskhost/host/task"
)

// countsAsFailed says of a task that it is told among those that failed. One that a worker
// found to be no use to anybody is not: it says nothing of what runs here.
func countsAsFailed(t *task.Task) bool {
	return t.State == task.Failed && !t.Trashed()
}

// failures are the tasks that failed last, for whoever looks at the host: a store finds
// them only by going through all tasks.
type failures struct {
	mu   sync.Mutex
	last []task.ID // the latest first
}

const (
	// failuresKept is how many are remembered, some of which may be retried or gone
	// when somebody looks.
	failuresKept = 100
	// failuresSought is how many of the newest tasks are looked through for those that
	// failed before this host began.
	failuresSought = 10_000
)

// add takes a task that has just failed.
func (f *failures) add(id task.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = slices.DeleteFunc(f.last, func(old task.ID) bool { return old == id })
	f.last = slices.Insert(f.last, 0, id)
	f.last = f.last[:min(len(f.last), failuresKept)]
}

// addEarlier takes tasks that failed before all that were added.
func (f *failures) addEarlier(ids []task.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		if len(f.last) < failuresKept && !slices.Contains(f.last, id) {
			f.last = append(f.last, id)
		}
	}
}

// ids are those of the tasks, the latest first.
func (f *failures) ids() []task.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.last)
}

// findFailures takes up what failed before this host began.
func (e *Engine) findFailures() {
	var found []task.Task
	f := task.Filter{Limit: task.MaxListLimit}
	for range failuresSought / task.MaxListLimit {
		page, err := e.store.List(e.ctx, task.Scope{All: true}, f)
		if err != nil { // it is being closed, or says so to whoever needs it more
			return
		}
		for i := range page.Tasks {
			if countsAsFailed(&page.Tasks[i]) {
				found = append(found, page.Tasks[i])
			}
		}
		if f.Cursor = page.Next; f.Cursor.IsZero() {
			break
		}
	}
	slices.SortFunc(found, func(a, b task.Task) int { return b.FinishedAt.Compare(a.FinishedAt) })
	ids := make([]task.ID, len(found))
	for i := range found {
		ids[i] = found[i].ID
	}
	e.failures.addEarlier(ids)
}

// lastFailed reads up to limit tasks that failed last and are failed still, the latest
// first.
func (e *Engine) lastFailed(ctx context.Context, s task.Scope, limit int) (out []task.Task, err error) {
	for _, id := range e.failures.ids() {
		t, err := e.store.Get(ctx, s, id)
		switch {
		case task.CodeOf(err) == task.CodeNotFound:
		case err != nil:
			return nil, err
		case countsAsFailed(&t):
			out = append(out, t.Stub())
		}
		if len(out) == limit {
			break
		}
	}
	return out, nil
}
