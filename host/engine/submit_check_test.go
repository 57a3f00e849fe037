package engine

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// heldUp is a client that holds up whoever asks whether it is still there.
type heldUp struct {
	context.Context
	asked chan struct{}
	let   chan struct{}
}

func (c heldUp) wait() {
	select {
	case c.asked <- struct{}{}:
	default:
	}
	<-c.let
}

func (c heldUp) Done() <-chan struct{} {
	c.wait()
	return c.Context.Done()
}

func (c heldUp) Err() error {
	c.wait()
	return c.Context.Err()
}

// A submit whose input is being checked holds up neither others nor the end of the host.
func TestCheckHoldsNobodyUp(t *testing.T) {
	store, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	run := func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }
	x, err := sdk.NewScripts(sdk.Script{TypeInfo: sdk.TypeInfo{Name: "list", Input: json.RawMessage(`{"items":{"type":"number"}}`)}, Run: run},
		sdk.Script{TypeInfo: sdk.TypeInfo{Name: "any"}, Run: run})
	if err != nil {
		t.Fatal(err)
	}
	e := New(Options{Store: store, Executors: []registry.Binding{{Name: "x", Executor: x}}})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	me := task.Scope{Owner: "me"}
	client := heldUp{t.Context(), make(chan struct{}, 1), make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		_, _, err := e.Submit(client, me, []task.Spec{{Type: "list", Input: json.RawMessage("[" + strings.Repeat("1,", 100_000) + "1]")}}, nil)
		ended <- err
	}()
	<-client.asked // by the check
	if !e.launches.mu.TryLock() {
		t.Fatal("a check holds the gate that the end of the host waits for")
	}
	e.launches.mu.Unlock()
	if _, _, err := e.Submit(t.Context(), me, []task.Spec{{Type: "any"}}, nil); err != nil {
		t.Errorf("another submit: %v", err)
	}
	if err := e.Close(context.Background()); err != nil {
		t.Error(err)
	}
	close(client.let)
	if err := <-ended; task.CodeOf(err) != task.CodeStoreUnavailable {
		t.Errorf("the submit ended with %v", err)
	}
}
