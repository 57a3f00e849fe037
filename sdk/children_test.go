package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// What is wrong with a child is said where it is spawned, and nobody is asked.
func TestBadChildren(t *testing.T) {
	r := NewReporter(ReporterFuncs{Spawn: func(context.Context, Child) (string, error) {
		t.Error("the host is asked")
		return "", nil
	}})
	for says, c := range map[string]Child{
		"its name has 0 bytes":       {Type: "t"},
		"its name has 256 bytes":     {Name: strings.Repeat("n", 256), Type: "t"},
		"no task type's name":        {Name: "n", Type: "7"},
		"not JSON":                   {Name: "n", Type: "t", Input: []byte("{")},
		"unsupported value":          {Name: "n", Type: "t", Input: math.NaN()},
		"its input has":              {Name: "n", Type: "t", Input: make([]byte, maxPayload+1)},
		"at most 131072 are taken":   {Name: "n", Type: "t", Shared: []string{strings.Repeat("s", maxChildText)}},
		"or its resources are not U": {Name: "n", Type: "t", Labels: map[string]string{"k": "\xff"}},
	} {
		_, err := r.Spawn(t.Context(), c)
		if o := OutcomeOf(t.Context(), Result{}, err); err == nil || !o.Permanent || !strings.Contains(o.Message, says) || len(o.Message) > 1000 {
			t.Errorf("want %q, permanently: %+v", says, o)
		}
	}
	if _, err := NewReporter(ReporterFuncs{}).Spawn(t.Context(), Child{Name: "n", Type: "t"}); !OutcomeOf(t.Context(), Result{}, err).Permanent {
		t.Errorf("where nobody takes children: %v", err)
	}
}

func TestInputOfAChild(t *testing.T) {
	for _, c := range []struct {
		input any
		want  string
	}{{nil, "null"}, {[]byte(nil), "null"}, {json.RawMessage(`[1]`), "[1]"}, {[]byte(`{"a":1}`), `{"a":1}`}, {struct{ A int }{2}, `{"A":2}`}, {"text", `"text"`}} {
		child := Child{Name: "n", Type: "t", Input: c.input}
		if err := child.prepare(); err != nil || string(child.Input.(json.RawMessage)) != c.want {
			t.Errorf("%v: %s, %v", c.input, child.Input, err)
		}
	}
}

// spawner is a plugin whose script spawns one child and says its id.
func spawner() Plugin {
	return Plugin{Name: "spawner", Version: "1", New: Scripts(Script{TypeInfo: TypeInfo{Name: "spawn"}, Run: func(ctx context.Context, _ Task, r Reporter) (Result, error) {
		id, err := r.Spawn(ctx, Child{Name: "a", Type: "t", Input: 7})
		return Text(id), err
	}})}
}

// A child that no host has answered for is asked for again at the next one.
func TestSpawnIsRepeated(t *testing.T) {
	s := newServer(spawner())
	cc := serveTest(t, s)
	first := connectTest(t, cc, HostOptions{Epoch: 1, Survive: true})
	asked, never := make(chan struct{}), make(chan struct{})
	task := Task{Type: "spawn", Token: randomToken()}
	ctx, cancel := context.WithCancelCause(t.Context())
	end := make(chan error, 1)
	go func() {
		_, err := first.Execute(ctx, task, NewReporter(ReporterFuncs{Spawn: func(context.Context, Child) (string, error) {
			close(asked)
			<-never // the host died after it had made the child, say
			return "", errClosed
		}}))
		end <- err
	}()
	<-asked
	cancel(ErrDetach)
	if err := <-end; !errors.Is(err, ErrDetach) {
		t.Fatal(err)
	}
	_ = first.Close()
	close(never)

	next := connectTest(t, cc, HostOptions{Epoch: 2, Survive: true})
	join := task
	join.Rejoin = true
	res, err := next.Execute(t.Context(), join, NewReporter(ReporterFuncs{Spawn: func(_ context.Context, c Child) (string, error) { return "id of " + c.Name, nil }}))
	if err != nil || string(res.Data) != "id of a" {
		t.Errorf("%s, %v", res.Data, err)
	}
	next.Settled(task.Token)
	drained(t, next, s)
}

// A script need not wait for a host that does not answer.
func TestSpawnEndsWithItsContext(t *testing.T) {
	s := newServer(Plugin{Name: "hasty", Version: "1", New: Scripts(Script{TypeInfo: TypeInfo{Name: "spawn"}, Run: func(ctx context.Context, _ Task, r Reporter) (Result, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		_, err := r.Spawn(ctx, Child{Name: "a", Type: "t"})
		return Text("went on"), err
	}})})
	c := connectTest(t, serveTest(t, s), HostOptions{})
	let := make(chan struct{})
	task := Task{Type: "spawn", Token: randomToken()}
	_, err := c.Execute(t.Context(), task, NewReporter(ReporterFuncs{Spawn: func(context.Context, Child) (string, error) { <-let; return "1", nil }}))
	if err == nil || !strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
		t.Error(err)
	}
	close(let)
	c.Settled(task.Token)
	drained(t, c, s)
}

// A host from before there were children would never answer: it is not asked.
func TestHostTakesNoChildren(t *testing.T) {
	s := newServer(spawner())
	c := connectTest(t, serveTest(t, s), HostOptions{})
	s.mu.Lock()
	s.config.Spawns = false
	s.mu.Unlock()
	task := Task{Type: "spawn", Token: randomToken()}
	_, err := c.Execute(t.Context(), task, NewReporter(ReporterFuncs{Spawn: func(context.Context, Child) (string, error) {
		t.Error("the host is asked")
		return "", nil
	}}))
	if o := OutcomeOf(t.Context(), Result{}, err); !o.Permanent || !strings.Contains(o.Message, "takes no children") {
		t.Errorf("%+v", o)
	}
	c.Settled(task.Token)
	drained(t, c, s)
}
