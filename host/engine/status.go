package engine

import (
	"context"

	"github.com/taskhost/taskhost/host/task"
)

// What one look at a host shows of what may be many.
const (
	backlogShown = 50
	failedShown  = 10
	problemShown = 10
)

// Status is the host at one look: of tasks, those of the scope. It reads no more of the
// store than a bounded number of rows.
func (e *Engine) Status(ctx context.Context, s task.Scope) task.HostStatus {
	h := task.HostStatus{StartedAt: e.started}
	h.Readiness, h.Unready = e.Ready(ctx)
	h.Executors = e.Executors()
	h.Tasks, h.Backlog = e.registry.Backlog(ctx, s, backlogShown)
	h.FullQueues = e.registry.FullQueues(backlogShown)
	h.Problems = e.problems(ctx, s)
	h.Failed, h.StoreFault = e.lastFailed(ctx, s, failedShown)
	if h.StoreFault == nil {
		h.Store, h.StoreFault = e.store.Info(ctx)
	}
	return h
}

// problems are the newest groups and schedules that cannot submit their tasks. A store that
// can't be read says so elsewhere.
func (e *Engine) problems(ctx context.Context, s task.Scope) (out []task.Problem) {
	groups, _ := e.store.GroupProblems(ctx, s, problemShown)
	for i := range groups {
		g := &groups[i]
		out = append(out, task.Problem{Kind: "group", ID: g.ID, Name: g.Name, Reason: g.Problem})
	}
	schedules, _ := e.store.ScheduleProblems(ctx, s, problemShown)
	for i := range schedules {
		d := &schedules[i]
		out = append(out, task.Problem{Kind: "schedule", ID: d.ID, Name: d.Name, Reason: d.Problem})
	}
	return out
}
