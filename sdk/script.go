package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"
)

var errCheckpointTooLarge = fmt.Errorf("checkpoint is larger than %d bytes", MaxCheckpoint)

// Script is one task type and the code that does its work. Make one with Func,
// or fill it in where the input or the result is not a Go value.
type Script struct {
	TypeInfo
	// Run makes one attempt, by the rules of Executor.Execute.
	Run func(ctx context.Context, t Task, r Reporter) (Result, error)
	// Undo reverts what Run did, by the rules of Executor.Revert; nil if nothing can be
	// undone. No host has anything undone yet.
	Undo func(ctx context.Context, t Task, r Reporter) error
	// Upkeep does what belongs to no attempt, such as removing what killed ones left;
	// nil if there is nothing to do. It runs in a goroutine of its own from the
	// executor's first Describe, for a config that is only checked must do nothing, until
	// the executor is closed. It returns soon after ctx is done, and must not panic.
	Upkeep func(ctx context.Context)

	fault error // why no executor takes it: a mistake that Func found
}

// Func makes a script of a typed function. The schema of the input is derived from In and
// that of the result from Out, as encoding/json reads and writes them: json tags name the
// fields, and a field is required unless its tag has omitempty or omitzero, or it has a
// default. A jsonschema tag describes a field or bounds its values:
//
//	Name  string   `json:"name" jsonschema:"who is to be greeted"`
//	Times int      `json:"times" jsonschema:"minimum=1,maximum=10,default=1,description=how often"`
//	Tone  string   `json:"tone,omitempty" jsonschema:"enum=warm,enum=cold"`
//	Tags  []string `json:"tags,omitempty" jsonschema:"maxItems=5,pattern=^[a-z]{2\\,8}$"`
//
// The keywords are those of JSON Schema: minimum, maximum, exclusiveMinimum,
// exclusiveMaximum and multipleOf for numbers; minLength, maxLength, pattern and format for
// strings; minItems, maxItems and uniqueItems for lists, minProperties and maxProperties for
// maps; enum and example, once for each value; default, title, deprecated, and description,
// which comes last; and writeOnly=true, by which the host keeps a value encrypted, shows it to
// nobody, and gives it to the script alone. What bounds a string or a number holds for each of a list or a map. A
// comma within a value is written \\, and the host refuses at submit what does not match.
// What a client leaves out has its default when fn is called.
//
// A type that has no JSON, or a tag that says nothing sensible, is refused with a sentence by
// NewScripts and Scripts, and so by the plugin's first start: it is a mistake of the program.
func Func[In, Out any](name string, fn func(ctx context.Context, in In, r Reporter) (Out, error)) Script {
	s := Script{TypeInfo: TypeInfo{Name: name}}
	input, err := schemaOf(reflect.TypeFor[In]())
	if err != nil {
		return s.refused(fmt.Errorf("its input: %w", err))
	}
	result, err := schemaOf(reflect.TypeFor[Out]())
	if err != nil {
		return s.refused(fmt.Errorf("its result: %w", err))
	}
	if s.Input, err = json.Marshal(input); err == nil {
		s.Result, err = json.Marshal(result)
	}
	switch {
	case err != nil:
		return s.refused(err)
	case fn == nil:
		return s.refused(errors.New("the function is nil"))
	}
	decode := decoderOf[In](input)
	s.Run = func(ctx context.Context, t Task, r Reporter) (Result, error) {
		in, err := decode(t.Type, t.Input)
		if err != nil {
			return Result{}, err
		}
		out, err := fn(&taskContext{ctx, t}, in, r)
		if err != nil {
			return Result{}, err
		}
		return JSON(out)
	}
	return s
}

// refused is the script as one that no executor takes, for this reason.
func (s Script) refused(why error) Script {
	s.fault = fmt.Errorf("task type %q: %w", s.Name, why)
	s.Run = func(context.Context, Task, Reporter) (Result, error) { return Result{}, Permanent(s.fault) }
	return s
}

// Described returns the script with a description for operators and clients.
func (s Script) Described(text string) Script {
	s.Description = text
	return s
}

// Versioned returns the script with the version of its type: see TypeInfo.Version.
func (s Script) Versioned(version string) Script {
	s.Version = version
	return s
}

// With returns the script with the author's defaults.
func (s Script) With(d Defaults) Script {
	s.Defaults = d
	return s
}

// decoderOf reads inputs, with the defaults of their schema, as Task.Decode does.
func decoderOf[In any](schema *jsonschema.Schema) func(taskType string, input json.RawMessage) (In, error) {
	plain := newPlainType(reflect.TypeFor[In]())
	defaults := hasDefaults(schema)
	return func(taskType string, input json.RawMessage) (In, error) {
		if defaults {
			input = withDefaults(schema, input)
		}
		var in In
		if plain.decode(input, reflect.ValueOf(&in).Elem()) {
			return in, nil
		}
		var other In // the first may hold some of it
		err := Task{Type: taskType, Input: input}.Decode(&other)
		return other, err
	}
}

// taskContext is the context of a function made with Func.
type taskContext struct {
	context.Context
	task Task
}

type taskKey struct{}

func (c *taskContext) Value(key any) any {
	if key == (taskKey{}) {
		return &c.task
	}
	return c.Context.Value(key)
}

// TaskFrom is the attempt that a function made with Func serves: its id, number
// and checkpoint, for those that need them. False outside of such a function.
func TaskFrom(ctx context.Context) (Task, bool) {
	t, ok := ctx.Value(taskKey{}).(*Task)
	if !ok {
		return Task{}, false
	}
	return *t, true
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

// NewScripts makes an Executor of scripts. It fails if a name is invalid or stands twice, a
// script has no Run, or Func found a mistake in one.
func NewScripts(scripts ...Script) (Executor, error) {
	e := &scriptExecutor{byName: make(map[string]Script, len(scripts))}
	e.open, e.close = context.WithCancel(context.Background())
	for _, s := range scripts {
		switch {
		case !ValidTypeName(s.Name):
			return nil, fmt.Errorf("task type %q: a name is 1 to 100 letters, digits, '.', '_' or '-' and begins with a letter", s.Name)
		case s.fault != nil:
			return nil, fmt.Errorf("a mistake in the program: %w", s.fault)
		case s.CheckVersions() != nil:
			return nil, s.CheckVersions()
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
