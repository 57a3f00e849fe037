package engine_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// A task must not rest where nobody wakes it: what the host cannot wake is
// refused, and says why.
func TestYieldsThatNobodyWakesAreRefused(t *testing.T) {
	for name, y := range map[string]error{
		"not an id":  sdk.YieldForChildren([]string{"one"}, nil),
		"checkpoint": sdk.YieldUntil(time.Now(), make([]byte, sdk.MaxCheckpoint+1)),
		"away":       sdk.YieldUntil(time.Now().AddDate(400, 0, 0), nil),
	} {
		r := scripts(t, 1, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, y }))
		got := r.wait(r.submit(task.Spec{}).ID)
		if got.State != task.Failed || got.Attempt != 1 || got.Error.Code != task.FailureProtocol || !strings.Contains(got.Error.Message, name) {
			t.Errorf("%s: %s after %d attempts, %+v", name, got.State, got.Attempt, got.Error)
		}
	}
}

func TestYieldUntilATime(t *testing.T) {
	r := scripts(t, 1, nil, script("work", func(_ context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		if st.Checkpoint == nil {
			return sdk.Result{}, sdk.YieldUntil(time.Now().Add(20*time.Millisecond), []byte("here"))
		}
		return sdk.Text(string(st.Checkpoint)), nil
	}))
	got := r.wait(r.submit(task.Spec{MaxAttempts: 1}).ID)
	if got.State != task.Succeeded || string(got.Result) != "here" || got.Failures != 0 {
		t.Errorf("%s, %q, %+v", got.State, got.Result, got.Error)
	}
}
