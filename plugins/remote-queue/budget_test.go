package remotequeue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

func manyDetails(n, size int) map[string]string {
	m := make(map[string]string, n)
	for i := range n {
		m[fmt.Sprintf("detail %d", i)] = strings.Repeat("x", size)
	}
	return m
}

// An outcome that is larger than an attempt's may be ends that attempt, with the
// reason, wherever it is noticed; one just within is as it was.
func TestOutcomeBudget(t *testing.T) {
	within := sdk.Outcome{Kind: sdk.OutcomeFailed, Code: "c", Message: "m", Details: manyDetails(maxDetails, 600)}
	if got := checkOutcome(within); !reflect.DeepEqual(got, within) {
		t.Errorf("within the budget: %+v", got)
	}
	for name, o := range map[string]sdk.Outcome{
		"many details":  {Kind: sdk.OutcomeFailed, Details: manyDetails(20_000, 1000)},
		"one too many":  {Kind: sdk.OutcomeFailed, Details: manyDetails(maxDetails+1, 1)},
		"large details": {Kind: sdk.OutcomeFailed, Details: manyDetails(4, maxOutcomeText/4)},
		"message":       {Kind: sdk.OutcomeCanceled, Message: strings.Repeat("x", maxOutcomeText+1)},
		"content type":  {Kind: sdk.OutcomeSucceeded, Result: sdk.Result{ContentType: strings.Repeat("x", maxOutcomeText+1)}},
		"children":      {Kind: sdk.OutcomeYielded, Yield: &sdk.Yield{Children: make([]string, maxListed+1)}},
	} {
		data := appendItem([]byte{formatVersion}, &item{kind: kindFinished, token: token{1}, outcome: o})
		n := 0
		bad, err := decodeBatch(data, func(it item) {
			if n++; it.outcome.Kind != sdk.OutcomeFailed || it.outcome.Code != sdk.CodeProtocolError || it.outcome.Message == "" {
				t.Errorf("%s became %+v", name, it.outcome)
			}
		})
		if bad != 0 || err != nil || n != 1 {
			t.Errorf("%s: %d items, %d bad, %v: its attempt would never end", name, n, bad, err)
		}
	}
}

// Times that do not fit in nanoseconds travel; ones that no store takes end the attempt.
func TestTimesFarAway(t *testing.T) {
	for _, year := range []int{1, 1677, 1678, 1679, 2026, 2261, 2262, 2263, 9999} {
		at := time.Date(year, 12, 31, 23, 59, 59, 123456789, time.UTC)
		d := decoder{b: putTime(nil, at)}
		if got := d.time(); !got.Equal(at) || d.err() != nil || len(d.b) != 0 {
			t.Errorf("%s became %s, %v", at, got, d.err())
		}
	}
	o := sdk.Outcome{Kind: sdk.OutcomeYielded, Yield: &sdk.Yield{Until: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}}
	data := appendItem([]byte{formatVersion}, &item{kind: kindFinished, token: token{1}, outcome: o})
	if _, err := decodeBatch(data, func(it item) {
		if it.outcome.Code != sdk.CodeProtocolError {
			t.Errorf("%+v", it.outcome)
		}
	}); err != nil {
		t.Error(err)
	}
}

func TestHeartbeatBudget(t *testing.T) {
	types := func(n, size int) (list []sdk.TypeInfo) {
		for i := range n {
			list = append(list, sdk.TypeInfo{Name: fmt.Sprintf("t%d", i), Description: strings.Repeat("x", size)})
		}
		return list
	}
	for name, c := range map[string]struct {
		h    heartbeat
		want string // what it exceeds; "" if it makes no sense
	}{
		"tokens":      {heartbeat{Running: make([]byte, 16*(maxNamed+1))}, "attempts that one worker names"},
		"bytes":       {heartbeat{Running: make([]byte, 16*1_000_000)}, "bytes of a heartbeat"},
		"types":       {heartbeat{About: &about{Types: types(maxWorkerTypes+1, 0)}}, "task types of one worker"},
		"schemas":     {heartbeat{About: &about{Types: types(2, maxWorkerTypeBytes/2)}}, "schemas"},
		"labels":      {heartbeat{About: &about{Labels: manyDetails(maxWorkerLabels+1, 1)}}, "labels of one worker"},
		"long labels": {heartbeat{About: &about{Labels: manyDetails(2, maxWorkerText/2)}}, "bytes of one worker's labels"},
		"slots":       {heartbeat{About: &about{Slots: 1 << 40}}, "slots"},
		"twice":       {heartbeat{About: &about{Types: []sdk.TypeInfo{{Name: "a"}, {Name: "a"}}}}, ""},
		"type slots":  {heartbeat{About: &about{TypeSlots: map[string]int{"a": 1}}}, ""},
		"used":        {heartbeat{Used: 1 << 40}, ""},
	} {
		data, err := json.Marshal(c.h)
		if err != nil {
			t.Fatal(err)
		}
		_, err = decodeHeartbeat(data)
		over := (*overBudget)(nil)
		if errors.As(err, &over) != (c.want != "") || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	most, err := json.Marshal(heartbeat{Running: make([]byte, 16*maxNamed), About: &about{Types: types(maxWorkerTypes, 500), Labels: manyDetails(maxWorkerLabels, 200)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeHeartbeat(most); err != nil {
		t.Errorf("within the budget: %v", err)
	}
}

// A script with more error details than any message holds fails alone, with the reason.
func TestErrorDetailsBeyondTheBudget(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	g := newGates()
	e, err := sdk.NewScripts(sdk.Script{TypeInfo: sdk.TypeInfo{Name: "details"}, Run: func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
		return sdk.Result{}, sdk.FailedWith(sdk.Outcome{Kind: sdk.OutcomeFailed, Message: "no", Details: manyDetails(20_000, 1000)})
	}})
	if err != nil {
		t.Fatal(err)
	}
	g.worker(t, WorkerOptions{URL: f.broker.srv.ClientURL(), Local: []Local{{Name: "local", Executor: g.executor(t), Slots: 10}, {Name: "more", Executor: e, Slots: 10}}})
	serves(t, f, "details")
	beside := execute(t, f, newTask("gate", `"k"`))
	beside.started(t)
	if out := execute(t, f, newTask("details", `1`)).wait(t, sdk.OutcomeFailed); out.Code != sdk.CodeProtocolError || !strings.Contains(out.Message, "details") {
		t.Errorf("the outcome is %s: %s", out.Code, out.Message)
	}
	g.let("k")
	beside.wait(t, sdk.OutcomeSucceeded)
}

// A worker that says more of itself than it may ends with the reason; its neighbours
// do not notice.
func TestWorkerBeyondItsBudgetIsRefused(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	url := f.broker.srv.ClientURL()
	g := newGates()
	g.worker(t, WorkerOptions{Name: "good", URL: url})
	serves(t, f, "gate")
	runs := execute(t, f, newTask("gate", `"k"`))
	runs.started(t)
	w, err := NewWorker(WorkerOptions{Name: "greedy", URL: url, Labels: manyDetails(maxWorkerLabels+1, 1), Log: testLog(t, "greedy"),
		Local: []Local{{Name: "local", Executor: g.executor(t), Slots: 10}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := w.Run(ctx); err == nil || !strings.Contains(err.Error(), "labels of one worker: 65, and at most 64") {
		t.Errorf("the worker ended with %v", err)
	}
	for _, n := range f.shown(t) {
		if n.Name == "greedy" && !n.Gone {
			t.Errorf("it is shown as %+v", n)
		}
	}
	g.let("k")
	runs.wait(t, sdk.OutcomeSucceeded)
}

// Of one name a few workers may be here: more are refused, and one that takes the
// place of those that fell silent is welcome.
func TestInstancesOfANameAreBounded(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "1m"})
	about := &about{Slots: 1, Types: []sdk.TypeInfo{{Name: "quick"}}}
	for i := range 2000 {
		a := *about
		f.heard(peer{"w1", fmt.Sprintf("INSTANCE%04d", i)}, heartbeat{About: &a})
	}
	if n := f.present(t); n != maxInstances {
		t.Errorf("%d workers of one name are kept", n)
	}
	if f.count.dismissed.Load() == 0 {
		t.Error("nobody was refused")
	}
	f.heard(peer{"w2", "ANOTHERNAME"}, heartbeat{About: about})
	if n := f.present(t); n != maxInstances+1 {
		t.Errorf("another name's worker is not here: %d are", n)
	}
	began := f.clock.now()
	eventually(t, "they fell silent", func() bool { return f.clock.now()-began > 4*f.heartbeat() })
	w := newGates().worker(t, WorkerOptions{URL: f.broker.srv.ClientURL()})
	eventually(t, "its successor is here", func() bool {
		for _, n := range f.shown(t) {
			if n.Instance == w.peer.instance {
				return true
			}
		}
		return false
	})
	if n := f.present(t); n != maxInstances+1 {
		t.Errorf("%d workers are here", n)
	}
}

// What one worker names that nobody wants is refused in turns.
func TestRefusalsAreBounded(t *testing.T) {
	f := bareFleet()
	f.out = newOutbox(func(peer, []byte) {})
	f.clock.ns.Store(int64(time.Hour))
	w := f.join("w1", "a")
	w.beat.Running = make([]byte, 16*maxNamed)
	for i := range maxNamed {
		w.beat.Running[16*i], w.beat.Running[16*i+1] = byte(i), byte(i>>8)
	}
	f.named(w)
	if n := f.out.items.Load(); n != maxRefused {
		t.Errorf("%d refusals at once", n)
	}
}

// Checkpoints of one attempt that wait for the store are bounded, and all of them are
// written in the end.
func TestCheckpointFlood(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "rejoin": "1m", "lapse": "10s"})
	task := newTask("x", `1`)
	p := peer{"w1", "AAAAAAAAAAAAAAAA"}
	task.Rejoin, task.Handle = true, handle(p)
	let := make(chan struct{})
	written := make(chan int, 100)
	r := sdk.NewReporter(sdk.ReporterFuncs{Checkpoint: func(data []byte) error { <-let; written <- len(data); return nil }})
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _, _ = f.Execute(ctx, task, r) }()
	defer func() { cancel(sdk.ErrDetach); <-done }()
	eventually(t, "joined", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.attempts[task.Token] != nil })
	const each, all = 1 << 20, 20
	flood := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for i := range all {
			f.take(p, item{kind: kindCheckpoint, token: task.Token, seq: uint64(i + 1), data: make([]byte, each)})
		}
	}
	flood()
	f.mu.Lock()
	if n := f.attempts[task.Token].savingBytes; n != maxSaving {
		t.Errorf("%d bytes of one attempt wait for the store", n)
	}
	f.mu.Unlock()
	close(let)
	for range maxSaving / each {
		<-written
	}
	eventually(t, "the rest is taken when it is repeated", func() bool {
		flood()
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.attempts[task.Token].saved == all
	})
}
