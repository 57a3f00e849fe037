package sdk

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// fuzzConnection is a connection without streams that has one attempt.
func fuzzConnection(t *testing.T, token Token) (*connection, *attempt) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	c := newConnection(ctx, nil, HostOptions{Config: NewConfig("fuzz", nil, nil)})
	reports := ReporterFuncs{Spawn: func(_ context.Context, child Child) (string, error) {
		if _, ok := child.Input.(json.RawMessage); !ok || child.Name == "" || len(child.Name) > MaxChildName || !ValidTypeName(child.Type) {
			t.Errorf("the host is asked for the child %+v", child)
		}
		return "id", nil
	}}
	a := &attempt{token: token, reporter: NewReporter(reports), startNumber: 1, startedAt: time.Now()}
	c.attempts[token] = a
	return c, a
}

// Whatever a plugin says on its streams: nothing panics, and what its host keeps of it is bounded.
func FuzzPluginMessages(f *testing.F) {
	token := Token{1}
	add := func(m ...*pb.PluginMessage) {
		control, err := proto.Marshal(&pb.ControlResponse{Messages: m})
		if err != nil {
			f.Fatal(err)
		}
		data, err := proto.Marshal(&pb.DataResponse{Through: 1, Dropped: 2,
			Chunks:   []*pb.Chunk{{Token: token[:], Part: pb.Part_PART_RESULT, Seq: 1, Total: 3, Data: []byte("abc")}},
			Logs:     []*pb.LogLine{{Token: token[:], Level: 99, Message: "m", Args: []string{"k"}}},
			Progress: []*pb.Progress{{Token: token[:], Done: -1}}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(control, data)
	}
	add(&pb.PluginMessage{Kind: &pb.PluginMessage_Hello{Hello: &pb.Hello{Running: [][]byte{token[:]}}}})
	add(&pb.PluginMessage{Kind: &pb.PluginMessage_Heartbeat{Heartbeat: &pb.Heartbeat{Running: [][]byte{token[:], {2}}, Received: 9}}})
	add(&pb.PluginMessage{Kind: &pb.PluginMessage_Draining{}}, &pb.PluginMessage{Kind: &pb.PluginMessage_Draining{}})
	add(&pb.PluginMessage{Kind: &pb.PluginMessage_Started{Started: &pb.Started{Token: token[:], Seq: 1, Node: "n"}}},
		&pb.PluginMessage{Kind: &pb.PluginMessage_Checkpoint{Checkpoint: &pb.Checkpoint{Token: token[:], Data: &pb.Payload{Chunked: -1}}}})
	add(&pb.PluginMessage{Kind: &pb.PluginMessage_Spawn{Spawn: &pb.Spawn{Token: token[:], Seq: 2, Name: "n", Type: "t", Input: &pb.Payload{Inline: []byte("{}")},
		Labels: map[string]string{"k": "v"}, Remaining: durationpb.New(-1), Retain: &durationpb.Duration{Seconds: 1 << 62}, MaxLost: new(int64(-1)), Shared: []string{"s"}}}})
	add(&pb.PluginMessage{Kind: &pb.PluginMessage_Finished{Finished: &pb.Finished{Token: token[:], Seq: 1, Data: 1,
		Outcome: &pb.Outcome{Kind: pb.Kind_KIND_YIELDED, Yield: &pb.Yield{Children: []string{"a"}, Checkpoint: &pb.Payload{Chunked: 3}}}}}})
	add(&pb.PluginMessage{Kind: &pb.PluginMessage_Unsupported{Unsupported: &pb.Unsupported{Token: token[:]}}})
	f.Fuzz(func(t *testing.T, control, data []byte) {
		c, a := fuzzConnection(t, token)
		var d pb.DataResponse
		if proto.Unmarshal(data, &d) == nil {
			c.handleData(&d)
		}
		if eachMessage(control, pluginMessages, c.handleEncoded) != nil {
			return
		}
		a.mu.Lock()
		if len(a.reports) > maxReports {
			t.Errorf("%d reports wait", len(a.reports))
		}
		a.mu.Unlock()
		if o := OutcomeOf(t.Context(), a.result, a.err); a.ended() && (len(o.Details) > maxDetails || len(o.Message) > 2*maxText || len(o.Code) > maxName) {
			t.Errorf("an outcome is kept whole: %d details", len(o.Details))
		}
	})
}

// Whatever is said of children is read, or refused, and goes there and back.
func FuzzChildren(f *testing.F) {
	f.Add(EncodeChildren([]ChildStatus{{Name: "a", ID: "1", Type: "t", State: "succeeded", Result: &Result{ContentType: "x/y", Data: []byte{0, 255}}},
		{Name: "b", State: "failed", Failure: &Failure{Code: "c", Message: "m"}, ResultLeftOut: true}}))
	f.Add([]byte(`[{"name":1}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		children, err := DecodeChildren(data)
		if err != nil {
			return
		}
		again, err := DecodeChildren(EncodeChildren(children))
		if err != nil || len(again) != len(children) {
			t.Errorf("%d children became %d, %v", len(children), len(again), err)
		}
	})
}

// Whatever a plugin says of itself is bounded, and goes there and back.
func FuzzInfo(f *testing.F) {
	seed, err := proto.Marshal(infoToWire(Info{Types: []TypeInfo{{Name: "x", Input: []byte("{}")}}, Nodes: []Node{{Name: "n", LastSeen: time.Unix(1, 0)}}}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, in []byte) {
		var w pb.Info
		if proto.Unmarshal(in, &w) != nil || boundedInfo(&w) != nil {
			return
		}
		info := infoFromWire(&w)
		if again := infoFromWire(infoToWire(info)); len(again.Types) != len(info.Types) || len(again.Nodes) != len(info.Nodes) {
			t.Errorf("%d types and %d nodes became %d and %d", len(info.Types), len(info.Nodes), len(again.Types), len(again.Nodes))
		}
	})
}
