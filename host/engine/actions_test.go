package engine_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// act submits an action and gives what it says of itself at its end.
func (r *rig) act(a task.Action) (done, failed int64) {
	r.t.Helper()
	t, _, err := r.SubmitAction(r.t.Context(), me, a, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	got := r.wait(t.ID)
	var res struct{ Done, Failed int64 }
	if err := json.Unmarshal(got.Result, &res); err != nil || got.State != task.Succeeded {
		r.t.Fatalf("the action is %s with %s: %+v, %v", got.State, got.Result, got.Error, err)
	}
	if got.Progress.Done != res.Done {
		r.t.Errorf("its progress is %+v, done are %d", got.Progress, res.Done)
	}
	return res.Done, res.Failed
}

// Actions are done to all that matches, over pages, and to nothing else.
func TestActions(t *testing.T) {
	g := newGate()
	r := scripts(t, 1, nil, script("work", g.run), script("other", g.run))
	first := r.submit(task.Spec{Type: "other"})
	<-g.began
	specs := make([]task.Spec, 2500)
	for i := range specs {
		specs[i] = task.Spec{Type: "work"}
	}
	if _, _, err := r.Submit(t.Context(), me, specs, nil); err != nil {
		t.Fatal(err)
	}
	last := r.submit(task.Spec{Type: "work", Priority: -5})
	of := func(taskType string) task.Filter { return task.Filter{Types: []string{taskType}} }
	if n, err := r.CountAction(t.Context(), me, task.Action{Action: "cancel", Filter: of("work")}); err != nil || n != 2501 {
		t.Fatalf("%d would be canceled, %v", n, err)
	}
	if done, failed := r.act(task.Action{Action: "pause", Filter: task.Filter{Types: []string{"work"}, CreatedBefore: last.CreatedAt}}); done < 2500 || failed != 0 {
		t.Fatalf("paused %d, failed %d", done, failed)
	}
	if done, _ := r.act(task.Action{Action: "priority", To: []byte("7"), Filter: of("work")}); done != 2501 {
		t.Fatalf("%d have another priority", done)
	}
	if got := r.get(last.ID); got.Priority != 7 {
		t.Errorf("the last has priority %d", got.Priority)
	}
	if done, _ := r.act(task.Action{Action: "resume", Filter: of("work")}); done < 2500 {
		t.Fatalf("resumed %d", done)
	}
	if done, _ := r.act(task.Action{Action: "cancel", Filter: of("work")}); done != 2501 {
		t.Fatalf("canceled %d", done)
	}
	if done, _ := r.act(task.Action{Action: "cancel", Filter: of("work")}); done != 0 {
		t.Fatalf("canceled %d once more", done)
	}
	if done, _ := r.act(task.Action{Action: "delete", Filter: of("work")}); done != 2501 {
		t.Fatalf("deleted %d", done)
	}
	if got := r.get(first.ID); got.State != task.Running {
		t.Errorf("what did not match is %s", got.State)
	}
	close(g.let)
	for _, x := range r.Executors() {
		if x.Name != "x" {
			t.Errorf("executor %s is shown", x.Name)
		}
	}
	if n := len(r.Types(me)); n != 2 {
		t.Errorf("%d types are shown", n)
	}
	if _, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: engine.ActionType}}, nil); task.CodeOf(err) != task.CodeUnknownType {
		t.Errorf("an action that is submitted as a task: %v", err)
	}
	for _, a := range []task.Action{{Action: "explode"}, {Action: "move", To: []byte(`"nobody"`)}, {Action: "move", To: []byte(`"taskhost:own"`)}, {Action: "priority", To: []byte("5000")}, {Action: "priority"}, {Action: "cancel", To: []byte("1")}} {
		if _, _, err := r.SubmitAction(t.Context(), me, a, nil); task.CodeOf(err) != task.CodeInvalidRequest {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

// A paused task rests, keeps its place, and goes on when it is resumed; one that runs rests if its
// script says so.
// A task that must never run twice is not asked to rest while it runs, but while it waits.
func TestPauseOfATaskThatNeverRunsTwice(t *testing.T) {
	g := newGate()
	r := scripts(t, 1, nil, script("work", g.run))
	never := 0
	runs := r.submit(task.Spec{MaxLost: &never})
	<-g.began
	waits := r.submit(task.Spec{MaxLost: &never})
	hasty, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Pause(hasty, me, runs.ID); task.CodeOf(err) != task.CodeConflict || !strings.Contains(err.Error(), "max_lost") {
		t.Fatalf("the pause of one that runs gave %v", err)
	}
	if got, err := r.Pause(t.Context(), me, waits.ID); err != nil || got.Waiting != task.WaitPaused {
		t.Errorf("the pause of one that waits: it waits for %s, %v", got.Waiting, err)
	}
	g.let <- struct{}{}
	if got := r.wait(runs.ID); got.State != task.Succeeded {
		t.Errorf("the one that ran is %s, %+v", got.State, got.Error)
	}
}

func TestPauseAndResume(t *testing.T) {
	g := newGate()
	g.deaf = true
	began := make(chan struct{}, 1)
	r := scripts(t, 1, nil, script("work", g.run), script("rests", func(ctx context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		if st.Checkpoint != nil {
			return sdk.Result{}, nil
		}
		began <- struct{}{}
		<-ctx.Done()
		if context.Cause(ctx) != sdk.ErrPause {
			t.Errorf("the context ended with %v", context.Cause(ctx))
		}
		return sdk.Result{}, sdk.YieldUntilResumed([]byte("half"))
	}))
	rests := r.submit(task.Spec{Type: "rests"})
	<-began
	if got, err := r.Pause(t.Context(), me, rests.ID); err != nil || got.Waiting != task.WaitPaused {
		t.Fatalf("asked to rest it waits for %s, %v", got.Waiting, err)
	}
	running := r.submit(task.Spec{Type: "work"})
	<-g.began
	hasty, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := r.Pause(hasty, me, running.ID); task.CodeOf(err) != task.CodeConflict || r.get(running.ID).State != task.Running {
		t.Errorf("the script does not agree, the pause gave %s, %v", got.State, err)
	}
	ended := make(chan error)
	go func() {
		_, err := r.Pause(t.Context(), me, running.ID)
		ended <- err
	}()
	first := r.submit(task.Spec{Type: "work"})
	second := r.submit(task.Spec{Type: "work"})
	if got, err := r.Pause(t.Context(), me, first.ID); err != nil || got.Waiting != task.WaitPaused {
		t.Fatalf("paused it waits for %s, %v", got.Waiting, err)
	}
	if _, err := r.Pause(t.Context(), me, first.ID); err != nil {
		t.Errorf("paused again: %v", err)
	}
	g.let <- struct{}{}
	if err := <-ended; task.CodeOf(err) != task.CodeAlreadyFinal {
		t.Errorf("the task ended, its pause gave %v", err)
	}
	<-g.began
	if got := r.get(second.ID); got.State != task.Running {
		t.Errorf("the second is %s: a paused task holds it up", got.State)
	}
	if got, err := r.Resume(t.Context(), me, first.ID); err != nil || got.Waiting != task.WaitQueued {
		t.Fatalf("resumed it waits for %s, %v", got.Waiting, err)
	}
	if _, err := r.Resume(t.Context(), me, first.ID); task.CodeOf(err) != task.CodeConflict {
		t.Errorf("resumed again: %v", err)
	}
	g.let <- struct{}{}
	<-g.began
	g.let <- struct{}{}
	r.wait(first.ID)
	if _, err := r.Pause(t.Context(), me, running.ID); task.CodeOf(err) != task.CodeAlreadyFinal {
		t.Errorf("a final one is paused: %v", err)
	}
	if _, err := r.Resume(t.Context(), me, rests.ID); err != nil {
		t.Fatal(err)
	}
	if got := r.wait(rests.ID); got.State != task.Succeeded || got.Failures != 0 {
		t.Errorf("it rested and is %s: %+v", got.State, got.Error)
	}
}
