package host

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// newAttempt is one at a task that no store has.
func newAttempt(typ string, input json.RawMessage) sdk.Task {
	if len(input) == 0 {
		input = json.RawMessage("null")
	}
	t := sdk.Task{ID: "00000000-0000-7000-8000-000000000000", Type: typ, Attempt: 1, Input: input}
	_, _ = rand.Read(t.Token[:]) // never fails
	return t
}

// cancelAfter is how long an attempt that says nothing runs before it is canceled.
const cancelAfter = time.Second

// attempt makes one, which times out after so long; with cancel it is canceled once it has
// said something. The error says that no outcome came.
func (c *pluginChecker) attempt(ctx context.Context, t sdk.Task, timeout time.Duration, cancel bool) (sdk.Outcome, error) {
	if _, err := c.awaitReady(ctx); err != nil {
		return sdk.Outcome{}, err
	}
	t.Timeout, t.Deadline = timeout, time.Now().Add(timeout)
	run, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	spoke := make(chan struct{})
	say := sync.OnceFunc(func() { close(spoke) })
	reporter := sdk.NewReporter(sdk.ReporterFuncs{
		Started:    func([]byte, string) error { say(); return nil },
		Progress:   func(int64, int64, string) { say() },
		Checkpoint: func([]byte) error { say(); return nil },
		Line: func(level hclog.Level, msg string, args []string) {
			say()
			c.trial.Log.Log(level, "attempt: "+msg, fields(args)...)
		},
	})
	outcome := make(chan sdk.Outcome, 1)
	go func() {
		res, err := sdk.Execute(run, c.exec, t, reporter)
		outcome <- sdk.OutcomeOf(run, res, err)
	}()
	defer c.exec.Settled(t.Token)
	if cancel {
		select {
		case o := <-outcome:
			return o, nil
		case <-spoke:
		case <-time.After(cancelAfter):
		}
		stop(sdk.ErrCancel)
	} else {
		select {
		case o := <-outcome:
			return o, nil
		case <-time.After(timeout):
		case <-ctx.Done():
		}
		stop(sdk.ErrTimeout)
	}
	select {
	case o := <-outcome:
		return o, nil
	case <-time.After(c.trial.Patience):
		return sdk.Outcome{}, fmt.Errorf("the attempt did not end within %s of being told to stop: heed the context, or the Cancel", c.trial.Patience)
	}
}

func fields(args []string) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = a
	}
	return out
}

// describeOutcome says in words what became of an attempt.
func describeOutcome(o sdk.Outcome) string {
	text := "ended as " + o.Kind.String()
	if o.Kind == sdk.OutcomeFailed && o.Permanent {
		text += ", permanently"
	}
	if o.Code != "" {
		text += ", code " + o.Code
	}
	if o.Message != "" {
		text += ": " + o.Message
	}
	return text
}

// runTask runs what the trial names to its end.
func (c *pluginChecker) runTask(ctx context.Context) (string, error) {
	if c.trial.Type == "" {
		return "", skipped("no task was named to be run")
	}
	info := c.report.Info
	if info == nil {
		return "", skipped("it does not say what it offers")
	}
	i := slices.IndexFunc(info.Types, func(t sdk.TypeInfo) bool { return t.Name == c.trial.Type })
	if i < 0 {
		return "", fmt.Errorf("it does not offer task type %q", c.trial.Type)
	}
	if err := registry.CheckInput(ctx, info.Types[i], c.trial.Input); err != nil {
		return "", fmt.Errorf("a host would refuse the input: %w", err)
	}
	began := time.Now()
	o, err := c.attempt(ctx, newAttempt(c.trial.Type, c.trial.Input), c.trial.Timeout, false)
	if err != nil {
		return "", err
	}
	limit := task.DefaultLimits().MaxResult
	if info.MaxResult > 0 {
		limit = info.MaxResult
	}
	res := o.Result
	switch {
	case o.Kind == sdk.OutcomeYielded && (o.Yield == nil || o.Yield.Until.IsZero()):
		return "", errors.New("the attempt rests, and not until a time: no host wakes another kind yet, and the task would fail")
	case o.Kind == sdk.OutcomeYielded:
		return "rests until " + o.Yield.Until.Format(time.RFC3339), nil
	case o.Kind != sdk.OutcomeSucceeded:
		return "", errors.New("the attempt " + describeOutcome(o))
	case int64(len(res.Data)) > limit:
		return "", fmt.Errorf("the result has %d bytes, the limit is %d", len(res.Data), limit)
	case task.IsJSON(res.ContentType) && !json.Valid(res.Data):
		return "", fmt.Errorf("the result says it is %s and is not JSON", res.ContentType)
	}
	return fmt.Sprintf("succeeded after %s, with %d bytes of %s", time.Since(began).Round(time.Millisecond), len(res.Data), res.ContentType), nil
}

// cancelTask runs it once more, and cancels it.
func (c *pluginChecker) cancelTask(ctx context.Context) (string, error) {
	if c.trial.Type == "" {
		return "", skipped("no task was named to be run")
	}
	o, err := c.attempt(ctx, newAttempt(c.trial.Type, c.trial.Input), c.trial.Timeout, true)
	if err != nil {
		return "", err
	}
	switch o.Kind {
	case sdk.OutcomeSucceeded:
		return "had succeeded first", nil
	case sdk.OutcomeLost:
		return "", errors.New("the attempt " + describeOutcome(o))
	}
	return describeOutcome(o), nil
}

// awaitReady waits until there is a process that takes attempts, and gives it: the one before may
// have ended by what was tried on it.
func (c *pluginChecker) awaitReady(ctx context.Context) (task.Instance, error) {
	late := time.After(c.trial.Patience)
	for {
		st := c.exec.Status()
		for _, inst := range st.Instances {
			if isReady(st, inst) {
				return inst, nil
			}
		}
		select {
		case <-c.exec.Changed():
		case <-late:
			return task.Instance{}, fmt.Errorf("the plugin is not ready again: it is %s, %s (%s)", st.State, st.Reason, st.LastError)
		case <-ctx.Done():
			return task.Instance{}, ctx.Err()
		}
	}
}

// isReady says whether the executor's attempts go to this process.
func isReady(st task.ExecutorStatus, inst task.Instance) bool {
	return st.State == task.ExecutorReady && slices.ContainsFunc(st.Instances, func(i task.Instance) bool {
		return i.ID == inst.ID && i.State == string(task.ExecutorReady)
	})
}

// heartbeat: a plugin that says nothing is given up after some seconds.
func (c *pluginChecker) heartbeat(ctx context.Context) (string, error) {
	inst, err := c.awaitReady(ctx)
	if err != nil {
		return "", err
	}
	before, enough := c.exec.Status().LastError, time.After(time.Until(inst.Since.Add(c.trial.Watch)))
	for {
		st := c.exec.Status()
		switch {
		case st.LastError != before:
			return "", errors.New(st.LastError)
		case st.State == task.ExecutorReady && !isReady(st, inst):
			return "", errors.New("it ended by itself")
		}
		select {
		case <-c.exec.Changed():
		case <-enough:
			if !isReady(st, inst) {
				return "", fmt.Errorf("it is %s: %s", st.State, st.Reason)
			}
			return fmt.Sprintf("was there for %s", c.trial.Watch), nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// terminate: a process that somebody else tells to stop says so to its host, and ends.
func (c *pluginChecker) terminate(ctx context.Context) (string, error) {
	told, err := c.awaitReady(ctx)
	if err != nil {
		return "", err
	}
	before, began := c.exec.Status().LastError, time.Now()
	if err := syscall.Kill(told.Pid, syscall.SIGTERM); err != nil {
		return "", err
	}
	late := time.After(c.trial.Patience)
	for {
		st := c.exec.Status()
		there := slices.ContainsFunc(st.Instances, func(i task.Instance) bool { return i.ID == told.ID })
		switch {
		case st.LastError != before:
			return "", fmt.Errorf("it ends without a word to its host, which takes that for a failure: say Draining first (%s)", st.LastError)
		case !there && st.State == task.ExecutorReady:
			return fmt.Sprintf("said so, and was gone after %s", time.Since(began).Round(time.Millisecond)), nil
		}
		select {
		case <-c.exec.Changed():
		case <-late:
			return "", fmt.Errorf("it goes on %s after SIGTERM: say Draining, finish what runs, and exit", c.trial.Patience)
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// end: a process ends when its host asks it to.
func (c *pluginChecker) end(ctx context.Context) (string, error) {
	began := time.Now()
	if err := c.exec.Stop(ctx); err != nil {
		return "", err
	}
	if c.exec.KilledAtEnd() {
		return "", errors.New("it did not end within two seconds of Shutdown, and was killed")
	}
	return fmt.Sprintf("ended after %s", time.Since(began).Round(time.Millisecond)), nil
}

// orphan: a process does not outlive its host.
func (c *pluginChecker) orphan(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.trial.Patience)
	defer cancel()
	if err := c.sup.EndsWithHost(ctx, filepath.Base(c.trial.Path)); err != nil {
		return "", err
	}
	return "ended with it", nil
}
