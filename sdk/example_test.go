package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/sdk"
)

type greetInput struct {
	Name string `json:"name" jsonschema:"who is to be greeted"`
}

type greeting struct {
	Message string `json:"message"`
}

func greet(_ context.Context, in greetInput, _ sdk.Reporter) (greeting, error) {
	return greeting{Message: "Hello, " + in.Name + "!"}, nil
}

// A whole plugin: build it, put it into the host's plugin_dir, and name its file in an
// executor block.
func Example() {
	sdk.Serve(sdk.Plugin{
		Name:    "hello",
		Version: "1.0.0",
		New:     sdk.Scripts(sdk.Func("greet", greet)),
	})
}

// A typed function is a script. A test of one's own can call it as the host does.
func ExampleFunc() {
	executor, err := sdk.NewScripts(sdk.Func("greet", greet).Described("says hello"))
	if err != nil {
		fmt.Println(err)
		return
	}
	task := sdk.Task{Type: "greet", Input: []byte(`{"name": "world"}`)}
	result, err := sdk.Execute(context.Background(), executor, task, sdk.NewReporter(sdk.ReporterFuncs{}))
	fmt.Println(string(result.Data), err)
	// Output: {"message":"Hello, world!"} <nil>
}

// Tags bound what a client may submit: the host refuses all else before there is a task.
func ExampleFunc_bounds() {
	type order struct {
		Item  string `json:"item" jsonschema:"minLength=1,pattern=^[a-z ]+$"`
		Count int    `json:"count" jsonschema:"minimum=1,maximum=99,default=1,description=how many of it"`
	}
	script := sdk.Func("order", func(_ context.Context, in order, _ sdk.Reporter) (string, error) {
		return fmt.Sprintf("%d x %s", in.Count, in.Item), nil
	})
	fmt.Println(strings.ReplaceAll(string(script.Input), `"count"`, "\n\"count\""))
	result, err := script.Run(context.Background(), sdk.Task{Type: "order", Input: []byte(`{"item": "tea"}`)}, nil)
	fmt.Println(string(result.Data), err)
	// Output:
	// {"type":"object","properties":{"item":{"type":"string","minLength":1,"pattern":"^[a-z ]+$"},
	// "count":{"type":"integer","description":"how many of it","default":1,"minimum":1,"maximum":99}},"required":["item"],"additionalProperties":false}
	// "1 x tea" <nil>
}

// A tag that says nothing sensible is an error of NewScripts, and so of the plugin's start.
func ExampleNewScripts() {
	type input struct {
		Count int `json:"count" jsonschema:"minimum=none"`
	}
	_, err := sdk.NewScripts(sdk.Func("count", func(context.Context, input, sdk.Reporter) (int, error) { return 0, nil }))
	fmt.Println(err)
	// Output: a mistake in the program: task type "count": its input: field Count of sdk_test.input, tag jsonschema:"minimum=none": minimum=none: want a number
}

// count does not begin anew when it is interrupted.
func count(ctx context.Context, upTo int, r sdk.Reporter) (string, error) {
	at := 0
	if t, ok := sdk.TaskFrom(ctx); ok && t.Checkpoint != nil {
		at = int(t.Checkpoint[0])
	}
	from := at
	for ; at < upTo; at++ {
		if err := context.Cause(ctx); err != nil {
			return "", err // canceled, out of time, or the process ends: the host knows which
		}
		r.Progress(int64(at), int64(upTo), "counting")
		if err := r.Checkpoint([]byte{byte(at + 1)}); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("counted from %d to %d", from, at), nil
}

// A checkpoint is on record when Checkpoint returns. The next attempt finds it in its task.
func ExampleTaskFrom() {
	executor, err := sdk.NewScripts(sdk.Func("count", count))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancelCause(context.Background())
	var saved []byte // the host's record
	reporter := sdk.NewReporter(sdk.ReporterFuncs{Checkpoint: func(data []byte) error {
		saved = data
		if data[0] == 3 {
			stop(sdk.ErrDetach) // the host ends
		}
		return nil
	}})
	task := sdk.Task{Type: "count", Input: []byte("5"), Attempt: 1}
	result, err := sdk.Execute(ctx, executor, task, reporter)
	fmt.Println(sdk.OutcomeOf(ctx, result, err).Kind)

	task.Attempt, task.Checkpoint = 2, saved
	result, err = sdk.Execute(context.Background(), executor, task, sdk.NewReporter(sdk.ReporterFuncs{}))
	fmt.Println(string(result.Data), err)
	// Output:
	// interrupted
	// "counted from 3 to 5" <nil>
}

// A script spawns children, rests until they are final, and the next attempt is told what
// became of each. An attempt that is made again finds those that are there.
func ExampleYieldForChildren() {
	total := sdk.Func("total", func(ctx context.Context, files []string, r sdk.Reporter) (sum int, err error) {
		task, _ := sdk.TaskFrom(ctx)
		waiting := 0
		for _, file := range files {
			c, made := task.Child(file)
			if !made {
				_, err = r.Spawn(ctx, sdk.Child{Name: file, Type: "size", Input: file})
			}
			if !c.Final() {
				waiting++
			} else {
				var size int
				err = c.Decode(&size) // or why there is no result
				sum += size
			}
			if err != nil {
				return 0, err
			}
		}
		if waiting > 0 {
			return 0, sdk.YieldForChildren(nil, nil)
		}
		return sum, nil
	})
	executor, err := sdk.NewScripts(total)
	if err != nil {
		fmt.Println(err)
		return
	}
	var children []sdk.ChildStatus // the host's record, and its work
	reporter := sdk.NewReporter(sdk.ReporterFuncs{Spawn: func(_ context.Context, c sdk.Child) (string, error) {
		size, err := sdk.JSON(len(c.Name))
		children = append(children, sdk.ChildStatus{Name: c.Name, ID: "id of " + c.Name, Type: c.Type, State: "succeeded", Result: &size})
		return "id of " + c.Name, err
	}})
	task := sdk.Task{Type: "total", Input: []byte(`["a.txt", "bc.txt"]`), Attempt: 1}
	_, err = sdk.Execute(context.Background(), executor, task, reporter)
	fmt.Println(err)

	task.Attempt, task.Children = 2, children
	result, err := sdk.Execute(context.Background(), executor, task, reporter)
	fmt.Println(string(result.Data), err)
	// Output:
	// the task rests
	// 11 <nil>
}

// What a script reports belongs to its attempt: clients follow it while it runs.
func ExampleReporter() {
	script := sdk.Func("copy", func(_ context.Context, files []string, r sdk.Reporter) (int, error) {
		log := r.Log().With("disk", "sda")
		for i, file := range files {
			log.Info("copying", "file", file)
			r.Progress(int64(i+1), int64(len(files)), file)
		}
		return len(files), nil
	})
	reporter := sdk.NewReporter(sdk.ReporterFuncs{
		Progress: func(done, total int64, message string) { fmt.Println(done, "of", total, message) },
		Line:     func(level hclog.Level, message string, args []string) { fmt.Println(level, message, args) },
	})
	_, err := script.Run(context.Background(), sdk.Task{Type: "copy", Input: []byte(`["a", "b"]`)}, reporter)
	fmt.Println(err)
	// Output:
	// info copying [disk sda file a]
	// 1 of 2 a
	// info copying [disk sda file b]
	// 2 of 2 b
	// <nil>
}

// salutation is a plugin's config: what stands in the config block of its executor.
type salutation struct {
	Words string `json:"words"`
	Loud  bool   `json:"loud"`
}

func (s salutation) greet(_ context.Context, in greetInput, _ sdk.Reporter) (greeting, error) {
	text := s.Words + ", " + in.Name + "!"
	if s.Loud {
		text = strings.ToUpper(text)
	}
	return greeting{Message: text}, nil
}

// newGreeter is the New of a plugin with a config: the functions are methods of it.
func newGreeter(cfg sdk.Config) (sdk.Executor, error) {
	s := salutation{Words: "Hello"} // what holds where the operator says nothing
	if err := cfg.Decode(&s); err != nil {
		return nil, err
	}
	if s.Words == "" {
		return nil, errors.New("words is empty: say how to greet")
	}
	return sdk.NewScripts(sdk.Func("greet", s.greet))
}

// The operator writes
//
//	executor "greeter" {
//	  plugin = "hello"
//	  config {
//	    words = "Moin"
//	    loud  = true
//	  }
//	}
func ExampleConfig_Decode() {
	plugin := sdk.Plugin{Name: "hello", Version: "1.0.0", New: newGreeter}
	executor, err := plugin.New(sdk.NewConfig("greeter", []byte(`{"words": "Moin", "loud": true}`), nil))
	if err != nil {
		fmt.Println(err)
		return
	}
	task := sdk.Task{Type: "greet", Input: []byte(`{"name": "world"}`)}
	result, err := sdk.Execute(context.Background(), executor, task, sdk.NewReporter(sdk.ReporterFuncs{}))
	fmt.Println(string(result.Data), err)

	_, err = plugin.New(sdk.NewConfig("greeter", []byte(`{"wrods": "Moin"}`), nil))
	fmt.Println(err)
	// Output:
	// {"message":"MOIN, WORLD!"} <nil>
	// config of executor "greeter": unknown field "wrods"
}

// outcome is what the host makes of what a script returns.
func outcome(err error) sdk.Outcome {
	return sdk.OutcomeOf(context.Background(), sdk.Result{}, err)
}

// A failure is tried again, unless it says that this is no use.
func ExamplePermanent() {
	err := errors.New("there is no such file")
	for _, err := range []error{err, sdk.Permanent(err), fmt.Errorf("copy: %w", sdk.Permanent(err))} {
		o := outcome(err)
		fmt.Println(o.Code, o.Permanent, o.Message)
	}
	// Output:
	// script_failed false there is no such file
	// permanent true there is no such file
	// permanent true copy: there is no such file
}

// What is asked for too often says itself when to come again.
func ExampleRetryAfter() {
	o := outcome(sdk.RetryAfter(errors.New("429 Too Many Requests"), time.Minute))
	fmt.Println(o.Kind, o.RetryAfter, o.Message)
	// Output: failed 1m0s 429 Too Many Requests
}

// A script that waits for something need not hold its slot: it looks again later, with what
// it knows so far.
func ExampleYieldUntil() {
	tomorrow := time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC)
	o := outcome(sdk.YieldUntil(tomorrow, []byte("job 17")))
	fmt.Println(o.Kind, o.Yield.Until.Format(time.DateOnly), string(o.Yield.Checkpoint))
	// Output: yielded 2030-01-02 job 17
}

// A script whose result is no JSON is filled in by hand.
func ExampleScript() {
	script := sdk.Script{
		TypeInfo: sdk.TypeInfo{
			Name:        "dot",
			Description: "a picture of one dot",
			Input:       []byte(`{"type": "object", "properties": {"color": {"type": "string"}}, "additionalProperties": false}`),
			Defaults:    sdk.Defaults{Timeout: time.Minute, MaxAttempts: 1},
		},
		Run: func(_ context.Context, t sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
			var in struct {
				Color string `json:"color"`
			}
			if err := t.Decode(&in); err != nil {
				return sdk.Result{}, err
			}
			return sdk.Bytes("image/x-portable-bitmap", []byte("P1 1 1 1")), nil
		},
	}
	result, err := script.Run(context.Background(), sdk.Task{Type: "dot", Input: []byte(`{"color": "black"}`)}, nil)
	fmt.Println(result.ContentType, string(result.Data), err)
	// Output: image/x-portable-bitmap P1 1 1 1 <nil>
}
