package sdktest

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// spawns: a task names its children by what they do, so that an attempt which is made again
// makes none twice.
func spawns(t *testing.T, s *suite) {
	c := s.Spawn.offered(t, "Spawn")
	first := s.start(c)
	want(t, first.wait(t), sdk.OutcomeYielded)
	names := namesOf(first.spawned())
	if len(names) == 0 {
		t.Fatal("the attempt spawned no children")
	}
	if y := first.out.Yield; !y.AllChildren && len(y.Children) == 0 {
		t.Errorf("the attempt does not rest until its children are final: %+v", y)
	}
	again := newTask(c)
	again.ID, again.Attempt, again.Checkpoint = first.task.ID, 2, first.out.Yield.Checkpoint
	for _, name := range names {
		again.Children = append(again.Children, sdk.ChildStatus{Name: name, ID: childID(name), Type: "t", State: "pending"})
	}
	second := s.newAttempt(again).execute()
	want(t, second.wait(t), sdk.OutcomeYielded)
	for _, name := range namesOf(second.spawned()) {
		if !slices.Contains(names, name) {
			t.Errorf("the next attempt spawned %q, which is not among %q", name, names)
		}
	}
}

func namesOf(children []sdk.Child) (names []string) {
	for _, c := range children {
		if !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// children: what is asked for a child reaches the host, and what became of it the next attempt.
func children(t *testing.T, s *suite) {
	began := time.Now()
	a := s.start(Case{Type: probeSpawn, Input: `{"how":"two"}`})
	o := a.wait(t)
	want(t, o, sdk.OutcomeYielded)
	if y := o.Yield; !y.AllChildren || len(y.Children) != 0 || string(y.Checkpoint) != "spawned" {
		t.Errorf("the attempt rests until %+v", y)
	}
	got := a.spawned()
	if len(got) != 3 {
		t.Fatalf("%d children were spawned, want one, two and one", len(got))
	}
	one := got[0]
	if d := one.Deadline.Sub(began); d < 50*time.Minute || d > 2*time.Hour {
		t.Errorf("its deadline is %s away, want an hour", d)
	}
	one.Deadline = time.Time{}
	retain, lost := 90*time.Minute, 0
	all := sdk.Child{Name: "one", Type: probeOK, Input: json.RawMessage(`{"say":"hi"}`), Executor: "there", Priority: -7, Labels: map[string]string{"team": "a"},
		Route: map[string]string{"gpu": "yes"}, Timeout: time.Minute, MaxAttempts: 5, MaxLost: &lost, Retain: &retain, Exclusive: []string{"door"}, Shared: []string{"hall"}}
	if !reflect.DeepEqual(one, all) {
		t.Errorf("the first child arrived as %+v", one)
	}
	if text, _ := got[1].Input.(json.RawMessage); string(text) != `{"say":"`+largeChild+`"}` {
		t.Errorf("an input of %d bytes arrived changed", len(largeChild))
	}
	s.childrenSeen(t, a.task.ID)
}

// childrenSeen: the next attempt of that task is told what became of its children.
func (s *suite) childrenSeen(t *testing.T, id string) {
	next := newTask(Case{Type: probeSpawn, Input: `{"how":"two"}`})
	next.ID, next.Attempt = id, 2
	next.Children = []sdk.ChildStatus{
		{Name: "one", ID: "1", Type: probeOK, State: "succeeded", Result: &sdk.Result{ContentType: sdk.ContentJSON, Data: quoted(largeChild)}},
		{Name: "two", ID: "2", Type: probeOK, State: "failed", Failure: &sdk.Failure{Code: sdk.CodeTimeout, Message: "too slow"}},
		{Name: "three", ID: "3", Type: probeOK, State: "succeeded", ResultLeftOut: true},
	}
	o := s.newAttempt(next).execute().wait(t)
	want(t, o, sdk.OutcomeSucceeded)
	var seen []seenChild
	if err := json.Unmarshal(o.Result.Data, &seen); err != nil || len(seen) != 3 {
		t.Fatalf("the next attempt says %s, %v", o.Result.Data, err)
	}
	if w := (seenChild{Name: "one", ID: "1", Type: probeOK, State: "succeeded", Result: digest([]byte(largeChild))}); seen[0] != w {
		t.Errorf("of the first child it says %+v", seen[0])
	}
	if seen[1].State != "failed" || !strings.Contains(seen[1].Error, "timeout: too slow") || !strings.Contains(seen[2].Error, "left out") {
		t.Errorf("of the others it says %+v", seen[1:])
	}
}

// childRefused: what the host refuses, the script must hear of, and whether it is for good.
func childRefused(t *testing.T, s *suite) {
	spawn := func(input string, refuse error) sdk.Outcome {
		a := s.newAttempt(newTask(Case{Type: probeSpawn, Input: input}))
		a.refuse = refuse
		o := a.execute().wait(t)
		want(t, o, sdk.OutcomeFailed)
		return o
	}
	o := spawn(`{"how":"two"}`, sdk.Permanent(errors.New("no such type")))
	if !o.Permanent || !strings.Contains(o.Message, "no such type") {
		t.Errorf("refused for good: %+v", o)
	}
	o = spawn(`{"how":"two"}`, sdk.RetryAfter(errors.New("the queue is full"), retryAfter))
	if o.Permanent || o.RetryAfter != retryAfter || !strings.Contains(o.Message, "the queue is full") {
		t.Errorf("refused for now: %+v", o)
	}
	o = spawn(`{"how":"two"}`, errors.New("the store is away"))
	if o.Permanent || o.RetryAfter != 0 || !strings.Contains(o.Message, "the store is away") {
		t.Errorf("refused for some reason: %+v", o)
	}
	if o = spawn(`{"how":"nameless"}`, errors.New("nobody is to be asked")); !o.Permanent || !strings.Contains(o.Message, "its name") {
		t.Errorf("a child without a name: %+v", o)
	}
}
