package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// gated makes a plugin with a type "wait" whose attempts end with the context or
// when the gate opens, and a type "big" whose result has a million bytes.
func gated(gate <-chan struct{}) Plugin {
	return Plugin{Name: "gated", Version: "1", New: Scripts(
		Script{TypeInfo: TypeInfo{Name: "wait"}, Run: func(ctx context.Context, _ Task, r Reporter) (Result, error) {
			r.Progress(1, 2, "waiting")
			select {
			case <-ctx.Done():
				return Result{}, context.Cause(ctx)
			case <-gate:
				return Bytes("x/y", bytes.Repeat([]byte("r"), 1_000_000)), nil
			}
		}},
		Script{TypeInfo: TypeInfo{Name: "save"}, Run: func(_ context.Context, t Task, r Reporter) (Result, error) {
			return Text("saved"), r.Checkpoint(t.Input)
		}},
	)}
}

type ended struct {
	res Result
	err error
}

// begin executes a task and gives its end; it returns when the attempt runs.
func begin(t *testing.T, c *connection, ctx context.Context, task Task) <-chan ended {
	t.Helper()
	running, end := make(chan struct{}, 1), make(chan ended, 1)
	go func() {
		res, err := c.Execute(ctx, task, NewReporter(ReporterFuncs{Progress: func(int64, int64, string) { running <- struct{}{} }}))
		end <- ended{res, err}
	}()
	select {
	case <-running:
	case e := <-end:
		t.Fatalf("it ended before it ran: %v", e.err)
	}
	return end
}

// What has finished while no host listened is there for the next one, chunks and
// all, until it is settled.
func TestOutcomeIsKeptUntilSettled(t *testing.T) {
	gate := make(chan struct{})
	s := newServer(gated(gate))
	cc := serveTest(t, s)
	first := connectTest(t, cc, HostOptions{Epoch: 1, Survive: true})
	task := Task{Type: "wait", Token: randomToken()}
	ctx, cancel := context.WithCancelCause(t.Context())
	end := begin(t, first, ctx, task)
	cancel(ErrDetach)
	if e := <-end; !errors.Is(e.err, ErrDetach) {
		t.Fatalf("a host that lets go is told %v, want ErrDetach", e.err)
	}
	first.Settled(task.Token) // must not take it from the next host
	_ = first.Close()
	close(gate)
	s.running.Wait()

	for epoch := uint64(2); epoch <= 3; epoch++ { // the one in between dies before it commits
		next := connectTest(t, cc, HostOptions{Epoch: epoch, Survive: true})
		if h := next.Hello(); len(h.Finished) != 1 || h.Finished[0] != task.Token || len(h.Running) != 0 {
			t.Fatalf("epoch %d: hello names %+v, want one that is finished", epoch, h)
		}
		join := task
		join.Rejoin = true
		res, err := next.Execute(t.Context(), join, NewReporter(ReporterFuncs{}))
		if err != nil || len(res.Data) != 1_000_000 || res.ContentType != "x/y" {
			t.Fatalf("epoch %d: %d bytes, %v", epoch, len(res.Data), err)
		}
		if epoch == 3 {
			next.Settled(task.Token)
			drained(t, next, s)
		}
		_ = next.Close()
	}
}

// drained waits until the plugin has forgotten everything.
func drained(t *testing.T, c *connection, s *server) {
	t.Helper()
	if err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.drain():
	case <-time.After(10 * time.Second):
		t.Fatalf("the plugin still keeps %d attempts", len(s.runs()))
	}
}

// A plugin obeys only the highest epoch, and the newest stream of it.
func TestEpoch(t *testing.T) {
	s := newServer(gated(nil))
	cc := serveTest(t, s)
	old := connectTest(t, cc, HostOptions{Epoch: 5})
	same := connectTest(t, cc, HostOptions{Epoch: 5})
	<-old.Done()
	if err := old.Err(); !strings.Contains(err.Error(), "took over") {
		t.Errorf("the old stream ended with %v", err)
	}
	_, err := connect(t.Context(), cc, HostOptions{Config: NewConfig("test", nil, nil), Epoch: 4})
	if err == nil || !strings.Contains(err.Error(), "epoch 4 is over") {
		t.Errorf("a lower epoch gets %v", err)
	}
	select {
	case <-same.Done():
		t.Errorf("a lower epoch ended the stream: %v", same.Err())
	default:
	}
	next := connectTest(t, cc, HostOptions{Epoch: 6})
	<-same.Done()
	if _, err := next.Describe(t.Context()); err != nil {
		t.Error(err)
	}
}

// With its connection gone an attempt that was sent is lost; a start that comes
// after it surely did not begin.
func TestConnectionEnds(t *testing.T) {
	s := newServer(gated(nil))
	c := connectTest(t, serveTest(t, s), HostOptions{})
	end := begin(t, c, t.Context(), Task{Type: "wait", Token: randomToken()})
	_ = c.Close()
	if e := <-end; !errors.Is(e.err, ErrLost) {
		t.Errorf("an attempt that ran: %v, want Lost", e.err)
	}
	_, err := c.Execute(t.Context(), Task{Type: "wait", Token: randomToken()}, NewReporter(ReporterFuncs{}))
	if !errors.Is(err, ErrReleased) {
		t.Errorf("a start on a connection that is down: %v, want Released", err)
	}
	s.stopAll(ErrDetach, true) // not to wait for the grace
	s.running.Wait()
}

// An attempt that is to be joined is never said to have surely not begun: it ran before.
func TestRejoinIsNeverReleased(t *testing.T) {
	lost := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrLost) {
			t.Errorf("%s: %v, want Lost", what, err)
		}
	}
	task := func() *Task { return &Task{Type: "x", Token: randomToken(), Rejoin: true} }
	reporter := NewReporter(ReporterFuncs{})

	c := newConnection(t.Context(), nil, HostOptions{})
	a, err := c.startOrJoin(task(), reporter, pb.Action_ACTION_UNSPECIFIED)
	if err != nil {
		t.Fatal(err)
	}
	c.fail(errors.New("gone before anything was sent"))
	lost("its Start did not go out", a.err)
	_, err = c.startOrJoin(task(), reporter, pb.Action_ACTION_UNSPECIFIED)
	lost("the connection is down", err)
	c = newConnection(t.Context(), nil, HostOptions{})
	c.out.close()
	_, err = c.startOrJoin(task(), reporter, pb.Action_ACTION_UNSPECIFIED)
	lost("the connection goes down", err)

	// An executor that could join it elsewhere; but its input does not come, and then it drains.
	s := newServer(Plugin{New: func(Config) (Executor, error) { return limited{rejoined: make(chan Task, 1)}, nil }})
	h := newRawHost(t, s)
	missing := startOf(randomToken(), "x")
	missing.GetStart().Rejoin = true
	missing.GetStart().Input = &pb.Payload{Chunked: maxPayload + 1}
	late := startOf(randomToken(), "x")
	late.GetStart().Rejoin = true
	stream := h.open(1, missing, &pb.HostMessage{Kind: &pb.HostMessage_Drain{Drain: &pb.Drain{}}}, late)
	for range 2 {
		fin := h.next(stream, "an outcome", func(m *pb.PluginMessage) bool { return m.GetFinished() != nil }).GetFinished()
		if fin.GetOutcome().GetKind() != pb.Kind_KIND_LOST {
			t.Errorf("the plugin says %v, want lost", fin.GetOutcome())
		}
	}
}

// An attempt settled before it ended is forgotten when it ends; the host does not
// hear of it twice.
func TestSettledBeforeItEnds(t *testing.T) {
	gate := make(chan struct{})
	s := newServer(gated(gate))
	c := connectTest(t, serveTest(t, s), HostOptions{})
	task := Task{Type: "wait", Token: randomToken()}
	end := begin(t, c, t.Context(), task)
	c.Settled(task.Token)
	close(gate)
	if e := <-end; e.err != nil {
		t.Error(e.err)
	}
	drained(t, c, s)
}

// However an attempt ends that was settled before, it is forgotten then, and Drain does not wait for it.
func TestSettledBeforeItIsGivenUp(t *testing.T) {
	beat := &pb.PluginMessage{Kind: &pb.PluginMessage_Heartbeat{Heartbeat: &pb.Heartbeat{Received: 1}}}
	for name, say := range map[string]func(token []byte) []*pb.PluginMessage{
		"no longer named": func([]byte) []*pb.PluginMessage { return []*pb.PluginMessage{beat, beat} },
		"not supported": func(token []byte) []*pb.PluginMessage {
			return []*pb.PluginMessage{{Kind: &pb.PluginMessage_Unsupported{Unsupported: &pb.Unsupported{Token: token}}}}
		},
		"a breach of the protocol": func(token []byte) (all []*pb.PluginMessage) {
			for i := range uint64(maxReports + 2) { // none of which can be answered: their chunks do not come
				all = append(all, &pb.PluginMessage{Kind: &pb.PluginMessage_Checkpoint{Checkpoint: &pb.Checkpoint{
					Token: token, Seq: i + 1, Data: &pb.Payload{Chunked: inlineBytes + 1}}}})
			}
			return all
		},
	} {
		started, settled := make(chan struct{}), make(chan struct{})
		c := connectFake(t, HostOptions{Silence: time.Minute}, func(s grpc.BidiStreamingServer[pb.ControlRequest, pb.ControlResponse]) error {
			f, err := s.Recv()
			if err != nil {
				return err
			}
			close(started)
			<-settled
			if err := s.Send(&pb.ControlResponse{Messages: say(f.GetMessages()[0].GetStart().GetToken())}); err != nil {
				return err
			}
			<-s.Context().Done()
			return nil
		})
		task, end := Task{Type: "x", Token: randomToken()}, make(chan error, 1)
		go func() {
			_, err := c.Execute(t.Context(), task, NewReporter(ReporterFuncs{}))
			end <- err
		}()
		<-started
		c.Settled(task.Token)
		close(settled)
		if err := <-end; err == nil {
			t.Errorf("%s: it succeeded", name)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := c.Drain(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

// Checkpoints over the inline size arrive whole, and the store's refusal goes back.
func TestCheckpointCrosses(t *testing.T) {
	s := newServer(gated(nil))
	c := connectTest(t, serveTest(t, s), HostOptions{})
	data := bytes.Repeat([]byte("checkpoint"), MaxCheckpoint/10)
	var got []byte
	task := Task{Type: "save", Token: randomToken(), Input: data}
	_, err := c.Execute(t.Context(), task, NewReporter(ReporterFuncs{Checkpoint: func(b []byte) error { got = b; return nil }}))
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes arrived of %d: %v", len(got), len(data), err)
	}
	c.Settled(task.Token)
	task.Token = randomToken()
	_, err = c.Execute(t.Context(), task, NewReporter(ReporterFuncs{Checkpoint: func([]byte) error { return errors.New("disk full") }}))
	if err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("the script was told %v", err)
	}
	c.Settled(task.Token)
	drained(t, c, s)
}

// A config that is refused says so in a way of its own; a running executor is not
// made anew by another config.
func TestConfigure(t *testing.T) {
	for name, p := range map[string]Plugin{
		"unknown key": gated(nil),
		"panic":       {Name: "p", New: func(Config) (Executor, error) { panic("no such key") }},
		"nothing":     {Name: "p", New: func(Config) (Executor, error) { return nil, nil }},
		"no New":      {Name: "p"},
	} {
		cfg := NewConfig("test", []byte(`{"sltos":3}`), nil)
		_, err := connect(t.Context(), serveTest(t, newServer(p)), HostOptions{Config: cfg})
		if !errors.Is(err, ErrConfigRefused) {
			t.Errorf("%s: %v, want one that wraps ErrConfigRefused", name, err)
		}
	}
	cc := serveTest(t, newServer(Plugin{New: func(Config) (Executor, error) { return NewScripts(Func("a", answer)) }}))
	connectTest(t, cc, HostOptions{Config: NewConfig("test", []byte(`{"a":1}`), nil)})
	_, err := connect(t.Context(), cc, HostOptions{Config: NewConfig("test", []byte(`{"a":2}`), nil)})
	if err == nil || errors.Is(err, ErrConfigRefused) || !strings.Contains(err.Error(), "started anew") {
		t.Errorf("another config for a running executor: %v", err)
	}
	_, err = connect(t.Context(), serveTest(t, stuckConfigure()), HostOptions{Config: NewConfig("slow", nil, nil), Start: 50 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "not ready within") {
		t.Errorf("a New that does not return: %v", err)
	}
}

func answer(context.Context, struct{}, Reporter) (int, error) { return 42, nil }

func stuckConfigure() *server {
	return newServer(Plugin{New: func(Config) (Executor, error) {
		time.Sleep(300 * time.Millisecond)
		return nil, errors.New("too late")
	}})
}

// fake is a plugin that does what a test says, as one in another language might.
type fake struct {
	pb.UnimplementedExecutorServiceServer
	hello   pb.Hello
	info    *pb.Info
	control func(stream grpc.BidiStreamingServer[pb.ControlRequest, pb.ControlResponse]) error
	data    func(stream grpc.BidiStreamingServer[pb.DataRequest, pb.DataResponse]) error // nil says nothing
}

func (f *fake) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	return &pb.DescribeResponse{Info: f.info}, nil
}

func (*fake) Configure(context.Context, *pb.ConfigureRequest) (*pb.ConfigureResponse, error) {
	return &pb.ConfigureResponse{}, nil
}

func (f *fake) Data(stream grpc.BidiStreamingServer[pb.DataRequest, pb.DataResponse]) error {
	if f.data != nil {
		return f.data(stream)
	}
	<-stream.Context().Done()
	return nil
}

func (f *fake) Control(stream grpc.BidiStreamingServer[pb.ControlRequest, pb.ControlResponse]) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	hello := &pb.PluginMessage{Kind: &pb.PluginMessage_Hello{Hello: &f.hello}}
	if err := stream.Send(&pb.ControlResponse{Messages: []*pb.PluginMessage{hello, {}}}); err != nil { // and an unknown one
		return err
	}
	return f.control(stream)
}

func connectFake(t *testing.T, o HostOptions, control func(grpc.BidiStreamingServer[pb.ControlRequest, pb.ControlResponse]) error) *connection {
	t.Helper()
	return connectTest(t, serveFake(t, &fake{control: control}), o)
}

func serveFake(t *testing.T, f *fake) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	g := PluginGRPCServer(nil)
	pb.RegisterExecutorServiceServer(g, f)
	served := make(chan struct{})
	go func() { defer close(served); _ = g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-served })
	cc, err := grpc.NewClient("unix:"+l.Addr().String(), append(HostDialOptions(), insecureTest())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

// What a plugin may do wrong, and what becomes of the attempt.
func TestPluginMisbehaves(t *testing.T) {
	type stream = grpc.BidiStreamingServer[pb.ControlRequest, pb.ControlResponse]
	say := func(s stream, m ...*pb.PluginMessage) error { return s.Send(&pb.ControlResponse{Messages: m}) }
	finished := func(token []byte, o *pb.Outcome) *pb.PluginMessage {
		return &pb.PluginMessage{Kind: &pb.PluginMessage_Finished{Finished: &pb.Finished{Token: token, Seq: 1, Outcome: o}}}
	}
	hold := func(s stream) error { <-s.Context().Done(); return nil }
	for name, c := range map[string]struct {
		do   func(s stream, token []byte) error
		want Outcome
	}{
		"forgets the attempt": {func(s stream, _ []byte) error {
			beat := &pb.PluginMessage{Kind: &pb.PluginMessage_Heartbeat{Heartbeat: &pb.Heartbeat{Received: 1}}}
			if err := say(s, beat, beat); err != nil {
				return err
			}
			return hold(s)
		}, Outcome{Kind: OutcomeLost, Code: CodeExecutorLost}},
		"ends the stream": {func(stream, []byte) error { return nil }, Outcome{Kind: OutcomeLost, Code: CodeExecutorLost}},
		"breaks the stream": {func(stream, []byte) error { return status.Error(codes.Internal, "boom") },
			Outcome{Kind: OutcomeLost, Code: CodeExecutorLost}},
		"falls silent": {func(s stream, _ []byte) error { return hold(s) }, Outcome{Kind: OutcomeLost, Code: CodeExecutorLost}},
		"does not support the start": {func(s stream, token []byte) error {
			_ = say(s, &pb.PluginMessage{Kind: &pb.PluginMessage_Unsupported{Unsupported: &pb.Unsupported{Token: token}}})
			return hold(s)
		}, Outcome{Kind: OutcomeFailed, Code: CodeProtocolError, Permanent: true}},
		"reports no kind": {func(s stream, token []byte) error {
			_ = say(s, finished(token, &pb.Outcome{}))
			return hold(s)
		}, Outcome{Kind: OutcomeFailed, Code: CodeProtocolError, Permanent: true}},
		"yields until nothing": {func(s stream, token []byte) error {
			_ = say(s, finished(token, &pb.Outcome{Kind: pb.Kind_KIND_YIELDED}))
			return hold(s)
		}, Outcome{Kind: OutcomeFailed, Code: CodeProtocolError, Permanent: true}},
		"yields until after all years": {func(s stream, token []byte) error {
			_ = say(s, finished(token, &pb.Outcome{Kind: pb.Kind_KIND_YIELDED, Yield: &pb.Yield{Until: &timestamppb.Timestamp{Seconds: 1 << 60}}}))
			return hold(s)
		}, Outcome{Kind: OutcomeFailed, Code: CodeProtocolError, Permanent: true}},
		"announces an absurd result": {func(s stream, token []byte) error {
			_ = say(s, finished(token, &pb.Outcome{Kind: pb.Kind_KIND_SUCCEEDED, Result: &pb.Payload{Chunked: 1 << 40}}))
			return hold(s)
		}, Outcome{Kind: OutcomeFailed, Code: CodeProtocolError, Permanent: true}},
		"reports of strangers, then properly": {func(s stream, token []byte) error {
			_ = say(s, finished([]byte("short"), nil), finished(make([]byte, 16), nil), finished(token, &pb.Outcome{Kind: pb.Kind_KIND_CANCELED}))
			for { // the stranger is refused whole
				f, err := s.Recv()
				if err != nil {
					return err
				}
				for _, m := range f.GetMessages() {
					if r := m.GetRefuse(); r != nil && bytes.Equal(r.GetToken(), make([]byte, 16)) && r.GetSeq() == 0 {
						return hold(s)
					}
				}
			}
		}, Outcome{Kind: OutcomeCanceled}},
	} {
		t.Run(name, func(t *testing.T) {
			conn := connectFake(t, HostOptions{Silence: 600 * time.Millisecond}, func(s stream) error {
				for {
					f, err := s.Recv()
					if err != nil {
						return err
					}
					for _, m := range f.GetMessages() {
						if st := m.GetStart(); st != nil {
							return c.do(s, st.GetToken())
						}
					}
				}
			})
			res, err := conn.Execute(t.Context(), Task{Type: "x", Token: randomToken()}, NewReporter(ReporterFuncs{}))
			o := OutcomeOf(t.Context(), res, err)
			if o.Kind != c.want.Kind || o.Code != c.want.Code || o.Permanent != c.want.Permanent {
				t.Errorf("the outcome is %s, %q: %s", o.Kind, o.Code, o.Message)
			}
		})
	}
}

// An attempt that nobody knows is refused when it has long been named, and once more each
// minute if it goes on; that is news once.
func TestUnknownAttempts(t *testing.T) {
	c := newConnection(t.Context(), nil, HostOptions{})
	defer c.cancel(nil)
	token, begin := randomToken(), time.Now()
	named := map[Token]struct{}{token: {}}
	var refused, news []time.Duration
	for after := time.Duration(0); after < 5*unknownFor; after += time.Second {
		u, n := c.unknownTooLong(named, begin.Add(after))
		if len(u) > 0 {
			refused = append(refused, after)
		}
		if len(n) > 0 {
			news = append(news, after)
		}
	}
	if len(refused) != 4 || len(news) != 1 || news[0] != refused[0] || refused[0] != unknownFor+time.Second {
		t.Errorf("refused after %s, of which news %s", refused, news)
	}
	c.unknownTooLong(nil, begin)
	if len(c.unknown) != 0 {
		t.Error("one that is no longer named is remembered")
	}
}

// Log lines are dropped and counted before they hold up a script; of progress the
// latest is always there.
func TestDataDropsRatherThanBlocks(t *testing.T) {
	q := newDataQueue()
	var mark itemMark
	token := randomToken()
	q.addProgress(token, &mark, 1, 9, "")
	for i := range dataItems + 10 {
		q.addLine(logLine(token, 3, fmt.Sprint(i), nil), &mark)
	}
	q.addProgress(token, &mark, 7, 9, "latest")
	lines, through := 0, uint64(0)
	var dropped uint64
	for f := q.frame(); f != nil; f = q.frame() {
		lines += len(f.GetLogs())
		dropped += f.GetDropped()
		through = f.GetThrough()
		for _, p := range f.GetProgress() {
			if p.GetDone() != 7 {
				t.Errorf("progress %d was kept, want the latest", p.GetDone())
			}
		}
	}
	if lines != dataItems-1 || dropped != 11 || through != mark.last.Load() {
		t.Errorf("%d lines, %d dropped, through %d of %d", lines, dropped, through, mark.last.Load())
	}
}

// limited is an executor of its own making: it hands attempts on, and says so.
type limited struct {
	Irreversible
	rejoined chan Task
}

func (limited) Describe(context.Context) (Info, error) {
	return Info{Types: []TypeInfo{{Name: "x"}}, Outlives: true, MaxResult: 10}, nil
}

func (l limited) Execute(_ context.Context, t Task, r Reporter) (Result, error) {
	if t.Rejoin {
		l.rejoined <- t
		return Text("joined"), nil
	}
	if err := r.Started([]byte("handle"), "node"); err != nil {
		return Result{}, err
	}
	return Text("more than ten bytes"), nil
}

// What an executor says of itself binds its plugin from the first start: a rejoin
// reaches one that outlives its host, and a result over its limit is none.
func TestInfoBinds(t *testing.T) {
	l := limited{rejoined: make(chan Task, 1)}
	s := newServer(Plugin{New: func(Config) (Executor, error) { return l, nil }})
	c := connectTest(t, serveTest(t, s), HostOptions{})
	task := Task{Type: "x", Token: randomToken(), Rejoin: true, Handle: []byte("handle")}
	res, err := c.Execute(t.Context(), task, NewReporter(ReporterFuncs{}))
	if err != nil || string(res.Data) != "joined" || string((<-l.rejoined).Handle) != "handle" {
		t.Errorf("%q, %v", res.Data, err)
	}
	c.Settled(task.Token)
	task = Task{Type: "x", Token: randomToken()}
	var node string
	_, err = c.Execute(t.Context(), task, NewReporter(ReporterFuncs{Started: func(_ []byte, n string) error { node = n; return nil }}))
	if o := OutcomeOf(t.Context(), Result{}, err); o.Code != CodeResultTooLarge || !o.Permanent || node != "node" {
		t.Errorf("%+v, started on %q", o, node)
	}
	c.Settled(task.Token)
	task.Token = randomToken()
	_, err = c.Execute(t.Context(), task, NewReporter(ReporterFuncs{Started: func([]byte, string) error { return errors.New("fenced") }}))
	if err == nil || !strings.Contains(err.Error(), "fenced") {
		t.Errorf("a start that is not wanted any more: %v", err)
	}
	c.Settled(task.Token)
	drained(t, c, s)
}

// Detach stops what does not outlive the host, and waits for it.
func TestDetach(t *testing.T) {
	s := newServer(gated(nil))
	c := connectTest(t, serveTest(t, s), HostOptions{})
	task := Task{Type: "wait", Token: randomToken()}
	end := begin(t, c, t.Context(), task)
	detached := make(chan error, 1)
	go func() { detached <- c.Detach(t.Context()) }()
	if e := <-end; !errors.Is(e.err, ErrInterrupted) {
		t.Errorf("a local attempt ends with %v, want Interrupted", e.err)
	}
	c.Settled(task.Token)
	if err := <-detached; err != nil {
		t.Error(err)
	}
	late := Task{Type: "wait", Token: randomToken()}
	if _, err := c.Execute(t.Context(), late, NewReporter(ReporterFuncs{})); !errors.Is(err, ErrReleased) {
		t.Errorf("a start after it: %v, want Released", err)
	}
}

// A process that somebody else told to stop says so, once, also to a host that comes later;
// what comes after that is given back, and what runs may finish.
func TestLeavingIsSaid(t *testing.T) {
	gate := make(chan struct{})
	s := newServer(gated(gate))
	cc := serveTest(t, s)
	c := connectTest(t, cc, HostOptions{Epoch: 1, Survive: true})
	task := Task{Type: "wait", Token: randomToken()}
	end := begin(t, c, t.Context(), task)
	select {
	case <-c.Draining():
		t.Fatal("it drains before it was told to")
	default:
	}
	s.drainUnasked()
	emptied := s.drainUnasked()
	<-c.Draining()
	if _, err := c.Execute(t.Context(), Task{Type: "wait", Token: randomToken()}, NewReporter(ReporterFuncs{})); !errors.Is(err, ErrReleased) {
		t.Errorf("a start after it: %v, want Released", err)
	}
	later := connectTest(t, cc, HostOptions{Epoch: 2, Survive: true})
	<-later.Draining()
	<-end // lost to the host that is over
	join := task
	join.Rejoin = true
	close(gate)
	if _, err := later.Execute(t.Context(), join, NewReporter(ReporterFuncs{})); err != nil {
		t.Errorf("what ran: %v", err)
	}
	later.Settled(task.Token)
	<-emptied
}

// Drain at the host's own word is not answered: it knows.
func TestDrainOfTheHostIsNotSaid(t *testing.T) {
	h := newRawHost(t, newServer(gated(nil)))
	stream := h.open(1, &pb.HostMessage{Kind: &pb.HostMessage_Drain{Drain: &pb.Drain{}}})
	h.next(stream, "a heartbeat, and no word of draining", func(m *pb.PluginMessage) bool {
		if m.GetDraining() != nil {
			t.Error("it says Draining to the host that told it so")
		}
		return m.GetHeartbeat() != nil
	})
}
