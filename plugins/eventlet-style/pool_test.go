package eventlet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/sdk"
	"github.com/taskhost/taskhost/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	var scripts []Factory
	for _, s := range sdktest.Scripts() {
		scripts = append(scripts, FactoryOf(s))
	}
	sdktest.Run(t, sdktest.Harness{Plugin: Plugin("test", scripts...), Probes: true})
}

func script(name string, run runFunc) sdk.Script {
	return sdk.Script{TypeInfo: sdk.TypeInfo{Name: name}, Run: run}
}

func nothing(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }

func TestConfig(t *testing.T) {
	greeter := Factory{Name: "greet", New: func(cfg sdk.Config) (sdk.Script, error) {
		c := struct{ Word string }{"hello"}
		if err := cfg.Decode(&c); err != nil {
			return sdk.Script{}, err
		}
		return script("greet", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Text(c.Word), nil }), nil
	}}
	liar := Factory{Name: "a", New: func(sdk.Config) (sdk.Script, error) { return script("b", nothing), nil }}
	for _, c := range []struct {
		config  string
		slots   int
		scripts []Factory
		want    string // what the greeting is, or "!" and what the error contains
		size    int
	}{
		{"", 0, nil, "hello", 1000},
		{"{}", 0, nil, "hello", 1000},
		{`{"scripts": {}}`, 0, nil, "hello", 1000},
		{`{"scripts": {"greet": {}}}`, 0, nil, "hello", 1000},
		{`{"scripts": {"greet": null, "noop": null}}`, 0, nil, "hello", 1000},
		{`{"scripts": {"greet": {"word": "hi"}}, "pool_size": 7}`, 0, nil, "hi", 7},
		{`{"pool_size": 7}`, 5, nil, "hello", 5},
		{`{"pool_size": 7}`, 2000, nil, "hello", 2000},
		{`{"pool_size": 0}`, 0, nil, "!pool_size: 0", 0},
		{`{"pool_size": -1}`, 3, nil, "!pool_size", 0},
		{`{"pool": 1}`, 0, nil, `!unknown field "pool"`, 0},
		{`{"scripts": {"greet": {"wrod": "hi"}}}`, 0, nil, `!scripts.greet: config of executor "local": unknown field "wrod"`, 0},
		{`{"scripts": {"noop": {"x": 1}}}`, 0, nil, "!scripts.noop", 0},
		{`{"scripts": {"imprt": {}}}`, 0, nil, `!no script "imprt"; known are greet, noop`, 0},
		{`{"scripts": ["greet"]}`, 0, nil, "!scripts", 0},
		{"", 0, []Factory{liar}, `!scripts.a: the script calls itself "b"`, 0},
		{"", 0, []Factory{greeter, greeter}, "!stands twice", 0},
	} {
		if c.scripts == nil {
			c.scripts = []Factory{greeter, FactoryOf(script("noop", nothing))}
		}
		cfg := sdk.NewConfig("local", []byte(c.config), nil)
		cfg.Slots = c.slots
		e, err := Plugin("1", c.scripts...).New(cfg)
		if want, bad := strings.CutPrefix(c.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q", c.config, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.config, err)
			continue
		}
		info, err := e.Describe(t.Context())
		if err != nil || info.Slots != c.size || len(info.Types) != 2 {
			t.Errorf("%s: %+v, %v", c.config, info, err)
		}
		res, err := e.Execute(t.Context(), sdk.Task{Type: "greet"}, sdk.NewReporter(sdk.ReporterFuncs{}))
		if err != nil || string(res.Data) != c.want {
			t.Errorf("%s: says %q, %v, want %q", c.config, res.Data, err, c.want)
		}
	}
}

func task(n byte) sdk.Task {
	return sdk.Task{ID: fmt.Sprintf("t%d", n), Type: "gate", Attempt: 1, Token: sdk.Token{n}}
}

// The pool runs no more at once than it has slots; the next waits, and can be
// called off while it does.
func TestPoolIsBounded(t *testing.T) {
	entered, open := make(chan string, 10), make(chan struct{})
	p, err := newPool([]sdk.Script{script("gate", func(_ context.Context, t sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		entered <- t.ID
		<-open
		return sdk.Result{}, nil
	})}, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := byte(1); n <= 2; n++ {
		all.Go(func() {
			if _, err := p.Execute(t.Context(), task(n), nil); err != nil {
				t.Error(err)
			}
		})
	}
	<-entered
	<-entered
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(sdk.ErrCancel)
	_, err = p.Execute(ctx, task(3), nil)
	if !errors.Is(err, sdk.ErrCancel) || sdk.OutcomeOf(ctx, sdk.Result{}, err).Kind != sdk.OutcomeCanceled {
		t.Errorf("called off while it waited: %v", err)
	}
	detached, detach := context.WithCancelCause(t.Context())
	detach(sdk.ErrDetach)
	if _, err := p.Execute(detached, task(3), nil); !errors.Is(err, sdk.ErrReleased) {
		t.Errorf("let go while it waited: %v", err)
	}
	if err := p.Revert(detached, task(3), nil); !errors.Is(err, sdk.ErrReleased) {
		t.Errorf("a revert that is let go while it waits: %v", err)
	}
	if len(entered) != 0 {
		t.Errorf("%s ran beyond the pool", <-entered)
	}
	// A token that runs is joined, and waits for no slot of its own.
	if _, err := p.Execute(ctx, task(1), nil); !errors.Is(err, sdk.ErrCancel) || strings.Contains(err.Error(), "waited for") {
		t.Errorf("a second call for a token that runs: %v", err)
	}
	all.Go(func() {
		if _, err := p.Execute(t.Context(), task(4), nil); err != nil {
			t.Error(err)
		}
	})
	close(open)
	all.Wait()
	if got := <-entered; got != "t4" || len(entered) != 0 {
		t.Errorf("%s ran, and %d more", got, len(entered))
	}
}

func TestPanicFreesItsSlot(t *testing.T) {
	p, err := newPool([]sdk.Script{script("gate", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { panic("ouch") })}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := byte(1); n <= 3; n++ {
		if _, err := sdk.Execute(t.Context(), p, task(n), nil); err == nil || !strings.Contains(err.Error(), "ouch") {
			t.Fatal(err)
		}
	}
	if len(p.slots) != 0 {
		t.Error("the slot is not free")
	}
}

// lines takes a log's lines one by one.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// A script that does not return although its context ended keeps its slot, and
// the log says so, with how many there are; it says too when it returns at last.
func TestOverdueIsVisible(t *testing.T) {
	open, said := make(chan struct{}), make(lines, 10)
	p, err := newPool([]sdk.Script{script("gate", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
		<-open
		return sdk.Result{}, nil
	})}, 3, hclog.New(&hclog.LoggerOptions{Output: said}))
	if err != nil {
		t.Fatal(err)
	}
	p.overdueAfter = 1
	ctx, cancel := context.WithCancelCause(t.Context())
	var all sync.WaitGroup
	for n := byte(1); n <= 2; n++ {
		all.Go(func() { _, _ = p.Execute(ctx, task(n), nil) })
	}
	cancel(sdk.ErrCancel)
	first, second := <-said, <-said
	if !strings.Contains(first, "[WARN]") || !strings.Contains(first, "cause=canceled") || !strings.Contains(first+second, "overdue=1") || !strings.Contains(first+second, "overdue=2") {
		t.Errorf("%s%s", first, second)
	}
	if n := len(p.slots); n != 2 {
		t.Errorf("%d slots are taken, want 2", n)
	}
	close(open)
	all.Wait()
	if first, second := <-said, <-said; !strings.Contains(first, "has returned") || !strings.Contains(second, "overdue=0") && !strings.Contains(first, "overdue=0") {
		t.Errorf("%s%s", first, second)
	}
	if p.overdue.Load() != 0 || len(p.slots) != 0 {
		t.Error("something is still counted")
	}
}

// What the executor itself costs: it must not be seen beside a store's commit.
func BenchmarkExecute(b *testing.B) {
	e, err := Plugin("1", FactoryOf(script("noop", nothing))).New(sdk.NewConfig("local", nil, nil))
	if err != nil {
		b.Fatal(err)
	}
	r := sdk.NewReporter(sdk.ReporterFuncs{})
	b.ReportAllocs()
	n := byte(0)
	ctx, cancel := context.WithCancelCause(b.Context())
	defer cancel(nil)
	for b.Loop() {
		n++
		if _, err := e.Execute(ctx, sdk.Task{Type: "noop", Token: sdk.Token{n}}, r); err != nil {
			b.Fatal(err)
		}
	}
}

// A script's upkeep begins when the host asks what there is, not when a config is
// checked, and ends with the pool.
func TestUpkeepEndsWithThePool(t *testing.T) {
	begun, ended := make(chan struct{}, 9), make(chan struct{}, 9)
	kept := script("kept", nothing)
	kept.Upkeep = func(ctx context.Context) {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
	}
	p := Plugin("test", FactoryOf(kept))
	cfg := sdk.NewConfig("local", nil, nil)
	if err := p.Check(cfg); err != nil {
		t.Fatal(err)
	}
	e, err := p.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(begun) > 0 {
		t.Error("it began before it was asked for")
	}
	if _, err := e.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := e.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
	if len(ended) != 1 || len(begun) != 0 {
		t.Errorf("%d ended, %d more begun", len(ended), len(begun))
	}
}
