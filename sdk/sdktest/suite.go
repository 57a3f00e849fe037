package sdktest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/sdk"
)

// Run checks that h's executor keeps the contract.
func Run(t *testing.T, h Harness) {
	h = h.complete()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Run("config", func(t *testing.T) { refusesUnknownKeys(t, h, w) })
			config := h.Config
			if h.Setup != nil {
				config = h.Setup(t)
			}
			e, err := w.make(t, h.Plugin, config)
			if err != nil {
				t.Fatalf("make the executor: %v", err)
			}
			if h.Ready != nil {
				h.Ready(t, e)
			}
			s := &suite{Harness: h, way: w, exec: e}
			if s.info, err = e.Describe(t.Context()); err != nil {
				t.Fatalf("describe: %v", err)
			}
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					if c.probes && !h.Probes {
						t.Skip("is about executors, and needs one that runs the suite's own scripts (Harness.Probes)")
					}
					c.run(t, s)
				})
			}
			if n := s.endedAgain.Load(); n > 0 {
				t.Errorf("done was called more than once for %d attempts of ExecuteAsync", n)
			}
		})
	}
}

// suite is one executor under test.
type suite struct {
	Harness
	way  way
	exec sdk.Executor
	info sdk.Info

	endedAgain atomic.Int64 // how often an attempt of ExecuteAsync ended that had
}

type testCase struct {
	name   string
	probes bool // needs the probe scripts
	run    func(t *testing.T, s *suite)
}

// attempt is one Execute or Revert that the suite makes, and what it says.
type attempt struct {
	suite  *suite
	task   sdk.Task
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{}
	out    sdk.Outcome

	spoke  chan struct{} // closed with the first report of any kind
	once   sync.Once
	refuse error // what Checkpoint and Spawn answer

	interrupt error // what the context ends with at the first checkpoint; nil for none

	mu          sync.Mutex
	started     int
	handle      []byte
	at          int64
	total       int64
	checkpoints [][]byte
	children    []sdk.Child
	log         bytes.Buffer
	returned    bool
	afterwards  int // reports that came after the return
}

func newTask(c Case) sdk.Task {
	var id [6]byte
	_, _ = rand.Read(id[:])
	t := sdk.Task{ID: fmt.Sprintf("01990f4e-0000-7000-8000-%x", id), Type: c.Type, Attempt: 1, Input: []byte(c.Input)}
	_, _ = rand.Read(t.Token[:])
	return t
}

func (s *suite) newAttempt(task sdk.Task) *attempt {
	a := &attempt{suite: s, task: task, done: make(chan struct{}), spoke: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancelCause(context.Background())
	return a
}

// start begins an attempt at c.
func (s *suite) start(c Case) *attempt { return s.newAttempt(newTask(c)).execute() }

func (a *attempt) execute() *attempt {
	go a.finish(func() (sdk.Result, error) {
		if e, ok := a.suite.exec.(sdk.AsyncExecutor); ok {
			return sdk.Await(func(done func(sdk.Result, error)) { a.executeAsync(e, done) })
		}
		return sdk.Execute(a.ctx, a.suite.exec, a.task, a.reporter())
	})
	return a
}

func (a *attempt) executeAsync(e sdk.AsyncExecutor, done func(sdk.Result, error)) {
	var ends atomic.Int64
	e.ExecuteAsync(a.ctx, a.task, a.reporter(), func(res sdk.Result, err error) {
		if ends.Add(1) == 1 {
			done(res, err)
		} else {
			a.suite.endedAgain.Add(1)
		}
	})
}

func (a *attempt) revert() *attempt {
	go a.finish(func() (sdk.Result, error) {
		return sdk.Result{}, sdk.Revert(a.ctx, a.suite.exec, a.task, a.reporter())
	})
	return a
}

func (a *attempt) finish(run func() (sdk.Result, error)) {
	res, err := run()
	a.out = sdk.OutcomeOf(a.ctx, res, err)
	a.mu.Lock()
	a.returned = true
	a.mu.Unlock()
	if s, ok := a.suite.exec.(sdk.Settler); ok {
		s.Settled(a.task.Token)
	}
	a.cancel(nil)
	close(a.done)
}

// line keeps what the attempt logs.
func (a *attempt) line(level hclog.Level, msg string, args []string) {
	defer a.said()
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintf(&a.log, "[%s] %s %s\n", strings.ToUpper(level.String()), msg, strings.Join(args, " "))
}

func (a *attempt) said() { a.once.Do(func() { close(a.spoke) }) }

func (a *attempt) reporter() sdk.Reporter {
	note := func(f func()) {
		a.mu.Lock()
		if a.returned {
			a.afterwards++
		}
		f()
		a.mu.Unlock()
		a.said()
	}
	return sdk.NewReporter(sdk.ReporterFuncs{
		Started: func(handle []byte, _ string) error {
			note(func() { a.started++; a.handle = bytes.Clone(handle) })
			return nil
		},
		Progress: func(done, total int64, _ string) {
			note(func() { a.at, a.total = done, total })
		},
		Checkpoint: func(data []byte) error {
			if a.refuse != nil {
				return a.refuse
			}
			note(func() { a.checkpoints = append(a.checkpoints, bytes.Clone(data)) })
			if a.interrupt != nil {
				a.cancel(a.interrupt)
			}
			return nil
		},
		Spawn: func(_ context.Context, c sdk.Child) (string, error) {
			if a.refuse != nil {
				return "", a.refuse
			}
			note(func() { a.children = append(a.children, c) })
			return childID(c.Name), nil
		},
		Line: a.line,
	})
}

// childID is the id of a child, as the suite gives it: one to a name.
func childID(name string) string { return "id of " + name }

// spawned are the children so far.
func (a *attempt) spawned() []sdk.Child {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.children)
}

// saved are the checkpoints so far: a script may go on speaking after it has returned.
func (a *attempt) saved() [][]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.checkpoints)
}

// running waits until the attempt has said something, where it is known to.
func (a *attempt) running(t *testing.T) {
	t.Helper()
	if !isProbe(a.task.Type) {
		return // it may not have begun yet, which no caller may rely on either
	}
	select {
	case <-a.spoke:
	case <-a.done:
		t.Fatalf("the attempt ended with %s before it was told to: %s", a.out.Kind, a.out.Message)
	case <-time.After(a.suite.Patience):
		t.Fatal("the attempt did not say that it runs")
	}
}

// wait gives the outcome.
func (a *attempt) wait(t *testing.T) sdk.Outcome {
	t.Helper()
	select {
	case <-a.done:
	case <-time.After(a.suite.Patience):
		t.Fatalf("no outcome of a task of type %q within %s", a.task.Type, a.suite.Patience)
	}
	return a.out
}

// succeeds waits for a success, and has the case check what it leaves.
func (c Case) succeeds(t *testing.T, a *attempt) sdk.Outcome {
	t.Helper()
	o := a.wait(t)
	want(t, o, sdk.OutcomeSucceeded)
	if c.Result != nil {
		c.Result(t, o.Result)
	}
	return o
}

// want checks the kind of an outcome.
func want(t *testing.T, o sdk.Outcome, kinds ...sdk.OutcomeKind) {
	t.Helper()
	for _, k := range kinds {
		if o.Kind == k {
			return
		}
	}
	t.Fatalf("the outcome is %s (code %q, message %q), want %v", o.Kind, o.Code, o.Message, kinds)
}

// offered skips a case that the harness has no task for.
func (c Case) offered(t *testing.T, field string) Case {
	t.Helper()
	if c.Type == "" {
		t.Skipf("the harness offers no such task (Harness.%s)", field)
	}
	return c
}
