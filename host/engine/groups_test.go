package engine_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// The finisher runs once, after the last member, and gets the group as it is then.
func TestFinisherRunsAfterTheLastMember(t *testing.T) {
	var done atomic.Int64
	var reports atomic.Int64
	r := scripts(t, 4, nil,
		script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
			done.Add(1)
			return sdk.Result{}, nil
		}),
		script("report", func(_ context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
			reports.Add(1)
			if done.Load() != 20 {
				t.Errorf("the finisher runs after %d of 20 members", done.Load())
			}
			return sdk.Result{ContentType: "application/json", Data: st.Input}, nil
		}))
	members := make([]task.Spec, 20)
	for i := range members {
		members[i].Type = "work"
	}
	g, _, err := r.SubmitGroup(t.Context(), me, group.Spec{Name: "g", OnFinished: &task.Spec{Type: "report"}}, members, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.until("the group has its finisher", func() bool {
		g, err = r.Group(t.Context(), me, g.ID)
		return err == nil && !g.Finisher.IsZero()
	})
	got := r.wait(g.Finisher)
	var in struct{ Group group.Summary }
	if err := json.Unmarshal(got.Result, &in); err != nil || in.Group.ID != g.ID.String() || in.Group.State != group.Finished || in.Group.Counts["succeeded"] != 20 {
		t.Errorf("the finisher got %s, %v", got.Result, err)
	}
	if reports.Load() != 1 {
		t.Errorf("%d finishers", reports.Load())
	}
}

// A group's finisher is submitted by the next host if this one ends before.
func TestFinisherOutlastsTheHost(t *testing.T) {
	store := openStore(t, t.TempDir())
	g, err := group.New(task.ID{1}, me.Owner, group.Spec{OnFinished: &task.Spec{Type: "work"}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.CreateGroup(t.Context(), &g, task.Submission{}); err != nil {
		t.Fatal(err)
	}
	x, _ := sdk.NewScripts(script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	r := start(t, store, engine.Options{Executors: []registry.Binding{{Name: "x", Slots: 1, Executor: x}}})
	r.until("the group has its finisher", func() bool {
		got, err := r.Group(t.Context(), me, g.ID)
		return err == nil && !got.Finisher.IsZero()
	})
}

// A finisher that cannot be submitted is tried again, ever more rarely: its group and the
// status say why, and the log once. Others are decided upon meanwhile.
func TestFinisherThatCannotBeSubmitted(t *testing.T) {
	var log lines
	var clock testClock
	now := time.Now()
	clock.set(now)
	g := newGate()
	x, _ := sdk.NewScripts(script("work", g.run), script("free", instant))
	r := start(t, openStore(t, t.TempDir()), engine.Options{Now: clock.get, Types: map[string]task.TypeConfig{"work": {QueueLimit: 1}},
		Log: sdk.ReadableLog(hclog.New(&hclog.LoggerOptions{Output: &log})), Executors: []registry.Binding{{Name: "x", Slots: 2, Executor: x}}})
	running := []task.Task{r.submit(task.Spec{}), r.submit(task.Spec{})}
	<-g.began
	<-g.began
	full := r.submit(task.Spec{})
	made := func(finisher string) group.Group {
		t.Helper()
		made, _, err := r.SubmitGroup(t.Context(), me, group.Spec{Name: finisher, OnFinished: &task.Spec{Type: finisher}}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	stuck := made("work")
	read := func(id task.ID) group.Group {
		t.Helper()
		got, err := r.Group(t.Context(), me, id)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	r.until("the group says why it has no finisher", func() bool { return strings.Contains(read(stuck.ID).Problem, "queue") })
	for i := range 3 {
		clock.set(now.Add(time.Duration(i+1) * 2 * time.Minute))
		other := made("free")
		r.LookAtSignals()
		r.until("another group has its finisher", func() bool { return !read(other.ID).Finisher.IsZero() })
	}
	if n := log.with("cannot submit a group's finisher"); n != 1 {
		t.Errorf("%d lines of the log about the finisher, want one", n)
	}
	if s := r.Status(t.Context(), me); len(s.Problems) != 1 || s.Problems[0].ID != stuck.ID || s.Problems[0].Kind != "group" || s.Problems[0].Reason == "" {
		t.Errorf("the status tells of %+v", s.Problems)
	}
	if _, err := r.Cancel(t.Context(), me, full.ID); err != nil {
		t.Fatal(err)
	}
	// Set back: it is not waited for until then. A look that was under way may have postponed it anew.
	since := time.Duration(0)
	r.until("the group has its finisher", func() bool {
		clock.set(now.Add(since))
		since = min(since+time.Second, 3*time.Minute)
		r.LookAtSignals()
		return !read(stuck.ID).Finisher.IsZero()
	})
	if got := read(stuck.ID); got.Problem != "" {
		t.Errorf("with its finisher the group says %q", got.Problem)
	}
	close(g.let)
	for _, w := range running {
		r.wait(w.ID)
	}
}

// Cancel of a group ends all its members, those that run and those that wait.
func TestCancelOfAGroup(t *testing.T) {
	gate := newGate()
	r := scripts(t, 2, nil, script("work", gate.run))
	g, _, err := r.SubmitGroup(t.Context(), me, group.Spec{Open: true}, make5("work"), nil)
	if err != nil {
		t.Fatal(err)
	}
	<-gate.began
	<-gate.began
	if _, err := r.CancelGroup(t.Context(), me, g.ID); err != nil {
		t.Fatal(err)
	}
	r.until("all are canceled", func() bool {
		g, err = r.Group(t.Context(), me, g.ID)
		return err == nil && g.State() == group.Finished && g.Counts[task.Canceled] == 5
	})
	if _, err := r.CancelGroup(t.Context(), task.Scope{Owner: "else"}, g.ID); task.CodeOf(err) != task.CodeNotFound {
		t.Errorf("cancel by another: %v", err)
	}
	if err := r.DeleteGroup(t.Context(), me, g.ID); err != nil {
		t.Fatal(err)
	}
	if p, err := r.List(t.Context(), me, task.Filter{Group: g.ID}); err != nil || len(p.Tasks) != 0 {
		t.Errorf("%d members are left, %v", len(p.Tasks), err)
	}
}

func make5(taskType string) []task.Spec {
	specs := make([]task.Spec, 5)
	for i := range specs {
		specs[i].Type = taskType
	}
	return specs
}
