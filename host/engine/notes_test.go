package engine_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// slowNotes is a store that writes progress only when it is let.
type slowNotes struct {
	*sqlite.Store
	notes chan chan struct{}
}

func (s slowNotes) SaveProgress(ctx context.Context, n []task.ProgressNote) error {
	await(s.notes)
	return s.Store.SaveProgress(ctx, n)
}

// The last progress is on record once the task is final, also if it was just on
// its way to the store.
func TestLastProgressIsKept(t *testing.T) {
	s := slowNotes{openStore(t, t.TempDir()), make(chan chan struct{})}
	let := make(chan struct{})
	x, _ := sdk.NewScripts(script("work", func(_ context.Context, _ sdk.Task, rep sdk.Reporter) (sdk.Result, error) {
		rep.Progress(10, 10, "all")
		<-let
		return sdk.Result{}, nil
	}))
	e := engine.New(engine.Options{Store: s, Executors: []registry.Binding{{Name: "x", Executor: x}}})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer e.Close(context.Background())
	ts, _, err := e.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	write := <-s.notes
	close(let)
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	got, err := e.Wait(ctx, me, ts[0].ID)
	close(write)
	if err != nil || got.State != task.Succeeded || got.Progress.Done != 10 {
		t.Errorf("%v, %s, progress %+v", err, got.State, got.Progress)
	}
}

// An attempt that lost its task speaks to nobody any more.
func TestFencedAttemptIsNotHeard(t *testing.T) {
	x := &remote{calls: make(chan call, 1)}
	r := start(t, openStore(t, t.TempDir()), engine.Options{CancelGrace: 10 * time.Millisecond, Executors: []registry.Binding{{Name: "x", Executor: x}}})
	id := r.submit(task.Spec{Timeout: 10 * time.Millisecond}).ID
	c := <-x.calls
	if err := c.r.Started([]byte("h"), "w1"); err != nil {
		t.Fatal(err)
	}
	next := <-x.calls // the first did not stop, and was given up
	updates, err := r.Watch(t.Context(), me, id)
	if err != nil {
		t.Fatal(err)
	}
	before := r.Ignored()
	c.r.Progress(1, 2, "late")
	c.r.Log().Info("late")
	if n := r.Ignored() - before; n != 2 {
		t.Errorf("%d late reports were counted, want 2", n)
	}
	c.done <- nil
	next.r.Log().Info("in time")
	for u := range updates {
		if u.Progress != nil || u.Log != nil && u.Log.Attempt == 1 {
			t.Fatalf("heard of the fenced attempt: %+v", u)
		}
		if u.Log != nil {
			break
		}
	}
	next.done <- nil
	r.wait(id)
}

// The lines of one attempt before and after a restart of the host are all kept,
// in order.
func TestLogGoesOnAfterARejoin(t *testing.T) {
	dir, x := t.TempDir(), &remote{calls: make(chan call, 1)}
	list := []registry.Binding{{Name: "x", Executor: x}}
	var id task.ID
	for i, text := range []string{"one", "two", "three"} {
		store := openStore(t, dir)
		r := start(t, store, engine.Options{Executors: list})
		if i == 0 {
			id = r.submit(task.Spec{}).ID
		}
		c := <-x.calls
		if err := c.r.Started([]byte("h"), "w1"); err != nil {
			t.Fatal(err)
		}
		c.r.Log().Info(text)
		if text != "three" {
			r.Close(context.Background())
			store.Close()
			continue
		}
		c.done <- nil
		got := r.wait(id)
		lines, err := r.Logs(t.Context(), me, id, task.LogFilter{})
		if err != nil || got.Attempt != 1 || len(lines) != 3 || lines[0].Message != "one" || lines[1].Message != "two" || lines[2].Message != "three" {
			t.Errorf("attempt %d, %v, lines %+v", got.Attempt, err, lines)
		}
	}
}

// What a broker cannot carry is asked for by the attempt's token, the checkpoint too.
func TestPayloadsByToken(t *testing.T) {
	x := &remote{calls: make(chan call, 1)}
	r := start(t, openStore(t, t.TempDir()), engine.Options{Types: quick, Executors: []registry.Binding{{Name: "x", Executor: x}}})
	id := r.submit(task.Spec{Input: []byte(`"in"`)}).ID
	first := <-x.calls
	if err := first.r.Started([]byte("h"), "w1"); err != nil {
		t.Fatal(err)
	}
	if err := first.r.Checkpoint([]byte("here")); err != nil {
		t.Fatal(err)
	}
	first.done <- sdk.ErrLost
	c := <-x.calls
	input, err := r.AttemptInput(task.Token(c.t.Token))
	if err != nil || string(input) != `"in"` {
		t.Errorf("input %q, %v", input, err)
	}
	checkpoint, err := r.AttemptCheckpoint(task.Token(c.t.Token))
	if err != nil || string(checkpoint) != "here" {
		t.Errorf("checkpoint %q, %v", checkpoint, err)
	}
	if _, err := r.AttemptCheckpoint(task.Token(first.t.Token)); task.CodeOf(err) != task.CodeNotFound {
		t.Errorf("with the token of an attempt that is over: %v", err)
	}
	c.done <- nil
	r.wait(id)
}

// What an attempt has uploaded is there for the outcome that refers to it, also if the
// host was restarted in between.
func TestUploadOutlastsARestart(t *testing.T) {
	dir, x := t.TempDir(), &remote{calls: make(chan call, 1), result: sdk.Result{Stored: true}}
	list := []registry.Binding{{Name: "x", Executor: x}}
	store := openStore(t, dir)
	r := start(t, store, engine.Options{Executors: list})
	id := r.submit(task.Spec{}).ID
	c := <-x.calls
	if err := c.r.Started([]byte("h"), "w1"); err != nil {
		t.Fatal(err)
	}
	if err := r.PutAttemptResult(t.Context(), task.Token(c.t.Token), "text/plain", []byte("bytes")); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	store.Close()
	r = start(t, openStore(t, dir), engine.Options{Executors: list})
	c = <-x.calls
	c.done <- nil
	if got := r.wait(id); got.State != task.Succeeded || string(got.Result) != "bytes" || got.ResultType != "text/plain" {
		t.Errorf("%s, %q as %s", got.State, got.Result, got.ResultType)
	}
	r.until("the attempt is over", func() bool { // who waits for the task may hear of its end before that
		err := r.PutAttemptResult(t.Context(), task.Token(c.t.Token), "text/plain", []byte("late"))
		if err == nil {
			t.Error("an upload after the end is accepted")
		}
		return err == nil || task.CodeOf(err) == task.CodeNotFound
	})
}

// TestLogsAreBounded: of what an attempt logs the beginning is kept, in lines and in bytes,
// with a line where it is cut and one that says how much was dropped; the next attempt
// begins anew.
func TestLogsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		lines, bytes int64
		logged       int
		text         string
		kept         int
		dropped      string // in the last line
	}{
		"lines":    {lines: 5, logged: 12, text: "x", kept: 5, dropped: "7 lines with 7 bytes"},
		"bytes":    {bytes: 1000, logged: 10, text: strings.Repeat("x", 300), kept: 3, dropped: "7 lines with 2100 bytes"},
		"no more":  {lines: 12, logged: 12, text: "x", kept: 12},
		"too long": {bytes: 1000, logged: 2, text: strings.Repeat("x", 1001), kept: 0, dropped: "2 lines with 2002 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			x, _ := sdk.NewScripts(script("work", func(_ context.Context, _ sdk.Task, rep sdk.Reporter) (sdk.Result, error) {
				for range c.logged {
					rep.Log().Info(c.text)
				}
				return sdk.Result{}, errors.New("again")
			}))
			r := start(t, openStore(t, t.TempDir()), engine.Options{LogLines: c.lines, LogBytes: c.bytes, Types: quick, Executors: []registry.Binding{{Name: "x", Executor: x}}})
			id := r.submit(task.Spec{MaxAttempts: 2}).ID
			r.wait(id)
			for attempt := 1; attempt <= 2; attempt++ {
				got, err := r.Logs(t.Context(), me, id, task.LogFilter{Attempt: attempt})
				if err != nil {
					t.Fatal(err)
				}
				want := c.kept
				if c.dropped != "" {
					want += 2
				}
				if len(got) != want {
					t.Fatalf("attempt %d has %d lines, want %d", attempt, len(got), want)
				}
				if c.dropped == "" {
					continue
				}
				cut, last := got[c.kept], got[c.kept+1]
				if cut.Level != "warn" || !strings.Contains(cut.Message, "dropped") || last.Level != "warn" || !strings.HasPrefix(last.Message, c.dropped) ||
					last.Fields["dropped_lines"] != strconv.Itoa(c.logged-c.kept) || last.Seq != cut.Seq+1 {
					t.Errorf("attempt %d ends with %+v, %+v", attempt, cut, last)
				}
			}
		})
	}
}
