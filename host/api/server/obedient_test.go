package server_test

import (
	"context"
	"testing"

	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/board"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/task"
)

// obedient does all that it is asked, or fails with err: what a healthy host with built-in
// executors has no occasion to answer.
type obedient struct {
	server.Service
	err error
}

func (o obedient) Submit(context.Context, task.Scope, []task.Spec, *task.Idempotency) ([]task.Task, bool, error) {
	return nil, false, o.err
}
func (o obedient) Get(context.Context, task.Scope, task.ID) (task.Task, error) {
	return task.Task{}, o.err
}
func (o obedient) OwnerUse(context.Context, string) (task.OwnerUse, error) {
	return task.OwnerUse{}, o.err
}
func (o obedient) OwnerUses(context.Context) ([]task.OwnerUse, error) { return nil, o.err }
func (o obedient) ByKey(context.Context, task.Scope, string, string) (task.Task, error) {
	return task.Task{}, o.err
}
func (o obedient) Events(context.Context, task.Scope, *task.EventFilter, int64) (task.EventPage, error) {
	return task.EventPage{}, o.err
}
func (o obedient) List(context.Context, task.Scope, task.Filter) (task.Page, error) {
	return task.Page{}, o.err
}
func (o obedient) Cancel(context.Context, task.Scope, task.ID) (task.Task, error) {
	return task.Task{}, o.err
}
func (o obedient) Retry(context.Context, task.Scope, task.ID) (task.Task, error) {
	return task.Task{}, o.err
}
func (o obedient) Pause(context.Context, task.Scope, task.ID) (task.Task, error) {
	return task.Task{}, o.err
}
func (o obedient) Resume(context.Context, task.Scope, task.ID) (task.Task, error) {
	return task.Task{}, o.err
}
func (o obedient) SubmitAction(context.Context, task.Scope, task.Action, *task.Idempotency) (task.Task, bool, error) {
	return task.Task{}, false, o.err
}
func (o obedient) CountAction(context.Context, task.Scope, task.Action) (int64, error) {
	return 0, o.err
}
func (o obedient) Spawn(context.Context, task.Token, []task.Spec, *task.Idempotency) ([]task.Task, bool, error) {
	return nil, false, o.err
}
func (o obedient) Tree(context.Context, task.Scope, task.ID, int) (*task.Tree, error) {
	return nil, o.err
}
func (o obedient) Delete(context.Context, task.Scope, task.ID) error { return o.err }
func (o obedient) SubmitGroup(context.Context, task.Scope, group.Spec, []task.Spec, *task.Idempotency) (group.Group, bool, error) {
	return group.Group{}, false, o.err
}
func (o obedient) Group(context.Context, task.Scope, task.ID) (group.Group, error) {
	return group.Group{}, o.err
}
func (o obedient) Groups(context.Context, task.Scope, group.Filter) (group.Page, error) {
	return group.Page{}, o.err
}
func (o obedient) CloseGroup(context.Context, task.Scope, task.ID) (group.Group, error) {
	return group.Group{}, o.err
}
func (o obedient) CancelGroup(context.Context, task.Scope, task.ID) (group.Group, error) {
	return group.Group{}, o.err
}
func (o obedient) RetryGroup(context.Context, task.Scope, task.ID) (group.Group, error) {
	return group.Group{}, o.err
}
func (o obedient) DeleteGroup(context.Context, task.Scope, task.ID) error { return o.err }
func (o obedient) Resources(context.Context, task.Scope, string, int) (resource.Page, error) {
	return resource.Page{}, o.err
}
func (o obedient) Resource(context.Context, task.Scope, string) (resource.Resource, error) {
	return resource.Resource{}, o.err
}
func (o obedient) CreateSchedule(context.Context, task.Scope, schedule.Spec) (schedule.Schedule, error) {
	return schedule.Schedule{}, o.err
}
func (o obedient) Schedule(context.Context, task.Scope, task.ID) (schedule.Schedule, error) {
	return schedule.Schedule{}, o.err
}
func (o obedient) Schedules(context.Context, task.Scope, schedule.Filter) (schedule.Page, error) {
	return schedule.Page{}, o.err
}
func (o obedient) ChangeSchedule(context.Context, task.Scope, task.ID, func(*schedule.Spec) error) (schedule.Schedule, error) {
	return schedule.Schedule{}, o.err
}
func (o obedient) DeleteSchedule(context.Context, task.Scope, task.ID) error { return o.err }
func (o obedient) RunSchedule(context.Context, task.Scope, task.ID) (task.Task, error) {
	return task.Task{}, o.err
}
func (o obedient) Type(task.Scope, string) (task.TypeStatus, error) { return task.TypeStatus{}, o.err }
func (o obedient) PutType(context.Context, task.Scope, task.TypeSpec) (task.TypeStatus, bool, error) {
	return task.TypeStatus{}, false, o.err
}
func (o obedient) ControlType(context.Context, task.Scope, string, string) (task.TypeStatus, error) {
	return task.TypeStatus{}, o.err
}
func (o obedient) DeleteType(context.Context, task.Scope, string, bool) error { return o.err }
func (o obedient) ClaimTasks(context.Context, board.Request) ([]board.Claim, []task.Task, error) {
	return nil, nil, o.err
}
func (o obedient) RenewClaim(context.Context, task.Scope, task.Token) (board.Heard, error) {
	return board.Heard{}, o.err
}
func (o obedient) ClaimProgress(context.Context, task.Scope, task.Token, task.Progress) (board.Heard, error) {
	return board.Heard{}, o.err
}
func (o obedient) ClaimLog(context.Context, task.Scope, task.Token, []board.Line) (board.Heard, error) {
	return board.Heard{}, o.err
}
func (o obedient) ClaimCheckpoint(context.Context, task.Scope, task.Token, []byte) (board.Heard, error) {
	return board.Heard{}, o.err
}
func (o obedient) MaxClaimResult(context.Context, task.Scope, task.Token) (int64, error) {
	return 1 << 10, o.err
}
func (o obedient) FinishClaim(context.Context, task.Scope, task.Token, string, []byte) error {
	return o.err
}
func (o obedient) AbandonClaims([]board.Claim) {}
func (o obedient) FailClaim(context.Context, task.Scope, task.Token, board.Failure) error {
	return o.err
}
func (o obedient) ReleaseClaim(context.Context, task.Scope, task.Token) error { return o.err }
func (o obedient) TrashClaim(context.Context, task.Scope, task.Token, string) error {
	return o.err
}
func (o obedient) ControlExecutor(context.Context, string, string) (task.ExecutorStatus, error) {
	return task.ExecutorStatus{State: task.ExecutorReady}, o.err
}
func (o obedient) ControlNode(context.Context, string, string) (task.Node, error) {
	return task.Node{}, o.err
}
func (o obedient) AttemptInput(task.Token) ([]byte, error)                     { return nil, nil }
func (o obedient) AttemptChildren(context.Context, task.Token) ([]byte, error) { return nil, o.err }
func (o obedient) PutAttemptResult(context.Context, task.Token, string, []byte) error {
	return o.err
}
func (o obedient) Ready(context.Context) (task.Readiness, error) { return task.Readiness{}, o.err }

// serveAs serves a service in the place of an engine.
func serveAs(t *testing.T, svc server.Service, opts server.Options) *testServer {
	t.Helper()
	r := &testServer{t: t, log: &syncBuffer{}}
	opts.Log = newLog(r.log)
	r.listen(server.NewHandler(svc, opts), nil)
	return r
}
