package sdk

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// echo answers each start with an end and does nothing else.
type echo struct {
	pb.UnimplementedExecutorServiceServer
}

func (echo) Control(stream grpc.BidiStreamingServer[pb.ControlRequest, pb.ControlResponse]) error {
	for {
		in, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // the benchmark has ended
		}
		out := &pb.ControlResponse{}
		for _, m := range in.Messages {
			out.Messages = append(out.Messages, &pb.PluginMessage{Kind: &pb.PluginMessage_Finished{Finished: &pb.Finished{
				Token: m.GetStart().GetToken(), Outcome: &pb.Outcome{Kind: pb.Kind_KIND_SUCCEEDED}}}})
		}
		if err := stream.Send(out); err != nil {
			return err
		}
	}
}

// BenchmarkRawStream is the limit of the protocol's: starts and ends, 64 to a
// frame and about 1,000 in flight, over one bare gRPC stream, with nobody
// keeping track of anything.
func BenchmarkRawStream(b *testing.B) {
	cc := serveTest(b, nil, func(g *grpc.Server) { pb.RegisterExecutorServiceServer(g, echo{}) })
	stream, err := pb.NewExecutorServiceClient(cc).Control(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	const perFrame, frames = 64, 16
	credit := make(chan struct{}, frames)
	b.ResetTimer()
	go func() {
		token := make([]byte, 16)
		for left := b.N; left > 0; left -= perFrame {
			credit <- struct{}{}
			req := &pb.ControlRequest{}
			for range min(perFrame, left) {
				req.Messages = append(req.Messages, &pb.HostMessage{Kind: &pb.HostMessage_Start{Start: &pb.Start{
					Token: token, TaskId: "01990f4e-0000-7000-8000-000000000000", Type: "noop", Attempt: 1, Input: &pb.Payload{Inline: []byte("null")}}}})
			}
			if stream.Send(req) != nil {
				return
			}
		}
		_ = stream.CloseSend()
	}()
	for got := 0; got < b.N; <-credit {
		in, err := stream.Recv()
		if err != nil {
			b.Fatal(err)
		}
		got += len(in.Messages)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
}
