package sdk

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// A plugin that says so gets the acks of outcomes together, and one that does not, as from
// before there were such, gets each by itself.
func TestAcksOfOutcomes(t *testing.T) {
	const n = 300
	for _, together := range []bool{true, false} {
		acked := map[Token]int{}
		all := make(chan struct{})
		f := &fake{hello: pb.Hello{Acks: together}, control: func(s grpc.BidiStreamingServer[pb.ControlRequest, pb.ControlResponse]) error {
			for {
				frame, err := s.Recv()
				if err != nil {
					return err
				}
				answer := &pb.ControlResponse{}
				for _, m := range frame.GetMessages() {
					if (m.GetAck() != nil) == together && m.GetStart() == nil {
						t.Errorf("a plugin that takes Acks (%t) hears %v", together, m)
					}
					if m.GetStart() != nil {
						answer.Messages = append(answer.Messages, finishedFrom(m.GetStart().GetToken(), &pb.Outcome{Kind: pb.Kind_KIND_SUCCEEDED}))
						continue
					}
					for token := range slices.Chunk(slices.Concat(m.GetAck().GetToken(), m.GetAcks().GetTokens()), 16) {
						acked[Token(token)]++
					}
				}
				if err := s.Send(answer); err != nil {
					return err
				}
				if len(acked) == n {
					close(all)
					<-s.Context().Done()
					return nil
				}
			}
		}}
		c := connectTest(t, serveFake(t, f), HostOptions{Silence: time.Minute})
		runOf(t, c, "any", n)
		<-all
		_ = c.Close()
		for token, times := range acked {
			if times != 1 {
				t.Errorf("%s is acknowledged %d times", token, times)
			}
		}
	}
}

// However many outcomes wait for their ack, each is in one message of a bounded size.
func TestManyAcks(t *testing.T) {
	const n = 2*maxAcks + 1
	c := newConnection(t.Context(), nil, HostOptions{})
	defer c.cancel(nil)
	c.takesAcks = true
	for range n {
		c.ackOutcome(&attempt{token: randomToken()})
	}
	acked := map[Token]bool{}
	done := make(chan struct{})
	_ = c.out.drain(done, func(frame []wireMessage) error {
		c.fillAcks(frame)
		for _, m := range hostMessagesOf(t, frame...) {
			if got := len(m.GetAcks().GetTokens()); got == 0 || got > 16*maxAcks {
				t.Errorf("a message has %d bytes of tokens", got)
			}
			for token := range slices.Chunk(m.GetAcks().GetTokens(), 16) {
				acked[Token(token)] = true
			}
		}
		if len(acked) == n {
			close(done)
		}
		return nil
	})
}

// Acks end what has finished; what runs, is not known, or is no token, stays as it is.
func TestPluginTakesAcks(t *testing.T) {
	gate := make(chan struct{})
	defer close(gate)
	s := newServer(gated(gate))
	h := newRawHost(t, s)
	lost, runs := randomToken(), randomToken()
	join := startOf(lost, "wait")
	join.GetStart().Rejoin = true
	stream := h.open(1, join, startOf(runs, "wait"))
	if !h.next(stream, "Hello", func(*pb.PluginMessage) bool { return true }).GetHello().GetAcks() {
		t.Error("Hello does not say that Acks are taken")
	}
	h.next(stream, "an outcome", func(m *pb.PluginMessage) bool { return m.GetFinished() != nil })
	stranger := randomToken()
	acks := &pb.Acks{Tokens: slices.Concat(runs[:], stranger[:], lost[:], []byte("short"))}
	if err := stream.Send(&pb.ControlRequest{Messages: []*pb.HostMessage{{Kind: &pb.HostMessage_Acks{Acks: acks}}}}); err != nil {
		t.Fatal(err)
	}
	beat := h.next(stream, "a heartbeat after the Acks", func(m *pb.PluginMessage) bool { return m.GetHeartbeat().GetReceived() == 3 }).GetHeartbeat()
	if len(beat.GetRunning()) != 1 || string(beat.GetRunning()[0]) != string(runs[:]) {
		t.Errorf("the plugin names %x, want %x alone", beat.GetRunning(), runs)
	}
}
