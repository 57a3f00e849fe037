package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// What costs no attempt has a rest, which grows: nothing goes back and forth at the
// speed of the disk.
func TestWhatCostsNothingRests(t *testing.T) {
	for name, back := range map[string]func() error{
		"released":    func() error { return sdk.ErrReleased },
		"interrupted": func() error { return sdk.ErrInterrupted },
		"yield":       func() error { return sdk.YieldUntil(time.Now(), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			ran := make(chan time.Time, 1000)
			r := scripts(t, 1, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
				ran <- time.Now()
				return sdk.Result{}, back()
			}))
			r.submit(task.Spec{})
			last := <-ran
			for _, least := range []time.Duration{task.RequeueMin, 2 * task.RequeueMin, 4 * task.RequeueMin} {
				next := <-ran
				if rest := next.Sub(last); rest < least-10*time.Millisecond {
					t.Errorf("run again after %s, want %s at the least", rest, least)
				}
				last = next
			}
		})
	}
}
