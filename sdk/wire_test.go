package sdk

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// hostStream is a Control stream, and what of its last frame was not yet looked at.
type hostStream struct {
	grpc.BidiStreamingClient[pb.ControlRequest, pb.ControlResponse]
	rest []*pb.PluginMessage
}

// rawHost speaks to a plugin as the protocol page says, message by message.
type rawHost struct {
	t      *testing.T
	client pb.ExecutorServiceClient
	ctx    context.Context
}

func newRawHost(t *testing.T, s *server) *rawHost {
	h := &rawHost{t, pb.NewExecutorServiceClient(serveTest(t, s)), t.Context()}
	if _, err := h.client.Configure(h.ctx, &pb.ConfigureRequest{Executor: "raw"}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *rawHost) open(epoch uint64, first ...*pb.HostMessage) *hostStream {
	h.t.Helper()
	s, err := h.client.Control(h.ctx)
	if err == nil {
		err = s.Send(&pb.ControlRequest{Epoch: epoch, Messages: first})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return &hostStream{BidiStreamingClient: s}
}

// next gives the next message for which want is true.
func (h *rawHost) next(s *hostStream, what string, want func(*pb.PluginMessage) bool) *pb.PluginMessage {
	h.t.Helper()
	for {
		for len(s.rest) > 0 {
			m := s.rest[0]
			s.rest = s.rest[1:]
			if want(m) {
				return m
			}
		}
		f, err := s.Recv()
		if err != nil {
			h.t.Fatalf("waiting for %s: %v", what, err)
		}
		s.rest = f.GetMessages()
	}
}

func startOf(token Token, kind string) *pb.HostMessage {
	return &pb.HostMessage{Kind: &pb.HostMessage_Start{Start: &pb.Start{Token: token[:], Type: kind, Attempt: 1}}}
}

// The plugin's half, heard message by message: what it does not know it ignores or
// answers, heartbeats name what runs, and an outcome is kept until it is acked.
func TestPluginSaysWhatItShould(t *testing.T) {
	gate := make(chan struct{})
	s := newServer(gated(gate))
	h := newRawHost(t, s)
	if _, err := h.client.Describe(h.ctx, &pb.DescribeRequest{}); err != nil {
		t.Fatal(err)
	}
	token, bad := randomToken(), startOf(Token{}, "wait")
	bad.GetStart().Token = []byte("short")
	odd := startOf(randomToken(), "wait")
	odd.GetStart().Action = 77
	stranger := randomToken()
	join := startOf(stranger, "wait")
	join.GetStart().Rejoin = true
	first := h.open(1, &pb.HostMessage{}, bad, odd, join, startOf(token, "wait"))
	opening := h.next(first, "the first message", func(*pb.PluginMessage) bool { return true })
	if opening.GetHello().GetInstance() != s.instance {
		t.Fatalf("the first message is %v, want Hello", opening)
	}
	for _, m := range []*pb.HostMessage{bad, odd} {
		got := h.next(first, "unsupported", func(m *pb.PluginMessage) bool { return m.GetUnsupported() != nil })
		if string(got.GetUnsupported().GetToken()) != string(m.GetStart().GetToken()) {
			t.Errorf("unsupported is %v, want of %v", got, m)
		}
	}
	fin := h.next(first, "lost", func(m *pb.PluginMessage) bool { return m.GetFinished() != nil }).GetFinished()
	if fin.GetOutcome().GetKind() != pb.Kind_KIND_LOST || string(fin.GetToken()) != string(stranger[:]) {
		t.Errorf("a rejoin of a stranger: %v", fin)
	}
	beat := h.next(first, "heartbeat", func(m *pb.PluginMessage) bool { return m.GetHeartbeat() != nil }).GetHeartbeat()
	if len(beat.GetRunning()) != 2 || beat.GetReceived() != 5 {
		t.Errorf("the heartbeat names %d after %d messages, want 2 after 5", len(beat.GetRunning()), beat.GetReceived())
	}

	// A second stream of the host: nothing of it is said before it is joined.
	second := h.open(2)
	hello := h.next(second, "hello", func(m *pb.PluginMessage) bool { return m.GetHello() != nil }).GetHello()
	if len(hello.GetRunning()) != 1 || len(hello.GetFinished()) != 1 {
		t.Errorf("hello: %v", hello)
	}
	close(gate)
	s.running.Wait()
	h.next(second, "a heartbeat, and nothing before", func(m *pb.PluginMessage) bool {
		if m.GetFinished() != nil {
			t.Error("an outcome was reported before it was joined")
		}
		return m.GetHeartbeat() != nil
	})
	if err := second.Send(&pb.ControlRequest{Messages: []*pb.HostMessage{startOf(token, "wait")}}); err != nil {
		t.Fatal(err)
	}
	fin = h.next(second, "finished", func(m *pb.PluginMessage) bool { return m.GetFinished() != nil }).GetFinished()
	if string(fin.GetToken()) != string(token[:]) || fin.GetOutcome().GetResult().GetChunked() != 1_000_000 {
		t.Errorf("joined: %v", fin)
	}
	// The wrong number acks nothing, the right one all of it.
	ack := func(token Token, seq uint64) *pb.HostMessage {
		return &pb.HostMessage{Kind: &pb.HostMessage_Ack{Ack: &pb.Ack{Token: token[:], Seq: seq}}}
	}
	refuse := &pb.HostMessage{Kind: &pb.HostMessage_Refuse{Refuse: &pb.Refuse{Token: stranger[:]}}}
	for want, m := range map[int]*pb.HostMessage{2: ack(token, fin.GetSeq()+1)} {
		if err := second.Send(&pb.ControlRequest{Messages: []*pb.HostMessage{m}}); err != nil {
			t.Fatal(err)
		}
		beat = h.next(second, "heartbeat", func(m *pb.PluginMessage) bool { return m.GetHeartbeat().GetReceived() >= 2 }).GetHeartbeat()
		if len(beat.GetRunning()) != want {
			t.Errorf("%d are kept, want %d", len(beat.GetRunning()), want)
		}
	}
	if err := second.Send(&pb.ControlRequest{Messages: []*pb.HostMessage{ack(token, fin.GetSeq()), refuse}}); err != nil {
		t.Fatal(err)
	}
	<-s.drain()
}

// A Refuse with seq 0 stops the attempt and whatever waits for an answer.
func TestRefusedAttemptStops(t *testing.T) {
	returned := make(chan error, 1)
	s := newServer(Plugin{New: Scripts(Script{TypeInfo: TypeInfo{Name: "save"},
		Run: func(ctx context.Context, _ Task, r Reporter) (Result, error) {
			err := r.Checkpoint([]byte("x"))
			<-ctx.Done()
			returned <- err
			return Result{}, context.Cause(ctx)
		}})})
	h := newRawHost(t, s)
	token := randomToken()
	stream := h.open(1, startOf(token, "save"))
	h.next(stream, "checkpoint", func(m *pb.PluginMessage) bool { return m.GetCheckpoint() != nil })
	refuse := &pb.HostMessage{Kind: &pb.HostMessage_Refuse{Refuse: &pb.Refuse{Token: token[:], Reason: "not yours"}}}
	if err := stream.Send(&pb.ControlRequest{Messages: []*pb.HostMessage{refuse}}); err != nil {
		t.Fatal(err)
	}
	if err := <-returned; err == nil {
		t.Error("a checkpoint that nobody took gave no error")
	}
	<-s.drain()
}

// A plugin that nobody has configured takes no streams; Data follows Control.
func TestOrderOfStreams(t *testing.T) {
	h := &rawHost{t, pb.NewExecutorServiceClient(serveTest(t, newServer(gated(nil)))), t.Context()}
	if _, err := h.open(1).Recv(); err == nil || !strings.Contains(err.Error(), "Configure must come first") {
		t.Errorf("Control before Configure: %v", err)
	}
	if _, err := h.client.Describe(h.ctx, &pb.DescribeRequest{}); err == nil {
		t.Error("Describe before Configure is answered")
	}
	h = newRawHost(t, newServer(gated(nil)))
	data, err := h.client.Data(h.ctx)
	if err == nil {
		err = data.Send(&pb.DataRequest{Epoch: 1})
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := data.Recv(); err == nil || !strings.Contains(err.Error(), "Data follows") {
		t.Errorf("Data without Control: %v", err)
	}
}

// Info crosses whole: abilities, limits, types with their defaults, nodes.
func TestInfoCrosses(t *testing.T) {
	never, forEver := 0, time.Duration(0)
	in := Info{Slots: 3, Deferred: true, Outlives: true, StartUnknown: true, MaxInput: 1, MaxResult: 2,
		Types: []TypeInfo{{Name: "a", Description: "b", Input: []byte(`{}`), Revertible: true, Version: "1.3.0",
			Defaults: Defaults{Timeout: time.Minute, MaxAttempts: 5, MaxLost: &never, Deadline: time.Hour, Backoff: time.Second, BackoffMax: 2 * time.Second,
				Retain: &forEver, QueueLimit: 6, Concurrency: []Concurrency{{Max: 7}, {Max: 8, By: "label:a"}}, Rate: Rate{PerSecond: 0.5, Burst: 9}, Priority: -10,
				MaxInput: 11, MaxResult: 12, Route: map[string]string{"zone": "b"}, MinVersion: "1.2.0"}}, {Name: "plain"}},
		Nodes: []Node{{Name: "w1", Slots: 4, Used: 1, Labels: map[string]string{"zone": "b"},
			Draining: true, Running: []string{"t"}, LastSeen: time.Unix(1e9, 5).UTC(), Address: "10.0.0.1", Version: "7", Types: []string{"a"},
			Instance: "I1", Gone: true, TypeSlots: map[string]int{"a": 2}, TypeVersions: map[string]string{"a": "1.3.0"}}}}
	out := infoFromWire(infoToWire(in))
	if out.Types[0].Defaults.MaxLost == nil || *out.Types[0].Defaults.MaxLost != 0 || out.Types[1].Defaults.MaxLost != nil {
		t.Errorf("max_lost 0 and unset are not told apart: %+v", out.Types)
	}
	if out.Types[1].Input != nil || string(out.Types[0].Input) != "{}" || out.Types[0].Defaults.Timeout != time.Minute || out.Types[0].Version != "1.3.0" {
		t.Errorf("types: %+v", out.Types)
	}
	if !reflect.DeepEqual(out.Types[0].Defaults, in.Types[0].Defaults) || !reflect.DeepEqual(out.Types[1].Defaults, Defaults{}) {
		t.Errorf("defaults: %+v", out.Types)
	}
	if !reflect.DeepEqual(out.Nodes, in.Nodes) {
		t.Errorf("nodes: %+v", out.Nodes)
	}
	if !out.Deferred || !out.Outlives || !out.StartUnknown || out.Slots != 3 || out.MaxInput != 1 || out.MaxResult != 2 {
		t.Errorf("abilities: %+v", out)
	}
}

// A time that Go cannot count is none; a duration that it cannot count is the longest.
func TestTimesFromOutside(t *testing.T) {
	for _, at := range []*timestamppb.Timestamp{nil, {Seconds: 1 << 60}, {Seconds: -1 << 60}, {Nanos: -1}} {
		if got := timeFromWire(at); !got.IsZero() {
			t.Errorf("%v is %s", at, got)
		}
	}
	if got := timeFromWire(timestamppb.New(time.Unix(1e9, 5))); !got.Equal(time.Unix(1e9, 5)) {
		t.Errorf("an ordinary time became %s", got)
	}
	if o := (&pb.Outcome{RetryAfter: &durationpb.Duration{Seconds: 1 << 60}}); o.GetRetryAfter().AsDuration() != 1<<63-1 {
		t.Errorf("a long duration wraps around to %s", o.GetRetryAfter().AsDuration())
	}
}
