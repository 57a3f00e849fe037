package sdk

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// asyncFunc is an AsyncExecutor that is one function.
type asyncFunc struct {
	Executor
	begin func(done func(Result, error))
}

func (x asyncFunc) ExecuteAsync(_ context.Context, _ Task, _ Reporter, done func(Result, error)) {
	x.begin(done)
}

func TestExecuteAsync(t *testing.T) {
	var typedNil *nilError
	for name, c := range map[string]struct {
		begin func(done func(Result, error))
		want  OutcomeKind
		says  string
	}{
		"succeeds":                          {func(done func(Result, error)) { done(Text("ok"), nil) }, OutcomeSucceeded, ""},
		"ends again":                        {func(done func(Result, error)) { done(Text("ok"), nil); done(Result{}, ErrLost) }, OutcomeSucceeded, ""},
		"ends in a goroutine":               {func(done func(Result, error)) { go done(Result{}, ErrLost) }, OutcomeLost, ""},
		"panics":                            {func(func(Result, error)) { panic("oh no") }, OutcomeFailed, "panic: oh no"},
		"ends with an error that panics":    {func(done func(Result, error)) { done(Result{}, typedNil) }, OutcomeFailed, "panic: "},
		"ends elsewhere with one that does": {func(done func(Result, error)) { go done(Result{}, typedNil) }, OutcomeFailed, "panic: "},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			res, err := Await(func(done func(Result, error)) {
				ExecuteAsync(t.Context(), asyncFunc{begin: c.begin}, Task{}, NewReporter(ReporterFuncs{}), func(res Result, err error) {
					if calls++; calls > 1 {
						t.Error("done was called again")
						return
					}
					done(res, err)
				})
			})
			if o := OutcomeOf(t.Context(), res, err); o.Kind != c.want || !strings.HasPrefix(o.Message, c.says) {
				t.Errorf("%+v", o)
			}
		})
	}
}

// A panic of whoever is told would leave the attempt without an end, and is no executor's.
func TestExecuteAsyncPassesOnCallersPanic(t *testing.T) {
	defer func() {
		if v := recover(); v != "the caller's" {
			t.Errorf("recovered %v", v)
		}
	}()
	ExecuteAsync(t.Context(), asyncFunc{begin: func(done func(Result, error)) { done(Result{}, errors.New("x")) }}, Task{},
		NewReporter(ReporterFuncs{}), func(Result, error) { panic("the caller's") })
}
