package sdk

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// hostile is a plugin that speaks wrongly about one of its two attempts, the victim; the
// other, its neighbor, ends as it should when the victim has.
type hostile struct {
	control grpc.BidiStreamingServer[pb.ControlRequest, pb.ControlResponse]
	data    grpc.BidiStreamingServer[pb.DataRequest, pb.DataResponse]
	victim  []byte
}

func (h *hostile) say(m ...*pb.PluginMessage) error {
	return h.control.Send(&pb.ControlResponse{Messages: m})
}

func (h *hostile) chunk(c *pb.Chunk) error {
	return h.data.Send(&pb.DataResponse{Chunks: []*pb.Chunk{c}})
}

// serve waits for both attempts, does its wrong, and ends the neighbor.
func (h *hostile) serve(do func(*hostile) error) error {
	var neighbor []byte
	for h.victim == nil || neighbor == nil {
		frame, err := h.control.Recv()
		if err != nil {
			return err
		}
		for _, m := range frame.GetMessages() {
			switch m.GetStart().GetType() {
			case "victim":
				h.victim = m.GetStart().GetToken()
			case "neighbor":
				neighbor = m.GetStart().GetToken()
			}
		}
	}
	if err := do(h); err != nil {
		return err
	}
	if err := h.say(finishedFrom(neighbor, &pb.Outcome{Kind: pb.Kind_KIND_SUCCEEDED})); err != nil {
		return err
	}
	<-h.control.Context().Done()
	return nil
}

func finishedFrom(token []byte, o *pb.Outcome) *pb.PluginMessage {
	return &pb.PluginMessage{Kind: &pb.PluginMessage_Finished{Finished: &pb.Finished{Token: token, Seq: 1, Outcome: o}}}
}

// tokens makes n that nobody knows.
func tokens(n int) [][]byte {
	all := make([]byte, 16*n)
	out := make([][]byte, n)
	for i := range out {
		out[i] = all[16*i : 16*i+16]
		binary.BigEndian.PutUint64(out[i], uint64(i)+1)
	}
	return out
}

// heap is what is in use, in MiB.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc >> 20
}

// flood is how often a hostile plugin repeats itself: without a bound it would be half a GiB
// at 256 KiB each.
const flood = 2000

// excess is what a hostile plugin does, and what becomes of the attempt that it is about.
type excess struct {
	do     func(h *hostile) error
	victim Outcome // its kind and code; none: the connection ends
	why    string  // a word of the victim's message, or of the connection's error
}

// excesses are by name what a plugin may send too much of.
func excesses() map[string]excess {
	big := make([]byte, inlineBytes)
	checkpoint := func(h *hostile, seq int, p *pb.Payload) *pb.PluginMessage {
		return &pb.PluginMessage{Kind: &pb.PluginMessage_Checkpoint{Checkpoint: &pb.Checkpoint{Token: h.victim, Seq: uint64(seq), Data: p}}}
	}
	return map[string]excess{
		"checkpoints": {func(h *hostile) error {
			for i := range flood {
				if err := h.say(checkpoint(h, i+1, &pb.Payload{Inline: big})); err != nil {
					return err
				}
			}
			return nil
		}, Outcome{Kind: OutcomeFailed, Code: CodeProtocolError}, "wait for their answer"},
		"checkpoints whose chunks never come": {func(h *hostile) error {
			for i := range flood {
				if err := h.say(checkpoint(h, i+1, &pb.Payload{Chunked: MaxCheckpoint})); err != nil {
					return err
				}
			}
			return nil
		}, Outcome{Kind: OutcomeFailed, Code: CodeProtocolError}, "wait for their answer"},
		"starts": {func(h *hostile) error {
			for i := range flood {
				if err := h.say(&pb.PluginMessage{Kind: &pb.PluginMessage_Started{Started: &pb.Started{Token: h.victim, Seq: uint64(i + 1), Handle: big[:maxHandle]}}}); err != nil {
					return err
				}
			}
			return nil
		}, Outcome{Kind: OutcomeFailed, Code: CodeProtocolError}, "wait for their answer"},
		"children": {func(h *hostile) error {
			for i := range flood {
				spawn := &pb.Spawn{Token: h.victim, Seq: uint64(i + 1), Name: fmt.Sprint("n", i), Type: "t", Input: &pb.Payload{Inline: []byte("1")}}
				if err := h.say(&pb.PluginMessage{Kind: &pb.PluginMessage_Spawn{Spawn: spawn}}); err != nil {
					return err
				}
			}
			return nil
		}, Outcome{Kind: OutcomeFailed, Code: CodeProtocolError}, "wait for their answer"},
		"chunks that nobody announced": {func(h *hostile) error {
			for i := range flood {
				if err := h.chunk(&pb.Chunk{Token: h.victim, Part: pb.Part_PART_RESULT, Seq: uint64(i + 1), Data: big, Total: maxPayload}); err != nil {
					return err
				}
			}
			return nil
		}, Outcome{Kind: OutcomeFailed, Code: CodeProtocolError}, "no message has announced"},
		"chunks beyond their total": {func(h *hostile) error {
			for i := range flood {
				if err := h.chunk(&pb.Chunk{Token: h.victim, Part: pb.Part_PART_RESULT, Seq: 1, Offset: int64(i) * inlineBytes, Data: big, Total: 3 * inlineBytes}); err != nil {
					return err
				}
			}
			return h.say(finishedFrom(h.victim, &pb.Outcome{Kind: pb.Kind_KIND_SUCCEEDED, Result: &pb.Payload{Chunked: 4 * inlineBytes}}))
		}, Outcome{Kind: OutcomeFailed, Code: CodeProtocolError}, "did not arrive"},
		"chunks of children": {func(h *hostile) error {
			return h.chunk(&pb.Chunk{Token: h.victim, Part: pb.Part_PART_CHILDREN, Data: big, Total: maxPayload})
		}, Outcome{Kind: OutcomeFailed, Code: CodeProtocolError}, "does not send"},
		"details": {func(h *hostile) error {
			details := map[string]string{}
			for i := range 10_000 {
				details[fmt.Sprint("k", i)] = strings.Repeat("x", 1000)
			}
			return h.say(finishedFrom(h.victim, &pb.Outcome{Kind: pb.Kind_KIND_FAILED, Message: "no", Details: details}))
		}, Outcome{Kind: OutcomeFailed, Code: CodeScriptFailed}, "no"},
		"a name": {func(h *hostile) error {
			return h.say(finishedFrom(h.victim, &pb.Outcome{Kind: pb.Kind_KIND_FAILED, Code: strings.Repeat("c", 1<<20), Message: strings.Repeat("m", 8<<20)}))
		}, Outcome{Kind: OutcomeFailed, Code: strings.Repeat("c", maxName-3) + "…"}, "mmm"},
		"a heartbeat of strangers": {func(h *hostile) error {
			return h.say(&pb.PluginMessage{Kind: &pb.PluginMessage_Heartbeat{Heartbeat: &pb.Heartbeat{Running: tokens(800_000)}}})
		}, Outcome{}, "names 800000 attempts"},
		"outcomes of strangers, and reads no answer": {func(h *hostile) error {
			list := tokens(4 * maxAnswers)
			for ; len(list) > 0; list = list[1000:] {
				var m []*pb.PluginMessage
				for _, token := range list[:1000] {
					m = append(m, finishedFrom(token, &pb.Outcome{}))
				}
				if err := h.say(m...); err != nil {
					return err
				}
			}
			return nil
		}, Outcome{}, "does not read"},
		"too large a message": {func(h *hostile) error {
			return h.say(finishedFrom(h.victim, &pb.Outcome{Message: strings.Repeat("m", maxMessage)}))
		}, Outcome{}, "larger than max"},
	}
}

// What a plugin sends too much of ends the attempt that it is about, and none beside it;
// what is about no attempt ends the connection. Neither fills the host's memory.
func TestHostilePlugin(t *testing.T) {
	for name, c := range excesses() {
		t.Run(name, func(t *testing.T) {
			h, ready := &hostile{}, make(chan struct{})
			f := &fake{}
			f.data = func(s grpc.BidiStreamingServer[pb.DataRequest, pb.DataResponse]) error {
				h.data = s
				close(ready)
				<-s.Context().Done()
				return nil
			}
			f.control = func(s grpc.BidiStreamingServer[pb.ControlRequest, pb.ControlResponse]) error {
				<-ready
				h.control = s
				return h.serve(c.do)
			}
			conn := connectTest(t, serveFake(t, f), HostOptions{Silence: time.Minute})
			before := heap()
			stored := make(chan struct{}) // the store takes nothing before the end
			defer close(stored)
			reports := NewReporter(ReporterFuncs{
				Checkpoint: func([]byte) error { <-stored; return nil }, Started: func([]byte, string) error { <-stored; return nil },
				Spawn: func(context.Context, Child) (string, error) { <-stored; return "", errClosed }})
			victim, neighbor := make(chan Outcome, 1), make(chan Outcome, 1)
			for typ, end := range map[string]chan Outcome{"victim": victim, "neighbor": neighbor} {
				go func() {
					res, err := conn.Execute(t.Context(), Task{Type: typ, Token: randomToken()}, reports)
					end <- OutcomeOf(t.Context(), res, err)
				}()
			}
			v, n := <-victim, <-neighbor
			if c.victim.Kind == 0 {
				<-conn.Done()
				if v.Kind != OutcomeLost || n.Kind != OutcomeLost || !strings.Contains(conn.Err().Error(), c.why) {
					t.Errorf("the attempts are %s and %s, and the connection ended with %v", v.Kind, n.Kind, conn.Err())
				}
			} else if n.Kind != OutcomeSucceeded {
				t.Errorf("its neighbor is %s: %s", n.Kind, n.Message)
			} else if v.Kind != c.victim.Kind || v.Code != c.victim.Code || !strings.Contains(v.Message, c.why) || len(v.Message) > 2*maxText {
				t.Errorf("the outcome is %s, %q: %.200s", v.Kind, v.Code, v.Message)
			}
			if len(v.Details) > maxDetails {
				t.Errorf("%d details are kept", len(v.Details))
			}
			if after := heap(); after > before+100 {
				t.Errorf("the host holds %d MiB more than before", after-before)
			}
		})
	}
}

// A script of an SDK plugin that fails with more than a message holds has its outcome cut,
// and the stream goes on.
func TestLargeDetailsBreakNothing(t *testing.T) {
	details := map[string]string{}
	for i := range 20_000 {
		details[fmt.Sprint("detail ", i)] = strings.Repeat("x", 1000)
	}
	gate := make(chan struct{})
	s := newServer(Plugin{New: func(cfg Config) (Executor, error) {
		e, err := gated(gate).New(cfg)
		return failing{e, details}, err
	}})
	c := connectTest(t, serveTest(t, s), HostOptions{})
	task := Task{Type: "wait", Token: randomToken()}
	neighbor := begin(t, c, t.Context(), task)
	_, err := c.Execute(t.Context(), Task{Type: "fail", Token: randomToken()}, NewReporter(ReporterFuncs{}))
	o := OutcomeOf(t.Context(), Result{}, err)
	if o.Kind != OutcomeFailed || o.Message != "it failed" || len(o.Details) > maxDetails || o.Details[leftOut] == "" {
		t.Errorf("%s, %q, %d details, %q left out", o.Kind, o.Message, len(o.Details), o.Details[leftOut])
	}
	close(gate)
	if e := <-neighbor; e.err != nil {
		t.Errorf("its neighbor: %v", e.err)
	}
}

// Details are cut once: what one half has let through the other does not cut again.
func TestBoundedDetails(t *testing.T) {
	in := map[string]string{}
	for i := range 1000 {
		in[fmt.Sprintf("%04d", i)] = strings.Repeat("x", 5000)
	}
	once := boundedDetails(in)
	twice := boundedDetails(once)
	if len(once) > maxDetails || len(once) != len(twice) || once[leftOut] != fmt.Sprint(1000-len(once)+1) || twice[leftOut] != once[leftOut] {
		t.Errorf("%d details with %s left out, then %d with %s", len(once), once[leftOut], len(twice), twice[leftOut])
	}
}

// A Hello or a description that is too large is refused with what it is too large in.
func TestHostileDescription(t *testing.T) {
	hold := func(s grpc.BidiStreamingServer[pb.ControlRequest, pb.ControlResponse]) error {
		<-s.Context().Done()
		return nil
	}
	f := &fake{control: hold}
	f.hello.Running = tokens(maxUnknown + 1)
	_, err := connect(t.Context(), serveFake(t, f), HostOptions{Config: NewConfig("x", nil, nil)})
	if err == nil || !strings.Contains(err.Error(), "Hello names 100001 attempts") {
		t.Errorf("a Hello of strangers: %v", err)
	}
	for want, info := range map[string]*pb.Info{
		"1001 task types": {Types: make([]*pb.TypeInfo, maxInfoTypes+1)},
		"10001 nodes":     {Nodes: make([]*pb.Node, maxInfoNodes+1)},
		"bytes":           {Types: []*pb.TypeInfo{{Name: "x", InputSchema: make([]byte, maxInfoBytes)}}},
	} {
		for i := range info.Types {
			if info.Types[i] == nil {
				info.Types[i] = &pb.TypeInfo{}
			}
		}
		for i := range info.Nodes {
			info.Nodes[i] = &pb.Node{}
		}
		c := connectTest(t, serveFake(t, &fake{info: info, control: hold}), HostOptions{Silence: time.Minute})
		if _, err := c.Describe(t.Context()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "at most") {
			t.Errorf("%s: %v", want, err)
		}
		if c.Err() != nil {
			t.Errorf("%s: the connection ended: %v", want, c.Err())
		}
	}
}

// failing adds a type that fails with details.
type failing struct {
	Executor
	details map[string]string
}

func (f failing) Execute(ctx context.Context, t Task, r Reporter) (Result, error) {
	if t.Type == "fail" {
		return Result{}, FailedWith(Outcome{Kind: OutcomeFailed, Code: CodeScriptFailed, Message: "it failed", Details: f.details})
	}
	return f.Executor.Execute(ctx, t, r)
}
