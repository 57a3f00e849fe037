package board

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// defaultSlots is how many claims may be held on an executor where nobody says otherwise.
const defaultSlots = 1000

// config is what an executor block of a board may have.
type config struct {
	Types  []string                  `json:"types" jsonschema:"the task types that the board offers, beside those that task_type blocks place on it"`
	Inputs map[string]map[string]any `json:"inputs" jsonschema:"the JSON Schema that inputs of a type must match, by the type's name; a type without one takes any"`
}

// Plugin makes the executors of this board.
func (b *Board) Plugin(version string) sdk.Plugin {
	return sdk.Plugin{Name: PluginName, Version: version, ConfigSchema: sdk.ConfigSchema(config{}), Nodes: true,
		New:   func(cfg sdk.Config) (sdk.Executor, error) { return newExecutor(b, cfg) },
		Check: func(cfg sdk.Config) error { _, err := newExecutor(b, cfg); return err },
	}
}

// executor is one executor of the config that is a board.
type executor struct {
	sdk.Irreversible
	board *Board
	name  string
	slots int
	types []sdk.TypeInfo
}

func newExecutor(b *Board, cfg sdk.Config) (*executor, error) {
	var c config
	if err := cfg.Decode(&c); err != nil {
		return nil, err
	}
	x := &executor{board: b, name: cfg.Executor, slots: cfg.Slots}
	if x.slots == 0 {
		x.slots = defaultSlots
	}
	for i, name := range c.Types {
		if !sdk.ValidTypeName(name) {
			return nil, fmt.Errorf("types: %q is no name of a task type: it has letters, digits, '.', '_' and '-', and begins with a letter", name)
		}
		if slices.Contains(c.Types[:i], name) {
			return nil, fmt.Errorf("types: %q stands there twice", name)
		}
		info := sdk.TypeInfo{Name: name}
		if schema, ok := c.Inputs[name]; ok {
			data, err := json.Marshal(schema)
			if err != nil {
				return nil, fmt.Errorf("inputs.%s: %w", name, err)
			}
			info.Input = data
		}
		x.types = append(x.types, info)
	}
	for name := range c.Inputs {
		if !slices.Contains(c.Types, name) {
			return nil, fmt.Errorf("inputs: %q is none of types", name)
		}
	}
	return x, nil
}

// Describe says what the config does. A board has no nodes: it is claimed from.
func (x *executor) Describe(context.Context) (sdk.Info, error) {
	return sdk.Info{Types: x.types, Slots: x.slots, Deferred: true, Outlives: true}, nil
}

// Settled has the worker that ended the attempt told so.
func (x *executor) Settled(t sdk.Token) { x.board.settle(t) }

// Execute gives the attempt to the worker that asked, or joins it where it is, and waits for
// what the worker says of it.
func (x *executor) Execute(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	c, err := x.claim(t, r)
	if err != nil {
		return sdk.Result{}, err
	}
	defer c.notSuspect()
	stopped := ctx.Done()
	for {
		select {
		case o := <-c.out:
			return o.result, o.err
		case <-c.settled: // by others: it took too long to stop
			return sdk.Result{}, sdk.ErrLost
		case <-stopped:
			stopped = nil
			if !errors.Is(context.Cause(ctx), sdk.ErrDetach) {
				c.tellStop(stopOf(context.Cause(ctx)))
				continue
			}
		case <-x.board.closing:
		}
		if c.letGo() {
			return sdk.Result{}, sdk.ErrDetach
		}
		o := <-c.out
		return o.result, o.err
	}
}

func stopOf(cause error) Stop {
	switch {
	case errors.Is(cause, sdk.ErrTimeout), errors.Is(cause, context.DeadlineExceeded):
		return StopTimeout
	case errors.Is(cause, sdk.ErrPause):
		return StopPause
	}
	return StopCancel
}

// claim makes the claim of an attempt that has begun: its start is on record.
func (x *executor) claim(t sdk.Task, r sdk.Reporter) (*claim, error) {
	id, err := task.ParseID(t.ID)
	if err != nil {
		return nil, err
	}
	c := &claim{board: x.board, token: t.Token, task: id, taskType: t.Type, attempt: t.Attempt, suspect: t.Suspect, executor: x.name, reporter: r,
		out: make(chan ended, 1), settled: make(chan struct{})}
	if t.Rejoin {
		return c, c.rejoin(t.Handle)
	}
	return c, c.begin(t.MinVersion)
}

// rejoin has the claim go on that an earlier host gave.
func (c *claim) rejoin(data []byte) (err error) {
	if len(data) == 0 { // no start is on record: nobody has it
		return sdk.ErrReleased
	}
	if c.handle, err = parseHandle(data); err != nil {
		return sdk.ErrLost
	}
	b := c.board
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return sdk.ErrDetach
	}
	c.countSuspect(1)
	c.lease = NewLease(c.handle.Lease, b.clock+tickEvery)
	b.claims[c.token] = c
	return nil
}

// begin gives the attempt to the ask that it was claimed for. Its start is on record before
// the worker hears of it.
func (c *claim) begin(minVersion string) error {
	b := c.board
	b.mu.Lock()
	a, owner := b.expected[c.token].ask, b.expected[c.token].owner
	delete(b.expected, c.token)
	if a == nil {
		b.mu.Unlock()
		return sdk.ErrReleased
	}
	c.handle = handle{Worker: a.Worker, Owner: owner, Since: b.opts.Now().UTC().Truncate(time.Microsecond), Lease: a.Lease}
	wanted := !a.gone && !b.closed && sdk.NewEnough(a.Version, minVersion) // the rule may have changed meanwhile
	b.mu.Unlock()
	var err error
	if wanted {
		err = c.reporter.Started(c.handle.encode(), c.handle.Worker)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a.coming--
	a.signal()
	if !wanted || err != nil || a.gone || b.closed {
		c.countSuspect(-1)
		return sdk.ErrReleased
	}
	c.lease = NewLease(a.Lease, b.clock+tickEvery)
	b.claims[c.token] = c
	a.claims = append(a.claims, Claim{Task: c.task, Token: c.token, LeaseUntil: b.shown(c.lease)})
	return nil
}
