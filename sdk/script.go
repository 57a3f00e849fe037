package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
)

var errCheckpointTooLarge = fmt.Errorf("checkpoint is larger than %d bytes", MaxCheckpoint)

// Script is one task type and the code that does its work. Make one with Func,
// or fill it in where the input or the result is not a Go value.
type Script struct {
	TypeInfo
	// Run makes one attempt, by the rules of Executor.Execute.
	Run func(ctx context.Context, t Task, r Reporter) (Result, error)
	// Undo reverts it, by the rules of Executor.Revert; nil if nothing can be undone.
	Undo func(ctx context.Context, t Task, r Reporter) error
	// Upkeep does what belongs to no attempt, such as removing what killed ones left;
	// nil if there is nothing to do. It runs in a goroutine of its own from the
	// executor's first Describe, for a config that is only checked must do nothing, until
	// the executor is closed. It returns soon after ctx is done, and must not panic.
	Upkeep func(ctx context.Context)
}

// Func makes a script of a typed function. The input's schema is derived from
// In, the result's from Out: json tags name the fields, omitempty or omitzero makes one optional, a
// jsonschema tag describes it. It panics if no schema can be derived (a channel
// or a function inside In), which is a mistake of the program, not of a task.
func Func[In, Out any](name string, fn func(ctx context.Context, in In, r Reporter) (Out, error)) Script {
	return Script{
		TypeInfo: TypeInfo{Name: name, Input: schemaFor[In](name), Result: schemaFor[Out](name)},
		Run: func(ctx context.Context, t Task, r Reporter) (Result, error) {
			var in In
			if err := t.Decode(&in); err != nil {
				return Result{}, err
			}
			out, err := fn(context.WithValue(ctx, taskKey{}, t), in, r)
			if err != nil {
				return Result{}, err
			}
			return JSON(out)
		},
	}
}

// Described returns the script with a description for operators and clients.
func (s Script) Described(text string) Script {
	s.Description = text
	return s
}

// With returns the script with the author's defaults.
func (s Script) With(d Defaults) Script {
	s.Defaults = d
	return s
}

type taskKey struct{}

// TaskFrom is the attempt that a function made with Func serves: its id, number
// and checkpoint, for those that need them. False outside of such a function.
func TaskFrom(ctx context.Context) (Task, bool) {
	t, ok := ctx.Value(taskKey{}).(Task)
	return t, ok
}

func schemaFor[T any](name string) json.RawMessage {
	s, err := schemaOf(reflect.TypeFor[T]())
	if err != nil {
		panic(fmt.Sprintf("sdk.Func(%q): no JSON Schema for %T: %v", name, *new(T), err))
	}
	data, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("sdk.Func(%q): %v", name, err))
	}
	return data
}

// Scripts makes a Plugin's New of scripts that need no config. The executor runs
// each attempt in the goroutine that Execute was called in.
func Scripts(scripts ...Script) func(Config) (Executor, error) {
	return func(cfg Config) (Executor, error) {
		if err := cfg.Decode(&struct{}{}); err != nil {
			return nil, err
		}
		return NewScripts(scripts...)
	}
}

// NewScripts makes an Executor of scripts. It fails if a name is invalid or
// stands twice, or a script has no Run.
func NewScripts(scripts ...Script) (Executor, error) {
	e := &scriptExecutor{byName: make(map[string]Script, len(scripts))}
	e.open, e.close = context.WithCancel(context.Background())
	for _, s := range scripts {
		switch {
		case !ValidTypeName(s.Name):
			return nil, fmt.Errorf("task type %q: a name is 1 to 100 letters, digits, '.', '_' or '-' and begins with a letter", s.Name)
		case s.Run == nil:
			return nil, fmt.Errorf("task type %q has no Run", s.Name)
		case e.byName[s.Name].Run != nil:
			return nil, fmt.Errorf("task type %q stands twice", s.Name)
		}
		s.Revertible = s.Undo != nil
		e.byName[s.Name] = s
		if s.Upkeep != nil {
			e.upkeep = append(e.upkeep, s.Upkeep)
		}
		e.info.Types = append(e.info.Types, s.TypeInfo)
	}
	if len(e.info.Types) == 0 {
		return nil, errors.New("an executor of scripts needs at least one")
	}
	return e, nil
}

type scriptExecutor struct {
	info   Info
	byName map[string]Script
	joins  JoinTable

	upkeep  []func(context.Context)
	start   sync.Once
	open    context.Context // ends with close
	close   context.CancelFunc
	running sync.WaitGroup // upkeep that has not returned
}

func (e *scriptExecutor) Describe(context.Context) (Info, error) {
	e.start.Do(func() {
		for _, keep := range e.upkeep {
			e.running.Go(func() { keep(e.open) })
		}
	})
	return e.info, nil
}

// Close ends the scripts' upkeep and waits for it.
func (e *scriptExecutor) Close() error {
	e.start.Do(func() {}) // a Describe that comes too late starts nothing
	e.close()
	e.running.Wait()
	return nil
}

func (e *scriptExecutor) Execute(ctx context.Context, t Task, r Reporter) (Result, error) {
	s, ok := e.byName[t.Type]
	if !ok && !t.Rejoin {
		return Result{}, unknownType(t.Type)
	}
	return e.joins.Do(ctx, t, func() (Result, error) { return s.Run(ctx, t, r) })
}

func (e *scriptExecutor) Revert(ctx context.Context, t Task, r Reporter) error {
	s, ok := e.byName[t.Type]
	if !ok {
		return unknownType(t.Type)
	}
	if s.Undo == nil {
		return Permanent(errIrreversible)
	}
	return s.Undo(ctx, t, r)
}

func unknownType(name string) error {
	return FailedWith(Outcome{Kind: OutcomeFailed, Code: CodeExecutorFailed, Permanent: true,
		Message: fmt.Sprintf("this executor does not know task type %q", name)})
}
