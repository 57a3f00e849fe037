package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// nilError is an error that cannot say what it is, as a nil pointer of a type that did not
// expect to be one.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// badUnwrap says what it is, and panics over what is in it.
type badUnwrap struct{ error }

func (badUnwrap) Unwrap() error { panic("what is in it") }

func TestOutcomeOfErrorThatPanics(t *testing.T) {
	var typedNil *nilError
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(ErrCancel)
	for _, err := range []error{typedNil, Permanent(typedNil), fmt.Errorf("step 2: %w", badUnwrap{errors.New("x")})} {
		o := OutcomeOf(t.Context(), Result{}, err)
		if o.Kind != OutcomeFailed || o.Code != CodeScriptFailed || !strings.HasPrefix(o.Message, "panic: ") || !strings.Contains(o.Details["stack"], "goroutine") {
			t.Errorf("%T: %+v", err, o)
		}
		if o := OutcomeOf(canceled, Result{}, err); o.Kind != OutcomeCanceled {
			t.Errorf("%T after a cancel: %+v", err, o)
		}
	}
}

// badAnswers is an executor whose errors panic when they are asked what they are.
type badAnswers struct{ Executor }

func (badAnswers) Describe(context.Context) (Info, error)            { return Info{}, (*nilError)(nil) }
func (badAnswers) ControlNode(context.Context, string, string) error { return (*nilError)(nil) }

func TestAnswersThatPanic(t *testing.T) {
	s := newServer(Plugin{New: func(Config) (Executor, error) { return badAnswers{}, nil }})
	ctx := t.Context()
	if _, err := s.Configure(ctx, &pb.ConfigureRequest{Executor: "x"}); err != nil {
		t.Fatal(err)
	}
	s.info.ControlsNodes = true
	_, described := s.Describe(ctx, nil)
	_, controlled := s.ControlNode(ctx, nil)
	_, configured := newServer(Plugin{New: func(Config) (Executor, error) { return nil, (*nilError)(nil) }}).Configure(ctx, &pb.ConfigureRequest{Executor: "x"})
	for _, err := range []error{described, controlled, configured} {
		if err == nil || !strings.Contains(err.Error(), "nil pointer") {
			t.Errorf("want the panic as an error: %v", err)
		}
	}
}

func TestOutcomeOf(t *testing.T) {
	boom := errors.New("boom")
	until := time.Unix(1e9, 0)
	for name, c := range map[string]struct {
		cause error
		res   Result
		err   error
		want  Outcome
	}{
		"nothing to say": {nil, Result{}, nil, Outcome{Kind: OutcomeSucceeded, Result: Result{ContentType: ContentJSON, Data: []byte("null")}}},
		"text":           {nil, Text("a"), nil, Outcome{Kind: OutcomeSucceeded, Result: Text("a")}},
		"done although canceled": {ErrCancel, Text("a"), nil,
			Outcome{Kind: OutcomeSucceeded, Result: Text("a")}},
		"error":     {nil, Result{}, boom, Outcome{Kind: OutcomeFailed, Code: CodeScriptFailed, Message: "boom"}},
		"permanent": {nil, Result{}, Permanent(boom), Outcome{Kind: OutcomeFailed, Code: CodePermanent, Permanent: true, Message: "boom"}},
		"wrapped permanent": {nil, Result{}, fmt.Errorf("step 2: %w", Permanent(boom)),
			Outcome{Kind: OutcomeFailed, Code: CodePermanent, Permanent: true, Message: "step 2: boom"}},
		"retry after": {nil, Result{}, RetryAfter(boom, time.Minute),
			Outcome{Kind: OutcomeFailed, Code: CodeScriptFailed, RetryAfter: time.Minute, Message: "boom"}},
		"retry in the past": {nil, Result{}, RetryAfter(boom, -time.Minute),
			Outcome{Kind: OutcomeFailed, Code: CodeScriptFailed, Message: "boom"}},
		"canceled":               {ErrCancel, Result{}, boom, Outcome{Kind: OutcomeCanceled, Code: CodeCanceled, Message: "boom"}},
		"permanent but canceled": {ErrCancel, Result{}, Permanent(boom), Outcome{Kind: OutcomeCanceled, Code: CodeCanceled, Message: "boom"}},
		"timed out": {ErrTimeout, Result{}, boom,
			Outcome{Kind: OutcomeFailed, Code: CodeTimeout, Message: "attempt timed out: boom"}},
		"timed out, explained already": {ErrTimeout, Result{},
			FailedWith(Outcome{Kind: OutcomeFailed, Code: CodeTimeout, Message: "attempt timed out: boom"}),
			Outcome{Kind: OutcomeFailed, Code: CodeTimeout, Message: "attempt timed out: boom"}},
		"deadline of a context": {context.DeadlineExceeded, Result{}, boom,
			Outcome{Kind: OutcomeFailed, Code: CodeTimeout, Message: "attempt timed out: boom"}},
		"paused": {ErrPause, Result{}, boom, Outcome{Kind: OutcomeYielded, Message: "paused"}},
		"permanent while it was to rest": {ErrPause, Result{}, Permanent(boom),
			Outcome{Kind: OutcomeFailed, Code: CodePermanent, Permanent: true, Message: "boom"}},
		"of a code of its own while it was to rest": {ErrPause, Result{}, FailedWith(Outcome{Kind: OutcomeFailed, Code: "quota", Message: "boom"}),
			Outcome{Kind: OutcomeFailed, Code: "quota", Message: "boom"}},
		"detached": {ErrDetach, Result{}, boom, Outcome{Kind: OutcomeInterrupted, Message: "stopped because the host detached"}},
		"lost although canceled": {ErrCancel, Result{}, ErrLost,
			Outcome{Kind: OutcomeLost, Code: CodeExecutorLost, Message: ErrLost.Error()}},
		"yield": {nil, Result{}, YieldUntil(until, nil), Outcome{Kind: OutcomeYielded, Message: "the task rests"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(context.Background())
			if c.cause != nil {
				cancel(c.cause)
			}
			defer cancel(nil)
			got := OutcomeOf(ctx, c.res, c.err)
			if (got.Kind == OutcomeYielded) != (got.Yield != nil) {
				t.Errorf("yield: %+v", got)
			}
			got.Yield = nil
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
	for _, err := range []error{ErrLost, fmt.Errorf("why: %w", ErrLost), FailedWith(lostOutcome("the process died"))} {
		if !errors.Is(err, ErrLost) || errors.Is(err, ErrReleased) {
			t.Errorf("%v is not told apart", err)
		}
	}
	if Permanent(nil) != nil || RetryAfter(nil, 1) != nil {
		t.Error("no error must stay no error")
	}
}

// Every kind crosses the wire as itself, and nothing else becomes one.
func TestKindsCross(t *testing.T) {
	for k := OutcomeSucceeded; k <= OutcomeYielded; k++ {
		if got := kindFromWire(kindToWire(k)); got != k || kindToWire(k) == pb.Kind_KIND_UNSPECIFIED {
			t.Errorf("%s becomes %s", k, got)
		}
	}
	for _, w := range []pb.Kind{pb.Kind_KIND_UNSPECIFIED, 99, -1} {
		if got := kindFromWire(w); got != 0 {
			t.Errorf("wire kind %d becomes %s", w, got)
		}
	}
}

func TestBounded(t *testing.T) {
	for name, c := range map[string]struct {
		in   Outcome
		max  int64
		want string
	}{
		"fits":                  {Outcome{Kind: OutcomeSucceeded, Result: Text("abc")}, 3, ""},
		"over what it said":     {Outcome{Kind: OutcomeSucceeded, Result: Text("abcd")}, 3, CodeResultTooLarge},
		"over the protocol":     {Outcome{Kind: OutcomeSucceeded, Result: Result{Data: make([]byte, maxPayload+1)}}, 0, CodeResultTooLarge},
		"says more than it may": {Outcome{Kind: OutcomeSucceeded, Result: Result{Data: make([]byte, maxPayload+1)}}, 1 << 40, CodeResultTooLarge},
		"large yield":           {Outcome{Kind: OutcomeYielded, Yield: &Yield{Checkpoint: make([]byte, MaxCheckpoint+1)}}, 0, CodeScriptFailed},
		"yield of nothing":      {Outcome{Kind: OutcomeYielded}, 0, CodeScriptFailed},
	} {
		if got := bounded(c.in, c.max); got.Code != c.want || got.Permanent != (c.want != "") {
			t.Errorf("%s: %+v", name, got.Code)
		}
	}
	o := bounded(Outcome{Kind: OutcomeFailed, Message: strings.Repeat("ü", maxText), Details: map[string]string{"bad": "\xff\xfe"}}, 0)
	if len(o.Message) > maxText || !strings.HasSuffix(o.Message, "…") || o.Details["bad"] != "��" {
		t.Errorf("text is not clipped to valid UTF-8: %d bytes, %q", len(o.Message), o.Details)
	}
}

func TestConfigDecode(t *testing.T) {
	type config struct {
		Dir  string `json:"dir"`
		Size int    `json:"size"`
	}
	for in, want := range map[string]string{
		``:                        "",
		`{}`:                      "",
		`{"dir":"x"}`:             "",
		`{"dri":"x"}`:             "dri",
		`{"dir":1}`:               "dir",
		`{"size":"many"}`:         "size",
		`{"dir":"x"`:              "unexpected",
		`{"dir":"x"} {"dir":"y"}`: "more after",
		`[]`:                      "array",
	} {
		v := config{Dir: "default"}
		err := NewConfig("images", []byte(in), nil).Decode(&v)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", in, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"images"`)):
			t.Errorf("%s: %v, want one about %q", in, err, want)
		case in == `{}` && v.Dir != "default":
			t.Error("the default is gone")
		}
	}
}

func TestTaskDecode(t *testing.T) {
	for in, ok := range map[string]bool{`{"a":1}`: true, `{"b":1}`: false, `{"a":1} 2`: false, ``: false, `3`: false} {
		var v struct{ A int }
		err := Task{Type: "x", Input: []byte(in)}.Decode(&v)
		if (err == nil) != ok || (err != nil && !OutcomeOf(t.Context(), Result{}, err).Permanent) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// What waits goes into one frame: at most so many messages, and bytes.
func TestNextFrame(t *testing.T) {
	many := func(n, bytes int) []queuedMessage[int] {
		out := make([]queuedMessage[int], n)
		for i := range out {
			out[i] = queuedMessage[int]{i, bytes}
		}
		return out
	}
	for _, c := range []struct {
		in   []queuedMessage[int]
		want int
	}{
		{many(1, 0), 1}, {many(64, 0), 64}, {many(65, 0), 64}, {many(1000, 100), 64},
		{many(10, frameBytes/2), 2}, {many(10, frameBytes+1), 1}, {many(10, frameBytes/4), 4},
	} {
		frame, n := nextFrame(c.in)
		if n != c.want || len(frame) != n || frame[n-1] != n-1 {
			t.Errorf("%d messages of %d bytes: %d in a frame, want %d", len(c.in), c.in[0].bytes, n, c.want)
		}
	}
}

// Messages leave in the order of their numbers, each once, whoever puts them.
func TestOutboxKeepsOrder(t *testing.T) {
	const writers, each = 8, 5000
	box := newOutbox[uint64]()
	done := make(chan struct{})
	var got []uint64
	var frames int
	go func() {
		var puts sync.WaitGroup
		for range writers {
			puts.Go(func() {
				for range each {
					box.put(0, 1)
				}
			})
		}
		puts.Wait()
		box.put(1, 0) // the last
	}()
	err := box.drain(done, func(f []uint64) error {
		frames++
		got = append(got, f...)
		if f[len(f)-1] == 1 {
			close(done)
		}
		return nil
	})
	if err != nil || len(got) != writers*each+1 || box.close() != uint64(len(got)) {
		t.Errorf("%d of %d messages in %d frames: %v", len(got), writers*each+1, frames, err)
	}
	if n := box.put(1, 0); n != 0 {
		t.Errorf("a closed outbox took message %d", n)
	}
}

// A host that does not read finds one heartbeat when it does.
func TestHeartbeatsDoNotPileUp(t *testing.T) {
	s := newServer(gated(nil))
	if _, err := s.Configure(t.Context(), &pb.ConfigureRequest{Executor: "x"}); err != nil {
		t.Fatal(err)
	}
	sess, err := s.open(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer sess.end(nil)
	for range 5 {
		s.heartbeat(sess, time.Now())
	}
	if n := sess.out.waiting(); n != 2 {
		t.Errorf("%d messages wait, want Hello and a heartbeat", n)
	}
	done := make(chan struct{})
	sent := 0
	_ = sess.out.drain(done, func(frame []wireMessage) error {
		if sent += len(frame); sent == 2 {
			s.heartbeat(sess, time.Now())
		} else {
			close(done)
		}
		return nil
	})
	if sent != 3 {
		t.Errorf("%d messages were sent, want Hello and two heartbeats", sent)
	}
}

func TestJoining(t *testing.T) {
	var j JoinTable
	task := Task{Token: randomToken()}
	started, gate := make(chan struct{}), make(chan struct{})
	first := make(chan ended, 1)
	go func() {
		res, err := j.Do(t.Context(), task, func() (Result, error) {
			close(started)
			<-gate
			return Text("once"), nil
		})
		first <- ended{res, err}
	}()
	<-started
	never := func() (Result, error) { t.Error("the token ran twice"); return Result{}, nil }
	second := make(chan ended, 1)
	go func() {
		join := task
		join.Rejoin = true
		res, err := j.Do(t.Context(), join, never)
		second <- ended{res, err}
	}()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ErrDetach)
	if _, err := j.Do(ctx, task, never); !errors.Is(err, ErrDetach) {
		t.Errorf("one who joins and is let go: %v", err)
	}
	stranger := Task{Token: randomToken(), Rejoin: true}
	for _, ctx := range []context.Context{t.Context(), &AttemptContext{}} {
		if _, err := j.Do(ctx, stranger, never); !errors.Is(err, ErrLost) {
			t.Errorf("a rejoin of what does not run: %v", err)
		}
	}
	close(gate)
	for _, c := range []<-chan ended{first, second} {
		// The second may come too late to join, and is then lost, never run.
		if e := <-c; string(e.res.Data) != "once" && !errors.Is(e.err, ErrLost) {
			t.Errorf("%q, %v", e.res.Data, e.err)
		}
	}
}

// What a node can take: nothing when it is gone, draining or does not offer the type,
// and no more than the executor behind the type has slots.
func TestNodeTakes(t *testing.T) {
	n := Node{Types: []string{"a", "b"}, Slots: 10, TypeSlots: map[string]int{"b": 3}, Labels: map[string]string{"zone": "x", "disk": ""}}
	for typ, want := range map[string]int{"a": 10, "b": 3, "c": 0} {
		if got := n.SlotsFor(typ); got != want {
			t.Errorf("%s: %d slots, want %d", typ, got, want)
		}
	}
	for _, away := range []Node{{Gone: true}, {Draining: true}} {
		away.Types, away.Slots = n.Types, n.Slots
		if got := away.SlotsFor("a"); got != 0 {
			t.Errorf("%+v has %d slots", away, got)
		}
	}
	for _, c := range []struct {
		route map[string]string
		want  string
	}{{nil, ""}, {map[string]string{"zone": "x"}, ""}, {map[string]string{"disk": ""}, ""},
		{map[string]string{"zone": "y", "arch": ""}, "arch= zone=y"}} {
		if got := strings.Join(n.Lacks(c.route), " "); got != c.want {
			t.Errorf("%v: lacks %q, want %q", c.route, got, c.want)
		}
	}
}
