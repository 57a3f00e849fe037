package engine_test

import (
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// Where an owner has as many attempts under way as it may, the next begins as soon as one ends,
// of whichever type it is and on whichever executor it waits.
func TestEndOfAnAttemptWakesWhoeverWaitsForTheQuota(t *testing.T) {
	c := &counted{}
	a, _ := sdk.NewScripts(script("work", c.run))
	b, _ := sdk.NewScripts(script("other", c.run))
	r := unpolled(t, engine.Options{Executors: []registry.Binding{{Name: "a", Executor: a, Slots: 20}, {Name: "b", Executor: b, Slots: 20}},
		Quotas: task.Quotas{Default: task.Quota{Running: 2}}})
	var ids []task.ID
	for i := range 60 {
		ids = append(ids, r.submit(task.Spec{Type: []string{"work", "other"}[i%2]}).ID)
	}
	r.ranTwoAtOnce(ids, c)
}

// A quota that is raised lets begin what waits, and nobody need look.
func TestQuotaIsRaised(t *testing.T) {
	g := newGate()
	x, _ := sdk.NewScripts(script("work", g.run))
	r := unpolled(t, engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x, Slots: 20}}, Quotas: task.Quotas{Default: task.Quota{Running: 1}}})
	for range 10 {
		r.submit(task.Spec{})
	}
	for running := range int64(10) {
		if err := r.SetQuotas(t.Context(), task.Quotas{Default: task.Quota{Running: running + 1}}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-g.began:
		case <-time.After(20 * time.Second):
			t.Fatalf("%d run", running)
		}
	}
	close(g.let)
}

// What the host submits for an owner is under its quota, says so, and is tried again.
func TestQuotaOfWhatTheHostSubmits(t *testing.T) {
	g := newGate()
	x, _ := sdk.NewScripts(script("work", g.run))
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x, Slots: 1}}, Quotas: task.Quotas{Default: task.Quota{Waiting: 1}}})
	r.submit(task.Spec{})
	<-g.began
	waits := r.submit(task.Spec{})
	made, _, err := r.SubmitGroup(t.Context(), me, group.Spec{OnFinished: &task.Spec{Type: "work"}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.until("the group says why it has no finisher", func() bool {
		got, err := r.Group(t.Context(), me, made.ID)
		return err == nil && got.Problem == `the quota of owner "me" is 1 waiting tasks: 1 wait already, and 1 would come; try again when some have begun, or cancel some`
	})
	if _, err := r.Cancel(t.Context(), me, waits.ID); err != nil {
		t.Fatal(err)
	}
	r.until("the group has its finisher", func() bool {
		got, err := r.Group(t.Context(), me, made.ID)
		return err == nil && !got.Finisher.IsZero()
	})
	// What was canceled comes into the queue again only if there is room.
	if _, err := r.Retry(t.Context(), me, waits.ID); task.CodeOf(err) != task.CodeQuotaExceeded {
		t.Errorf("a retry: %v", err)
	}
	close(g.let)
}
