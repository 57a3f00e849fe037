package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// by is who made each transition of a task, as "state by whom".
func (r *rig) by(id task.ID) string {
	r.t.Helper()
	events, err := r.History(r.t.Context(), me, id, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, e := range events {
		out = append(out, e.To.String()+" by "+e.By)
	}
	return strings.Join(out, ", ")
}

// wantBy is by, where a task that found no slot yet, and so waited, is as good as one that
// began at once: who saw the end of another may be quicker than its slot is free.
func (r *rig) wantBy(what string, id task.ID, want string) {
	r.t.Helper()
	got := r.by(id)
	rest, waited := strings.CutPrefix(got, "pending by me, running by host")
	if waited && strings.HasPrefix(want, "running by me") {
		got = "running by me" + rest
	}
	if got != want {
		r.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// TestHistorySaysWho: every transition has who made it, and through what.
func TestHistorySaysWho(t *testing.T) {
	g := newGate()
	rests := make(chan string, 10)
	r := scripts(t, 1, quick, script("work", g.run),
		script("good", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }),
		script("bad", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
			return sdk.Result{}, errors.New("no luck")
		}),
		script("rest", func(ctx context.Context, t sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
			rests <- t.ID
			<-ctx.Done()
			return sdk.Result{}, context.Cause(ctx)
		}))
	good := r.submit(task.Spec{Type: "good"}).ID
	r.wait(good)
	r.wantBy("a client and an executor", good, "running by me, succeeded by executor x")
	bad := r.submit(task.Spec{Type: "bad", MaxAttempts: 1}).ID
	r.wait(bad)
	if _, err := r.Retry(t.Context(), me, bad); err != nil {
		t.Fatal(err)
	}
	r.wait(bad)
	r.wantBy("a retry", bad, "running by me, failed by executor x, pending by me, running by host, failed by executor x")
	slow := r.submit(task.Spec{Type: "work", Timeout: time.Millisecond, MaxAttempts: 1}).ID
	r.wait(slow)
	<-g.began
	r.wantBy("a timeout", slow, "running by me, failed by host")

	paused := r.submit(task.Spec{Type: "rest"}).ID
	<-rests
	if _, err := r.Pause(t.Context(), me, paused); err != nil {
		t.Fatal(err)
	}
	r.until("it rests", func() bool { return r.get(paused).Waiting == task.WaitPaused })
	events, err := r.History(t.Context(), me, paused, 0)
	if last := len(events) - 1; err != nil || events[last].Message != "paused by me" || events[last].By != "executor x" {
		t.Errorf("a pause: %+v, %v", events, err)
	}

	// One waits behind another, and each is ended through something else.
	first := r.submit(task.Spec{Type: "work"})
	<-g.began
	a, _, err := r.SubmitAction(t.Context(), me, task.Action{Action: "cancel", Filter: task.Filter{Types: []string{"work"}, States: []task.State{task.Running}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.wait(first.ID)
	r.wantBy("an action", first.ID, "running by me, canceling by "+task.Via("me", "action", a.ID)+", canceled by executor x")
	if f := r.get(first.ID).Error; f == nil || f.Message != "canceled by "+task.Via("me", "action", a.ID) {
		t.Errorf("its error is %+v", f)
	}

	gr, _, err := r.SubmitGroup(t.Context(), me, group.Spec{OnFinished: &task.Spec{Type: "good"}}, []task.Spec{{Type: "bad", MaxAttempts: 1}, {Type: "good", RunAt: time.Now().Add(time.Hour)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.List(t.Context(), me, task.Filter{Group: gr.ID, Ascending: true})
	if err != nil {
		t.Fatal(err)
	}
	r.wait(p.Tasks[0].ID)
	through := task.Via("me", "group", gr.ID)
	if _, err := r.RetryGroup(t.Context(), me, gr.ID); err != nil {
		t.Fatal(err)
	}
	r.wait(p.Tasks[0].ID)
	if _, err := r.CancelGroup(t.Context(), me, gr.ID); err != nil {
		t.Fatal(err)
	}
	r.wait(p.Tasks[1].ID)
	r.wantBy("a group's retry", p.Tasks[0].ID, "running by me, failed by executor x, pending by "+through+", running by host, failed by executor x")
	r.wantBy("a group's cancel", p.Tasks[1].ID, "pending by me, canceled by "+through)
	r.until("the group has its finisher", func() bool {
		gr, err = r.Group(t.Context(), me, gr.ID)
		return err == nil && !gr.Finisher.IsZero()
	})
	r.wait(gr.Finisher)
	r.wantBy("a finisher", gr.Finisher, "pending by "+through+", running by host, succeeded by executor x")

	s, err := r.CreateSchedule(t.Context(), me, schedule.Spec{Name: "s", Every: time.Hour, Task: task.Spec{Type: "good"}})
	if err != nil {
		t.Fatal(err)
	}
	run, err := r.RunSchedule(t.Context(), me, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	r.wait(run.ID)
	r.wantBy("a schedule", run.ID, "pending by "+task.Via("me", "schedule", s.ID)+", running by host, succeeded by executor x")

	late := r.submit(task.Spec{Type: "good", RunAt: time.Now().Add(time.Hour), Deadline: time.Now().Add(10 * time.Millisecond)}).ID
	r.wait(late)
	r.wantBy("a deadline", late, "pending by me, failed by host")
}

// TestChildrenSayWho: a child was made through its parent, and canceled through it by who
// canceled that, down the tree.
func TestChildrenSayWho(t *testing.T) {
	g := newGate()
	tokens := make(chan sdk.Token, 2)
	r := scripts(t, 2, nil, script("work", func(ctx context.Context, st sdk.Task, rep sdk.Reporter) (sdk.Result, error) {
		tokens <- st.Token
		return g.run(ctx, st, rep)
	}))
	spawn := func(token sdk.Token, spec task.Spec) task.Task {
		spec.Type = "work"
		children, _, err := r.Spawn(t.Context(), task.Token(token), []task.Spec{spec}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return children[0]
	}
	top := r.submit(task.Spec{})
	child := spawn(<-tokens, task.Spec{Parent: top.ID})
	waits := spawn(<-tokens, task.Spec{Parent: child.ID, RunAt: time.Now().Add(time.Hour)})
	if _, err := r.Cancel(t.Context(), task.Scope{Owner: "admin", All: true}, top.ID); err != nil {
		t.Fatal(err)
	}
	for _, id := range []task.ID{top.ID, child.ID, waits.ID} {
		r.wait(id)
	}
	r.wantBy("the child", child.ID, "running by "+task.Via("me", "task", top.ID)+", canceling by "+task.Via("admin", "task", top.ID)+", canceled by executor x")
	r.wantBy("its child", waits.ID, "pending by "+task.Via("me", "task", child.ID)+", canceled by "+task.Via("admin", "task", child.ID))
}

// TestRecoverySaysWho: what the host that died left behind is settled by the next, and what
// a fleet says of it is the fleet's word.
func TestRecoverySaysWho(t *testing.T) {
	x := &remote{calls: make(chan call, 2)}
	list := []registry.Binding{{Name: "x", Slots: 1, Executor: x}}
	dir := t.TempDir()
	store := openStore(t, dir)
	r := start(t, store, engine.Options{Executors: list})
	id := r.submit(task.Spec{}).ID
	c := <-x.calls
	if err := c.r.Started([]byte("h"), "w1"); err != nil {
		t.Fatal(err)
	}
	r.Close(context.Background())
	store.Close()
	r = start(t, openStore(t, dir), engine.Options{Executors: list})
	c = <-x.calls
	c.done <- sdk.ErrLost
	c = <-x.calls
	if err := c.r.Started([]byte("h"), "w2"); err != nil {
		t.Fatal(err)
	}
	c.done <- nil
	r.wait(id)
	r.wantBy("an attempt that was lost", id, "pending by me, running by host, pending by host, pending by host, running by host, succeeded by executor x")
}
