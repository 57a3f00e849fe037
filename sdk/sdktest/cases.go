package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

var cases = [...]testCase{
	{"metadata", false, tellsMetadata},
	{"describe", false, describes},
	{"nodes", false, nodes},
	{"run", false, runs},
	{"run and wait", false, runsAndWaits},
	{"unknown type", false, refusesUnknownType},
	{"fails", false, fails},
	{"outcomes", true, outcomes},
	{"yields", true, yields},
	{"rests", false, rests},
	{"spawns", false, spawns},
	{"children", true, children},
	{"child refused", true, childRefused},
	{"task", true, passesTheTask},
	{"progress", false, progresses},
	{"logs", false, logs},
	{"checkpoint and resume", false, checkpoints},
	{"checkpoint refused", true, checkpointRefused},
	{"rejoin unknown", false, rejoinUnknown},
	{"cancel", false, cancels},
	{"cancel too late", true, cancelsTooLate},
	{"deadline", false, timesOut},
	{"pause", true, pauses},
	{"detach", false, detaches},
	{"many at once", false, many},
	{"panic", false, panics},
	{"large result", false, largeResult},
	{"large payloads", true, largePayloads},
	{"oversized result", true, oversized},
	{"duplicate start joins", true, duplicates},
	{"report after cancel", true, reportsLate},
	{"revert", true, reverts},
}

// refusesUnknownKeys: a typo in the config must not leave a default in force.
func refusesUnknownKeys(t *testing.T, h Harness, w way) {
	const key = "no_such_key_in_any_config"
	config := map[string]json.RawMessage{}
	text := h.Config
	if h.Setup != nil {
		text = h.Setup(t)
	}
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatalf("the harness's config is not a JSON object: %v", err)
	}
	config[key] = json.RawMessage("true")
	wrong, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.make(t, h.Plugin, string(wrong))
	if err == nil {
		t.Fatal("a config with an unknown key is taken")
	}
	if !strings.Contains(err.Error(), key) {
		t.Errorf("the error does not name the key at fault: %v", err)
	}
	if w.grpc && !errors.Is(err, sdk.ErrConfigRefused) {
		t.Errorf("the error does not wrap sdk.ErrConfigRefused: %v", err)
	}
}

// tellsMetadata: what the plugin says before it has a config holds for what it makes of one.
func tellsMetadata(t *testing.T, s *suite) {
	m := s.Plugin.Metadata()
	if m.ConfigSchema != nil && !json.Valid(m.ConfigSchema) {
		t.Error("Plugin.ConfigSchema is not JSON: make it with sdk.ConfigSchema")
	}
	offered := map[string]bool{}
	for _, ti := range s.info.Types {
		offered[ti.Name] = true
	}
	for _, name := range m.Types {
		if !offered[name] {
			t.Errorf("Plugin.Types has %q, which Describe does not offer", name)
		}
	}
	for name := range offered {
		if m.Types != nil && !slices.Contains(m.Types, name) {
			t.Errorf("Describe offers %q, which Plugin.Types has not: leave that nil if the types depend on the config", name)
		}
	}
	if m.Nodes != s.info.Deferred {
		t.Errorf("Plugin.Nodes is %v, and Info.Deferred %v", m.Nodes, s.info.Deferred)
	}
}

func describes(t *testing.T, s *suite) {
	names := map[string]bool{}
	for _, ti := range s.info.Types {
		switch {
		case !sdk.ValidTypeName(ti.Name):
			t.Errorf("type name %q is not valid", ti.Name)
		case names[ti.Name]:
			t.Errorf("type %q stands twice", ti.Name)
		case ti.Input != nil && !json.Valid(ti.Input), ti.Result != nil && !json.Valid(ti.Result):
			t.Errorf("type %q has a schema that is not JSON", ti.Name)
		}
		names[ti.Name] = true
	}
	if !names[s.Type] {
		t.Errorf("type %q of the harness is not among %v", s.Type, names)
	}
	if s.info.Slots < 0 || s.info.MaxInput < 0 || s.info.MaxResult < 0 {
		t.Errorf("negative limits: %+v", s.info)
	}
}

// nodes: two of one name are told apart by their instances, and an executor that says that it can control them
// can, and refuses what it does not know.
func nodes(t *testing.T, s *suite) {
	names, seen := map[string]bool{}, map[string]bool{}
	for _, n := range s.info.Nodes {
		if n.Name == "" || seen[n.Name+" "+n.Instance] {
			t.Errorf("a node is named %q, instance %q, which says nothing or stands twice", n.Name, n.Instance)
		}
		names[n.Name], seen[n.Name+" "+n.Instance] = true, true
		if n.Slots < 0 || n.Used < 0 {
			t.Errorf("node %q has %d of %d slots in use", n.Name, n.Used, n.Slots)
		}
	}
	c, ok := s.exec.(sdk.NodeController)
	if !s.info.ControlsNodes {
		if ok && c.ControlNode(t.Context(), "x", "drain") == nil {
			t.Error("a node is controlled by an executor that says it cannot (Info.ControlsNodes)")
		}
		t.Skip("the executor does not say that it controls nodes (Info.ControlsNodes)")
	}
	if !ok {
		t.Fatal("Info.ControlsNodes is set, and the executor is no sdk.NodeController")
	}
	if err := c.ControlNode(t.Context(), "no-such-node", "drain"); !errors.Is(err, sdk.ErrUnknownNode) {
		t.Errorf("a node that is not there: %v, want ErrUnknownNode", err)
	}
	for name := range names {
		if err := c.ControlNode(t.Context(), name, "no-such-action"); !errors.Is(err, sdk.ErrUnknownAction) {
			t.Errorf("an action that there is not: %v, want ErrUnknownAction", err)
		}
	}
}

func runs(t *testing.T, s *suite) {
	a := s.start(Case{Type: s.Type, Input: s.Input})
	o := a.wait(t)
	want(t, o, sdk.OutcomeSucceeded)
	if o.Result.ContentType == "" {
		t.Error("the result has no content type")
	}
	if o.Result.ContentType == sdk.ContentJSON && !json.Valid(o.Result.Data) {
		t.Errorf("the result is not the JSON it says it is: %q", o.Result.Data)
	}
	if s.Result != nil {
		s.Result(t, o.Result)
	}
	if s.info.Deferred && a.started == 0 {
		t.Error("Info.Deferred is set, but the attempt never reported Started")
	}
}

// runsAndWaits: an AsyncExecutor, whose attempts the suite makes by ExecuteAsync, keeps Execute as well.
func runsAndWaits(t *testing.T, s *suite) {
	if _, ok := s.exec.(sdk.AsyncExecutor); !ok {
		t.Skip("all attempts are made by Execute")
	}
	a := s.newAttempt(newTask(Case{Type: s.Type, Input: s.Input}))
	go a.finish(func() (sdk.Result, error) { return sdk.Execute(a.ctx, s.exec, a.task, a.reporter()) })
	want(t, a.wait(t), sdk.OutcomeSucceeded)
}

func refusesUnknownType(t *testing.T, s *suite) {
	if s.info.Deferred {
		t.Skip("a deferred executor may keep it until someone knows the type")
	}
	o := s.start(Case{Type: "no.such.type", Input: "null"}).wait(t)
	want(t, o, sdk.OutcomeFailed)
	if !o.Permanent {
		t.Error("an unknown type must fail permanently: no retry cures it")
	}
}

func fails(t *testing.T, s *suite) {
	t.Run("retryable", func(t *testing.T) {
		o := s.start(s.Fail.offered(t, "Fail")).wait(t)
		want(t, o, sdk.OutcomeFailed)
		if o.Permanent || o.Message == "" || o.Code == "" {
			t.Errorf("want a code, a message and not permanent: %+v", o)
		}
	})
	t.Run("permanent", func(t *testing.T) {
		o := s.start(s.Permanent.offered(t, "Permanent")).wait(t)
		want(t, o, sdk.OutcomeFailed)
		if !o.Permanent || o.Code != sdk.CodePermanent {
			t.Errorf("want permanent: %+v", o)
		}
	})
}

func outcomes(t *testing.T, s *suite) {
	o := s.start(Case{Type: probeFail, Input: `{"how":"retry"}`}).wait(t)
	want(t, o, sdk.OutcomeFailed)
	if o.RetryAfter != retryAfter || o.Permanent {
		t.Errorf("want to be retried after %s: %+v", retryAfter, o)
	}
	o = s.start(Case{Type: probeFail, Input: `{"how":"details"}`}).wait(t)
	want(t, o, sdk.OutcomeFailed)
	if o.Details["exit_code"] != "7" || !strings.Contains(o.Message, "a probe fails") {
		t.Errorf("details are lost on the way: %+v", o)
	}
	o = s.start(Case{Type: probeOK, Input: `{"sya":"typo"}`}).wait(t)
	want(t, o, sdk.OutcomeFailed)
	if !o.Permanent {
		t.Errorf("an input that does not fit must fail permanently: %+v", o)
	}
}

func yields(t *testing.T, s *suite) {
	o := s.start(Case{Type: probeYield, Input: `{"how":"until"}`}).wait(t)
	want(t, o, sdk.OutcomeYielded)
	if y := o.Yield; y == nil || !y.Until.Equal(time.Unix(4102444800, 0)) || string(y.Checkpoint) != "until" {
		t.Errorf("until: %+v", o.Yield)
	}
	o = s.start(Case{Type: probeYield, Input: `{"how":"children"}`}).wait(t)
	want(t, o, sdk.OutcomeYielded)
	if y := o.Yield; y == nil || strings.Join(y.Children, " ") != "a b" || y.Checkpoint != nil {
		t.Errorf("children: %+v", o.Yield)
	}
	o = s.start(Case{Type: probeYield, Input: `{"how":"all children"}`}).wait(t)
	want(t, o, sdk.OutcomeYielded)
	if y := o.Yield; y == nil || !y.AllChildren || len(y.Children) > 0 || string(y.Checkpoint) != "all" {
		t.Errorf("all children: %+v", o.Yield)
	}
	o = s.start(Case{Type: probeYield, Input: `{"how":"resume"}`}).wait(t)
	want(t, o, sdk.OutcomeYielded)
	if y := o.Yield; y == nil || !y.Resume || string(y.Checkpoint) != "resume" {
		t.Errorf("resume: %+v", o.Yield)
	}
}

// rests: what a script waits for is something that a host can wake it by.
func rests(t *testing.T, s *suite) {
	o := s.start(s.Yield.offered(t, "Yield")).wait(t)
	want(t, o, sdk.OutcomeYielded)
	if y := o.Yield; y == nil || y.Until.IsZero() && len(y.Children) == 0 && !y.AllChildren && !y.Resume {
		t.Errorf("the task does not say until when it rests: no host would wake it: %+v", o.Yield)
	}
	if o.Yield != nil && len(o.Yield.Checkpoint) > sdk.MaxCheckpoint {
		t.Errorf("the yield's checkpoint has %d bytes, at most %d are taken", len(o.Yield.Checkpoint), sdk.MaxCheckpoint)
	}
}

func passesTheTask(t *testing.T, s *suite) {
	task := newTask(Case{Type: probeEcho, Input: `[1, {"two": "zwei"}]`})
	task.Attempt = 7
	task.Labels = map[string]string{"team": "a"}
	task.Trace = map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	task.Checkpoint = []byte("where it was")
	task.Timeout = time.Hour
	if !s.info.Deferred { // whose clock begins when they have started
		task.Deadline = time.Now().Add(time.Hour)
	}
	o := s.newAttempt(task).execute().wait(t)
	want(t, o, sdk.OutcomeSucceeded)
	var saw echo
	if err := json.Unmarshal(o.Result.Data, &saw); err != nil {
		t.Fatal(err)
	}
	switch {
	case saw.ID != task.ID, saw.Type != task.Type, saw.Attempt != 7, saw.Checkpoint != "where it was",
		saw.Labels["team"] != "a", saw.Trace["traceparent"] != task.Trace["traceparent"], !saw.Deadline:
		t.Errorf("the script saw another task: %+v", saw)
	}
	var input []any
	if err := json.Unmarshal(saw.Input, &input); err != nil || len(input) != 2 {
		t.Errorf("the script saw input %s (%v)", saw.Input, err)
	}
}

func progresses(t *testing.T, s *suite) {
	a := s.start(s.Progress.offered(t, "Progress"))
	s.Progress.succeeds(t, a)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == 0 && a.total == 0 {
		t.Error("no progress was reported")
	}
	if isProbe(s.Progress.Type) && (a.at != 1000 || a.total != 1000) {
		t.Errorf("the last progress is %d of %d, want the latest said: 1000 of 1000", a.at, a.total)
	}
}

func logs(t *testing.T, s *suite) {
	a := s.start(s.Log.offered(t, "Log"))
	s.Log.succeeds(t, a)
	a.mu.Lock()
	defer a.mu.Unlock()
	text := a.log.String()
	if text == "" {
		t.Error("no line was logged")
	}
	if isProbe(s.Log.Type) {
		for _, part := range []string{"first line", "answer", "42", "last line", "[WARN]"} {
			if !strings.Contains(text, part) {
				t.Errorf("the log lacks %q:\n%s", part, text)
			}
		}
	}
}

func rejoinUnknown(t *testing.T, s *suite) {
	task := newTask(Case{Type: s.Type, Input: s.Input})
	task.Rejoin = true
	if s.info.Deferred { // without a handle it was never told to start, and it may know that for sure
		want(t, s.newAttempt(task).execute().wait(t), sdk.OutcomeLost, sdk.OutcomeReleased)
		return
	}
	want(t, s.newAttempt(task).execute().wait(t), sdk.OutcomeLost)
}

func many(t *testing.T, s *suite) {
	slots := s.Many
	if s.info.Slots > 0 {
		slots = min(slots, s.info.Slots) // the host never has more out
	}
	free := make(chan struct{}, slots)
	var all sync.WaitGroup
	bad := make(chan sdk.Outcome, s.Many)
	ctx, cancel := context.WithTimeout(t.Context(), 2*s.Patience)
	defer cancel()
	for range s.Many {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			t.Fatal("attempts do not end")
		}
		a := s.start(Case{Type: s.Type, Input: s.Input})
		all.Go(func() {
			select {
			case <-a.done:
				if a.out.Kind != sdk.OutcomeSucceeded {
					bad <- a.out
				}
			case <-ctx.Done():
				bad <- sdk.Outcome{Message: "no outcome"}
			}
			<-free
		})
	}
	all.Wait()
	if n := len(bad); n > 0 {
		t.Errorf("%d of %d attempts did not succeed; the first: %+v", n, s.Many, <-bad)
	}
}
