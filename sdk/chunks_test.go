package sdk

import (
	"bytes"
	"testing"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// chunkedStart is a Start whose input comes in one chunk, and that chunk.
func chunkedStart(change func(*pb.Start)) (*pb.HostMessage, *pb.Chunk) {
	token := randomToken()
	m := startOf(token, "save")
	m.GetStart().Input = &pb.Payload{Chunked: inlineBytes}
	if change != nil {
		change(m.GetStart())
	}
	return m, &pb.Chunk{Token: token[:], Part: pb.Part_PART_INPUT, Data: make([]byte, inlineBytes), Total: inlineBytes}
}

// Chunks that come when their attempt is over, and acknowledged, are kept for nobody.
func TestChunksOfWhatIsOver(t *testing.T) {
	s := newServer(gated(nil))
	h := newRawHost(t, s)
	canceled, canceledChunk := chunkedStart(nil)
	stranger, strangerChunk := chunkedStart(func(m *pb.Start) { m.Rejoin = true })
	odd, oddChunk := chunkedStart(func(m *pb.Start) { m.Action = 77 })
	last, lastChunk := chunkedStart(nil)
	late, lateChunk := chunkedStart(nil)
	cancel := &pb.HostMessage{Kind: &pb.HostMessage_Cancel{Cancel: &pb.Cancel{Token: canceled.GetStart().GetToken()}}}
	drain := &pb.HostMessage{Kind: &pb.HostMessage_Drain{Drain: &pb.Drain{}}}
	stream := h.open(1, canceled, stranger, odd, last, cancel, drain, late)
	acks := &pb.Acks{}
	for range 3 {
		fin := h.next(stream, "an outcome", func(m *pb.PluginMessage) bool { return m.GetFinished() != nil }).GetFinished()
		acks.Tokens = append(acks.Tokens, fin.GetToken()...)
	}
	if err := stream.Send(&pb.ControlRequest{Messages: []*pb.HostMessage{{Kind: &pb.HostMessage_Acks{Acks: acks}}}}); err != nil {
		t.Fatal(err)
	}
	h.next(stream, "a heartbeat that names the last alone", func(m *pb.PluginMessage) bool { return len(m.GetHeartbeat().GetRunning()) == 1 })

	data, err := h.client.Data(h.ctx)
	if err == nil {
		err = data.Send(&pb.DataRequest{Epoch: 1, Chunks: []*pb.Chunk{canceledChunk, strangerChunk}})
	}
	if err == nil {
		err = data.Send(&pb.DataRequest{Chunks: []*pb.Chunk{oddChunk, lateChunk, lastChunk}})
	}
	if err != nil {
		t.Fatal(err)
	}
	h.next(stream, "its checkpoint, when the last has its input", func(m *pb.PluginMessage) bool {
		return bytes.Equal(m.GetCheckpoint().GetToken(), last.GetStart().GetToken())
	})
	s.stopAll(ErrDetach, true) // nobody answers the checkpoint
	s.running.Wait()
	s.mu.Lock()
	in := s.session.in
	s.mu.Unlock()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.bytes != 0 || len(in.assemblies) != 0 {
		t.Errorf("%d bytes of %d payloads are kept", in.bytes, len(in.assemblies))
	}
}

// What is known of attempts that are over is bounded.
func TestRefusedChunks(t *testing.T) {
	a := newAssembler()
	first := randomToken()
	a.refuse(first)
	for range maxRefused {
		a.refuse(randomToken())
	}
	if _, ok := a.refused[first]; ok || len(a.refused) != maxRefused || len(a.refusedOrder) != maxRefused {
		t.Errorf("%d tokens are known, in order %d, the first too: %v", len(a.refused), len(a.refusedOrder), ok)
	}
}

// Chunks of an attempt that is over are not sent, nor held until they could have been.
func TestChunksNotSent(t *testing.T) {
	c := newConnection(t.Context(), nil, HostOptions{})
	defer c.cancel(nil)
	input := make([]byte, 2*inlineBytes)
	var attempts []*attempt
	for range 2 {
		a, err := c.startOrJoin(&Task{Type: "x", Token: randomToken(), Input: input}, NewReporter(ReporterFuncs{}), pb.Action_ACTION_UNSPECIFIED)
		if err != nil {
			t.Fatal(err)
		}
		attempts = append(attempts, a)
	}
	over, goesOn := attempts[0], attempts[1]
	over.end(Outcome{Kind: OutcomeCanceled})
	c.Settled(over.token)
	if over.unsent.chunk != nil || over.unsent.next.chunk != nil {
		t.Error("its chunks are still held")
	}
	done := make(chan struct{})
	_ = c.chunks.drain(done, func(frame []*queuedChunk) error {
		chunks := c.takeChunks(frame)
		for _, ch := range chunks {
			if !bytes.Equal(ch.GetToken(), goesOn.token[:]) {
				t.Error("a chunk of the attempt that is over is sent")
			}
		}
		if len(frame) != 4 || len(chunks) != 2 {
			t.Errorf("%d chunks of %d are sent", len(chunks), len(frame))
		}
		close(done)
		return nil
	})
}
