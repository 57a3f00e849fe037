package queuetest

import (
	"context"
	"sync"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

// Gates are scripts whose end the test decides, and that count their runs.
type Gates struct {
	mu         sync.Mutex
	gatesByKey map[string]chan struct{}
	runs       map[string]int
	ends       map[string]error // why a run was told to stop
	Began      chan string      // whoever begins
}

// NewGates are gates that are all shut.
func NewGates() *Gates {
	return &Gates{gatesByKey: map[string]chan struct{}{}, runs: map[string]int{}, ends: map[string]error{}, Began: make(chan string, 1000)}
}

func (g *Gates) gate(key string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gatesByKey[key] == nil {
		g.gatesByKey[key] = make(chan struct{})
	}
	return g.gatesByKey[key]
}

// Release ends the runs of a key, those to come as well. It may be called once a key.
func (g *Gates) Release(key string) { close(g.gate(key)) }

// Count is how many runs of a key have begun.
func (g *Gates) Count(key string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.runs[key]
}

// Ended is why a run of a key was told to stop; nil if none was.
func (g *Gates) Ended(key string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ends[key]
}

// Executor runs the type "gate", whose input is the key as a JSON string, and
// "quick", which returns its input.
func (g *Gates) Executor(t *testing.T) sdk.Executor {
	t.Helper()
	e, err := sdk.NewScripts(
		sdk.Func("gate", func(ctx context.Context, key string, _ sdk.Reporter) (string, error) {
			g.mu.Lock()
			g.runs[key]++
			g.mu.Unlock()
			g.Began <- key
			select {
			case <-g.gate(key):
				return "through " + key, nil
			case <-ctx.Done():
				g.mu.Lock()
				g.ends[key] = context.Cause(ctx)
				g.mu.Unlock()
				return "", ctx.Err()
			}
		}),
		Quick)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Quick returns its input.
var Quick = sdk.Script{TypeInfo: sdk.TypeInfo{Name: "quick"}, Run: func(_ context.Context, t sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
	return sdk.Result{ContentType: sdk.ContentJSON, Data: t.Input}, nil
}}
