package sdktest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/taskhost/taskhost/sdk"
	"github.com/taskhost/taskhost/sdk/sdktest"
)

// stepsInput is the input of a script that does everything a script can.
type stepsInput struct {
	Steps uint32 `json:"steps" jsonschema:"default=3,maximum=1000000,description=how many"`
	Fail  bool   `json:"fail,omitempty"`
	Wait  string `json:"wait,omitempty" jsonschema:"enum=stop,enum=tomorrow,description=what to wait for at the end"`
}

// walk takes its steps, and goes on from the last that it saved.
func walk(ctx context.Context, in stepsInput, r sdk.Reporter) (uint32, error) {
	at := uint32(0)
	if t, ok := sdk.TaskFrom(ctx); ok && len(t.Checkpoint) == 4 {
		at = binary.BigEndian.Uint32(t.Checkpoint)
	}
	r.Log().Info("walking", "from", at, "to", in.Steps)
	for ; at < in.Steps; at++ {
		if err := context.Cause(ctx); err != nil {
			return at, err
		}
		if err := r.Checkpoint(binary.BigEndian.AppendUint32(nil, at+1)); err != nil {
			return at, err
		}
		r.Progress(int64(at+1), int64(in.Steps), "walking")
	}
	switch {
	case in.Fail && in.Steps == 0:
		return 0, sdk.Permanent(errors.New("there is no way"))
	case in.Fail:
		return 0, errors.New("stumbled")
	case in.Wait == "stop":
		<-ctx.Done()
		return 0, context.Cause(ctx)
	case in.Wait == "tomorrow":
		return 0, sdk.YieldUntil(time.Now().Add(24*time.Hour), nil)
	}
	return at, nil
}

// atlas draws a map of so many fields, whatever comes of it.
func atlas(_ context.Context, fields int, _ sdk.Reporter) ([]byte, error) {
	return make([]byte, fields), nil
}

func walker() sdk.Plugin {
	return sdk.Plugin{Name: "walker", Version: "1.0.0", New: sdk.Scripts(sdk.Func("walk", walk), sdk.Func("atlas", atlas))}
}

// testConformance is an author's whole test, TestConformance in a file beside the plugin: it
// names a task for each thing that the scripts can do.
func testConformance(t *testing.T) {
	sdktest.Run(t, sdktest.Harness{
		Plugin: walker(),
		Type:   "walk", Input: `{}`,
		Block:     sdktest.Case{Type: "walk", Input: `{"wait":"stop"}`},
		Fail:      sdktest.Case{Type: "walk", Input: `{"fail":true}`},
		Permanent: sdktest.Case{Type: "walk", Input: `{"fail":true,"steps":0}`},
		Progress:  sdktest.Case{Type: "walk", Input: `{}`},
		Log:       sdktest.Case{Type: "walk", Input: `{}`},
		Yield:     sdktest.Case{Type: "walk", Input: `{"wait":"tomorrow"}`},
		Large:     sdktest.Case{Type: "atlas", Input: `400000`},
		Panic:     sdktest.Case{Type: "atlas", Input: `-1`},
		Checkpoint: sdktest.Case{Type: "walk", Input: `{"steps":100}`, Result: func(t *testing.T, res sdk.Result) {
			if string(res.Data) != "100" {
				t.Errorf("it came to step %s of 100", res.Data)
			}
		}},
	})
}

// The suite is called from a test, which `go test` runs.
func ExampleRun() {
	TestConformance := testConformance
	_ = TestConformance
}
