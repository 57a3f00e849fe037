package sdktest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// The probe scripts' names. They are types like any other; a Harness with Probes
// set has an executor that runs them.
const (
	probeOK         = "probe.ok"
	probeEcho       = "probe.echo"
	probeFail       = "probe.fail"
	probeYield      = "probe.yield"
	probeBlock      = "probe.block"
	probeStubborn   = "probe.stubborn"
	probePanic      = "probe.panic"
	probeCheckpoint = "probe.checkpoint"
	probeLog        = "probe.log"
	probeProgress   = "probe.progress"
	probeBig        = "probe.big"
	probeLarge      = "probe.large"
	probeNonce      = "probe.nonce"
	probeLate       = "probe.late"
	probeRevert     = "probe.revert"
	probeSpawn      = "probe.spawn"
)

// retryAfter is the delay that probe.fail asks for.
const retryAfter = 90 * time.Second

type okInput struct {
	Say string `json:"say,omitempty"`
}

type failInput struct {
	How string `json:"how"`
}

type bigInput struct {
	Pad    string `json:"pad,omitempty" jsonschema:"any text; its hash comes back"`
	Result int    `json:"result,omitempty" jsonschema:"bytes of the result"`
}

// echo is what probe.echo saw of its task.
type echo struct {
	ID         string            `json:"id"`
	Type       string            `json:"type"`
	Attempt    int               `json:"attempt"`
	Labels     map[string]string `json:"labels"`
	Trace      map[string]string `json:"trace"`
	Checkpoint string            `json:"checkpoint"`
	Deadline   bool              `json:"deadline"`
	Input      json.RawMessage   `json:"input"`
}

// Scripts are the probes that the suite runs on executors which host scripts. Load
// the executor with them (and whatever else) and set Harness.Probes.
func Scripts() []sdk.Script {
	return []sdk.Script{
		sdk.Func(probeOK, func(_ context.Context, in okInput, _ sdk.Reporter) (okInput, error) {
			return okInput{Say: "ok:" + in.Say}, nil
		}),
		sdk.Func(probeEcho, echoTask),
		sdk.Func(probeFail, fail),
		sdk.Func(probeYield, yield),
		sdk.Func(probeBlock, block),
		sdk.Func(probeStubborn, stubborn),
		sdk.Func(probePanic, panicked),
		sdk.Func(probeCheckpoint, checkpoint),
		sdk.Func(probeLog, func(_ context.Context, _ any, r sdk.Reporter) (string, error) {
			r.Log().Info("first line", "answer", 42)
			r.Log().Warn("last line")
			return "logged", nil
		}),
		sdk.Func(probeProgress, func(_ context.Context, _ any, r sdk.Reporter) (int64, error) {
			for i := int64(1); i <= 1000; i++ {
				r.Progress(i, 1000, "counting")
			}
			return 1000, nil
		}),
		sdk.Func(probeLarge, func(_ context.Context, size int, _ sdk.Reporter) (string, error) {
			return strings.Repeat("y", size), nil
		}),
		{TypeInfo: sdk.TypeInfo{Name: probeBig, Description: "a probe whose result is no JSON"}, Run: big},
		sdk.Func(probeNonce, nonce),
		sdk.Func(probeLate, late),
		sdk.Func(probeSpawn, spawn),
		revertible(),
	}
}

// echoTask says what a typed function is told of its attempt.
func echoTask(ctx context.Context, in json.RawMessage, _ sdk.Reporter) (echo, error) {
	t, ok := sdk.TaskFrom(ctx)
	if !ok {
		return echo{}, sdk.Permanent(errors.New("the context holds no task"))
	}
	return echo{ID: t.ID, Type: t.Type, Attempt: t.Attempt, Labels: t.Labels, Trace: t.Trace,
		Checkpoint: string(t.Checkpoint), Deadline: !t.Deadline.IsZero(), Input: in}, nil
}

func fail(_ context.Context, in failInput, _ sdk.Reporter) (any, error) {
	err := errors.New("a probe fails")
	switch in.How {
	case "permanent":
		return nil, sdk.Permanent(err)
	case "retry":
		return nil, sdk.RetryAfter(err, retryAfter)
	case "details":
		return nil, sdk.FailedWith(sdk.Outcome{Kind: sdk.OutcomeFailed, Code: sdk.CodeScriptFailed, Message: err.Error(),
			Details: map[string]string{"exit_code": "7"}})
	}
	return nil, err
}

// panicked panics, or leaves that to whoever looks at its error.
func panicked(_ context.Context, in failInput, _ sdk.Reporter) (any, error) {
	if in.How == "error" {
		var err *probeError
		return nil, err
	}
	panic("a probe panics")
}

type probeError struct{ text string }

func (e *probeError) Error() string { return e.text }

func yield(_ context.Context, in failInput, _ sdk.Reporter) (any, error) {
	switch in.How {
	case "until":
		return nil, sdk.YieldUntil(time.Unix(4102444800, 0), []byte("until"))
	case "children":
		return nil, sdk.YieldForChildren([]string{"a", "b"}, nil)
	case "all children":
		return nil, sdk.YieldForChildren(nil, []byte("all"))
	}
	return nil, sdk.YieldUntilResumed([]byte("resume"))
}

// block says that it runs, and runs until it is told to stop.
func block(ctx context.Context, _ any, r sdk.Reporter) (any, error) {
	r.Progress(1, 0, "blocking")
	<-ctx.Done()
	return nil, fmt.Errorf("stopped: %w", context.Cause(ctx))
}

// stubborn finishes its work although it is told to stop.
func stubborn(ctx context.Context, _ any, r sdk.Reporter) (string, error) {
	r.Progress(1, 0, "deaf")
	<-ctx.Done()
	return "done all the same", nil
}

// checkpoint saves where it is and fails; the next attempt goes on from there.
func checkpoint(ctx context.Context, _ any, r sdk.Reporter) (string, error) {
	if t, ok := sdk.TaskFrom(ctx); ok && len(t.Checkpoint) > 0 {
		return "resumed from " + digest(t.Checkpoint), nil
	}
	saved := make([]byte, 600<<10) // large enough to travel in chunks
	_, _ = rand.Read(saved)
	if err := r.Checkpoint([]byte("first")); err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	if err := r.Checkpoint(saved); err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	if err := r.Checkpoint(make([]byte, sdk.MaxCheckpoint+1)); err == nil {
		return "", sdk.Permanent(errors.New("a checkpoint over the limit was taken"))
	}
	return "", errors.New("saved, then failed")
}

func big(_ context.Context, t sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
	var in bigInput
	if err := t.Decode(&in); err != nil {
		return sdk.Result{}, err
	}
	if in.Result > 0 {
		return sdk.Bytes("application/octet-stream", make([]byte, in.Result)), nil
	}
	return sdk.Text(digest([]byte(in.Pad))), nil
}

// nonce takes long enough to be joined, and tells one run from another.
func nonce(ctx context.Context, _ any, r sdk.Reporter) (string, error) {
	r.Progress(1, 0, "thinking")
	var n [8]byte
	_, _ = rand.Read(n[:])
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case <-time.After(400 * time.Millisecond):
		return hex.EncodeToString(n[:]), nil
	}
}

// late goes on speaking when it was told to stop, and after it has returned.
func late(ctx context.Context, _ any, r sdk.Reporter) (any, error) {
	r.Progress(1, 0, "talking")
	<-ctx.Done()
	speak := func(when string) {
		r.Progress(2, 2, when)
		r.Log().Info(when)
		_ = r.Checkpoint([]byte(when))
	}
	speak("while it stops")
	go speak("after its return")
	return nil, context.Cause(ctx)
}

func revertible() sdk.Script {
	s := sdk.Func(probeRevert, func(context.Context, any, sdk.Reporter) (string, error) { return "made", nil })
	s.Undo = func(_ context.Context, t sdk.Task, _ sdk.Reporter) error {
		switch {
		case t.Result != nil && string(t.Result.Data) == `"made"`:
			return nil
		case t.Failure != nil && t.Failure.Code == sdk.CodeTimeout:
			return nil
		}
		return sdk.Permanent(errors.New("revert was told neither the result nor the failure"))
	}
	return s
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
