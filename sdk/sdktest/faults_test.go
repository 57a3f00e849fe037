package sdktest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/sdk"
	"github.com/taskhost/taskhost/sdk/sdktest"
)

// faults are plugins with a fault each, and what the suite says of it.
var faults = map[string]struct {
	script  sdk.Script
	harness sdktest.Harness
	says    string
	async   func(sdk.Executor) sdk.Executor // in front of the script's; its fault is seen in the suite's process alone
}{
	"saves nothing": {
		script:  sdk.Func("x", func(context.Context, any, sdk.Reporter) (int, error) { return 0, nil }),
		harness: sdktest.Harness{Checkpoint: sdktest.Case{Type: "x", Input: "1"}},
		says:    "no checkpoint was saved",
	},
	"resumes with a failure": {
		script: sdk.Func("x", func(ctx context.Context, save bool, r sdk.Reporter) (int, error) {
			if t, _ := sdk.TaskFrom(ctx); t.Checkpoint != nil {
				return 0, errors.New("what is this?")
			}
			if save {
				return 0, r.Checkpoint([]byte("here"))
			}
			return 0, nil
		}),
		harness: sdktest.Harness{Input: "false", Checkpoint: sdktest.Case{Type: "x", Input: "true"}},
		says:    "what is this?",
	},
	"gives up for good when it is interrupted": {
		script: sdk.Func("x", func(ctx context.Context, save bool, r sdk.Reporter) (int, error) {
			if !save {
				return 0, nil
			}
			if err := r.Checkpoint([]byte("here")); err != nil {
				return 0, err
			}
			<-ctx.Done()
			return 0, sdk.Permanent(context.Cause(ctx))
		}),
		harness: sdktest.Harness{Input: "false", Checkpoint: sdktest.Case{Type: "x", Input: "true"}},
		says:    "must not fail permanently",
	},
	"small": {
		script:  sdk.Func("x", func(context.Context, any, sdk.Reporter) (int, error) { return 0, nil }),
		harness: sdktest.Harness{Large: sdktest.Case{Type: "x", Input: "1"}},
		says:    "the result has 1 bytes",
	},
	"calm": {
		script:  sdk.Func("x", func(context.Context, any, sdk.Reporter) (int, error) { return 0, nil }),
		harness: sdktest.Harness{Panic: sdktest.Case{Type: "x", Input: "1"}},
		says:    "the outcome is succeeded",
	},
	"rests until nothing": {
		script: sdk.Func("x", func(_ context.Context, rest bool, _ sdk.Reporter) (int, error) {
			if rest {
				return 0, sdk.FailedWith(sdk.Outcome{Kind: sdk.OutcomeYielded, Yield: &sdk.Yield{}})
			}
			return 0, nil
		}),
		harness: sdktest.Harness{Input: "false", Yield: sdktest.Case{Type: "x", Input: "true"}},
		says:    "does not say until when it rests",
	},
	"names children by chance": {
		script: sdk.Func("x", func(ctx context.Context, rest bool, r sdk.Reporter) (int, error) {
			if !rest {
				return 0, nil
			}
			if _, err := r.Spawn(ctx, sdk.Child{Name: rand.Text(), Type: "y"}); err != nil {
				return 0, err
			}
			return 0, sdk.YieldForChildren(nil, nil)
		}),
		harness: sdktest.Harness{Input: "false", Spawn: sdktest.Case{Type: "x", Input: "true"}},
		says:    "which is not among",
	},
	"a tag that says nothing": {
		script: sdk.Func("x", func(context.Context, struct {
			F int `jsonschema:"most=1"`
		}, sdk.Reporter) (int, error) {
			return 0, nil
		}),
		says: `"most" is no keyword`,
	},
	"is waited for in vain": {
		script: sdk.Func("x", func(context.Context, any, sdk.Reporter) (int, error) { return 0, nil }),
		says:   "a caller that waits",
		async:  func(e sdk.Executor) sdk.Executor { return onlyAsync{endsAgain{e, 1}} },
	},
	"ends again": {
		script: sdk.Func("x", func(context.Context, any, sdk.Reporter) (int, error) { return 0, nil }),
		says:   "done was called more than once",
		async:  func(e sdk.Executor) sdk.Executor { return endsAgain{e, 2} },
	},
}

// endsAgain says so many times how an attempt ended.
type endsAgain struct {
	sdk.Executor
	times int
}

func (x endsAgain) ExecuteAsync(ctx context.Context, t sdk.Task, r sdk.Reporter, done func(sdk.Result, error)) {
	res, err := x.Execute(ctx, t, r)
	for range x.times {
		done(res, err)
	}
}

// onlyAsync makes attempts for those alone who do not wait for them.
type onlyAsync struct{ endsAgain }

func (onlyAsync) Execute(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
	return sdk.Result{}, errors.New("a caller that waits")
}

// TestFault is the suite on one of them, in a process of its own.
func TestFault(t *testing.T) {
	f, ok := faults[os.Getenv("SDKTEST_FAULT")]
	if !ok {
		t.Skip("is run by TestFaultsAreFound")
	}
	f.harness.Plugin = sdk.Plugin{Name: "faulty", Version: "1", New: sdk.Scripts(f.script)}
	if f.async != nil {
		f.harness.Plugin.New = func(cfg sdk.Config) (sdk.Executor, error) {
			e, err := sdk.Scripts(f.script)(cfg)
			return f.async(e), err
		}
	}
	f.harness.Type, f.harness.Many = "x", 1
	if f.harness.Input == "" {
		f.harness.Input = "1"
	}
	sdktest.Run(t, f.harness)
}

// What the suite is there for.
func TestFaultsAreFound(t *testing.T) {
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestFault$", "-test.v")
			cmd.Env = append(os.Environ(), "SDKTEST_FAULT="+name)
			out, err := cmd.CombinedOutput()
			ways := 2
			if f.async != nil {
				ways = 1
			}
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || strings.Count(string(out), f.says) < ways {
				t.Errorf("not found in %d ways (%v):\n%s", ways, err, out)
			}
		})
	}
}
