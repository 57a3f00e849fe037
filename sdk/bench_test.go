package sdk

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// serveTest serves s, and what more is registered, on a socket and gives a
// connection to it.
func serveTest(tb testing.TB, s *server, more ...func(*grpc.Server)) *grpc.ClientConn {
	tb.Helper()
	l, err := net.Listen("unix", tb.TempDir()+"/s")
	if err != nil {
		tb.Fatal(err)
	}
	g := PluginGRPCServer(nil)
	if s != nil {
		pb.RegisterExecutorServiceServer(g, s)
	}
	for _, register := range more {
		register(g)
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = g.Serve(l) }()
	tb.Cleanup(func() { g.Stop(); <-served })
	cc, err := grpc.NewClient("unix:"+l.Addr().String(), append(HostDialOptions(), insecureTest())...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = cc.Close() })
	return cc
}

// connectTest connects to s as a host of this epoch.
func connectTest(tb testing.TB, cc *grpc.ClientConn, o HostOptions) *connection {
	tb.Helper()
	if o.Config.Executor == "" {
		o.Config = NewConfig("test", nil, nil)
	}
	c, err := connect(context.Background(), cc, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func insecureTest() grpc.DialOption { return grpc.WithTransportCredentials(insecure.NewCredentials()) }

func randomToken() (t Token) {
	_, _ = rand.Read(t[:])
	return t
}

// BenchmarkControlStream runs tasks that do nothing through gRPC, so many at once:
// what the protocol itself costs.
func BenchmarkControlStream(b *testing.B) {
	noop := Plugin{Name: "noop", New: Scripts(Script{TypeInfo: TypeInfo{Name: "noop"},
		Run: func(context.Context, Task, Reporter) (Result, error) { return Result{}, nil }})}
	direct, err := noop.New(NewConfig("test", nil, nil))
	if err != nil {
		b.Fatal(err)
	}
	for _, inFlight := range []int{1, 64, 1000} {
		b.Run(fmt.Sprintf("direct/%d", inFlight), func(b *testing.B) { benchmarkExecutor(b, direct, inFlight) })
		b.Run(fmt.Sprintf("grpc/%d", inFlight), func(b *testing.B) {
			benchmarkExecutor(b, connectTest(b, serveTest(b, newServer(noop)), HostOptions{}), inFlight)
		})
	}
}

func benchmarkExecutor(b *testing.B, e Executor, inFlight int) {
	b.ReportAllocs()
	settler, _ := e.(Settler)
	todo := make(chan uint64, inFlight)
	var all sync.WaitGroup
	b.ResetTimer()
	for range inFlight {
		all.Go(func() {
			report := NewReporter(ReporterFuncs{})
			for n := range todo {
				t := Task{ID: "01990f4e-0000-7000-8000-000000000000", Type: "noop", Attempt: 1, Input: []byte("null")}
				binary.BigEndian.PutUint64(t.Token[:], n)
				if _, err := e.Execute(context.Background(), t, report); err != nil {
					b.Error(err)
				}
				if settler != nil {
					settler.Settled(t.Token)
				}
			}
		})
	}
	for n := range b.N {
		todo <- uint64(n)
	}
	close(todo)
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
}
