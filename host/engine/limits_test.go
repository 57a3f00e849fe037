package engine_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// unpolled is an engine which nothing but wake-ups moves.
func unpolled(t *testing.T, o engine.Options) *rig {
	t.Helper()
	store := openStore(t, t.TempDir())
	o.Store, o.DrainTimeout = store, 10*time.Millisecond
	e := engine.New(o)
	e.NoPolls()
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	return &rig{e, t, store}
}

// counted is a script that knows how many of it run at once at the most.
type counted struct{ now, most atomic.Int64 }

func (c *counted) run(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
	n := c.now.Add(1)
	for was := c.most.Load(); n > was && !c.most.CompareAndSwap(was, n); was = c.most.Load() {
	}
	time.Sleep(time.Millisecond) // work
	c.now.Add(-1)
	return sdk.Result{}, nil
}

// ranTwoAtOnce waits for tasks, each of which is to succeed at its first attempt, with no more
// than two under way at any time, and for the slots of both executors.
func (r *rig) ranTwoAtOnce(ids []task.ID, c *counted) {
	r.t.Helper()
	for _, id := range ids {
		if got := r.wait(id); got.State != task.Succeeded || got.Attempt != 1 {
			r.t.Errorf("%s after %d attempts", got.State, got.Attempt)
		}
	}
	if most := c.most.Load(); most > 2 {
		r.t.Errorf("%d at once", most)
	}
	r.until("all slots are free", func() bool {
		x := r.Executors()
		return x[0].Used == 0 && x[1].Used == 0
	})
}

// Where a limit is reached the next task begins as soon as one ends, on whichever executor
// it waits, and no slot is lost to a task that was begun as it was made and held back.
func TestEndOfAnAttemptWakesWhoeverWaitsForTheLimit(t *testing.T) {
	for name, limits := range map[string][]task.Concurrency{
		"in all": {{Max: 2}}, "by owner": {{Max: 2, By: task.ByOwner}}, "by label": {{Max: 1, By: "label:tenant"}}, "one of several": {{Max: 9}, {Max: 2, By: "label:none"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := &counted{}
			a, _ := sdk.NewScripts(script("work", c.run))
			b, _ := sdk.NewScripts(script("work", c.run))
			r := unpolled(t, engine.Options{Executors: []registry.Binding{{Name: "a", Executor: a, Slots: 20}, {Name: "b", Executor: b, Slots: 20}},
				Types: map[string]task.TypeConfig{"work": {Concurrency: limits}}})
			var ids []task.ID
			for i := range 60 {
				ids = append(ids, r.submit(task.Spec{Executor: []string{"a", "b", ""}[i%3], Labels: map[string]string{"tenant": strconv.Itoa(i % 2)}}).ID)
			}
			r.ranTwoAtOnce(ids, c)
		})
	}
}

// A rate has the next task begin when it lets it, without anybody looking.
func TestRateWakes(t *testing.T) {
	c := &counted{}
	a, _ := sdk.NewScripts(script("work", c.run))
	r := unpolled(t, engine.Options{Executors: []registry.Binding{{Name: "a", Executor: a}}, Types: map[string]task.TypeConfig{"work": {Rate: &task.Rate{PerSecond: 50, Burst: 2}}}})
	var ids []task.ID
	for range 10 {
		ids = append(ids, r.submit(task.Spec{}).ID)
	}
	first, last := time.Time{}, time.Time{}
	for _, id := range ids {
		at := r.wait(id).StartedAt
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	if took := last.Sub(first); took < 8*20*time.Millisecond-time.Millisecond {
		t.Errorf("ten began within %s, two at once and then 50 a second", took)
	}
}

// A limit, a pause and a resume that are put hold for tasks that wait already, at once.
func TestPutTypesAreInForceAtOnce(t *testing.T) {
	g := newGate()
	a, _ := sdk.NewScripts(script("work", g.run))
	r := unpolled(t, engine.Options{Executors: []registry.Binding{{Name: "a", Executor: a}}})
	put := func(limits []task.Concurrency) {
		t.Helper()
		if _, created, err := r.PutType(t.Context(), me, task.TypeSpec{Name: "work", TypeConfig: task.TypeConfig{Concurrency: limits}}); err != nil || created {
			t.Fatalf("created %v, %v", created, err)
		}
	}
	put([]task.Concurrency{{Max: 1}})
	first, second, third := r.submit(task.Spec{}).ID, r.submit(task.Spec{}).ID, r.submit(task.Spec{}).ID
	if got := r.get(second); got.State != task.Pending || got.WaitReason == "" || got.Waiting != task.WaitQueued {
		t.Fatalf("the second is %s %s (%s)", got.State, got.Waiting, got.WaitReason)
	}
	put([]task.Concurrency{{Max: 2}})
	r.until("the second runs", func() bool { return r.get(second).State == task.Running })
	if _, err := r.ControlType(t.Context(), me, "work", "pause"); err != nil {
		t.Fatal(err)
	}
	put(nil)
	if got := r.get(third); got.State != task.Pending || got.Waiting != task.WaitPaused {
		t.Fatalf("the third is %s %s", got.State, got.Waiting)
	}
	if _, err := r.ControlType(t.Context(), me, "work", "resume"); err != nil {
		t.Fatal(err)
	}
	r.until("the third runs", func() bool { return r.get(third).State == task.Running })
	close(g.let)
	for _, id := range []task.ID{first, second, third} {
		r.wait(id)
	}
}

// A deadline of a type is that of the whole task, and a retry by hand has it anew.
func TestDeadlineOfAType(t *testing.T) {
	a, _ := sdk.NewScripts(script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
		return sdk.Result{}, errors.New("no")
	}))
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "a", Executor: a}},
		Types: map[string]task.TypeConfig{"work": {Deadline: time.Hour, MaxAttempts: 1}}})
	sub := r.submit(task.Spec{})
	got := r.wait(sub.ID)
	if !got.Deadline.Equal(got.CreatedAt.Add(time.Hour)) {
		t.Errorf("deadline %s, created %s", got.Deadline, got.CreatedAt)
	}
	again, err := r.Retry(t.Context(), me, sub.ID)
	if err != nil || !again.Deadline.Equal(again.RunAt.Add(time.Hour)) || !again.Deadline.After(got.Deadline) {
		t.Errorf("after a retry %s, %v", again.Deadline, err)
	}
	r.wait(sub.ID)
}

// An executor's word is laid below all others', and what of it can't be is left out.
func TestLimitsOfAnOffer(t *testing.T) {
	x := newOffering(sdk.Info{Types: []sdk.TypeInfo{{Name: "work", Defaults: sdk.Defaults{QueueLimit: 5, Priority: 3, Concurrency: []sdk.Concurrency{{Max: 4, By: "owner"}}, Rate: sdk.Rate{PerSecond: 7}}},
		{Name: "odd", Defaults: sdk.Defaults{Concurrency: []sdk.Concurrency{{Max: -1}}, Rate: sdk.Rate{PerSecond: -7}, QueueLimit: -3}}}})
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x}},
		Types: map[string]task.TypeConfig{"work": {Priority: 9}}})
	got, err := r.Type(me, "work")
	if l := got.Limits; err != nil || l.QueueLimit != 5 || l.Priority != 9 || len(l.Concurrency) != 1 || l.Concurrency[0] != (task.Concurrency{Max: 4, By: "owner"}) || l.Rate.PerSecond != 7 {
		t.Errorf("%+v, %v", got.Limits, err)
	}
	if got.Origins["queue_limit"] != task.OriginExecutor || got.Origins["priority"] != task.OriginConfig || got.Origins["timeout"] != task.OriginDefault {
		t.Errorf("%v", got.Origins)
	}
	got, err = r.Type(me, "odd")
	if l := got.Limits; err != nil || len(l.Concurrency) != 0 || l.Rate != (task.Rate{}) || l.QueueLimit != 0 {
		t.Errorf("%+v, %v", got.Limits, err)
	}
}
