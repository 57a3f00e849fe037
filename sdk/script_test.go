package sdk

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
)

// Upkeep runs once, from the first Describe until the executor is closed, and not
// for an executor that nobody asked anything.
func TestUpkeep(t *testing.T) {
	var begun, ended atomic.Int32
	started := make(chan struct{}, 9)
	s := Script{
		TypeInfo: TypeInfo{Name: "kept"},
		Run:      func(context.Context, Task, Reporter) (Result, error) { return Result{}, nil },
		Upkeep: func(ctx context.Context) {
			begun.Add(1)
			started <- struct{}{}
			<-ctx.Done()
			ended.Add(1)
		},
	}
	for _, asked := range []int{0, 1, 3} {
		begun.Store(0)
		ended.Store(0)
		e, err := NewScripts(s)
		if err != nil {
			t.Fatal(err)
		}
		for range asked {
			if _, err := e.Describe(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		want := int32(min(asked, 1))
		if want > 0 {
			<-started
		}
		if ended.Load() != 0 {
			t.Error("it ended before the executor was closed")
		}
		for range 2 {
			if err := e.(io.Closer).Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := e.Describe(t.Context()); err != nil {
			t.Error(err)
		}
		if begun.Load() != want || ended.Load() != want {
			t.Errorf("asked %d times: begun %d, ended %d", asked, begun.Load(), ended.Load())
		}
	}
}
