package sdk

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// repeatAfter is when an outcome is reported again on a stream that is still the
// same; it doubles each time. The stream does not lose messages, but hosts err.
const repeatAfter = 10 * time.Second

// session is one host's hold on this plugin: its Control stream, and Data beside it.
type session struct {
	epoch    uint64
	ctx      context.Context
	end      context.CancelCauseFunc
	out      *outbox[wireMessage]
	chunks   *outbox[*pb.Chunk]
	in       *assembler
	workers  *workers
	lastBeat uint64         // number of the latest heartbeat among its messages
	plain    plainStart     // the reader's own
	begun    []begunAttempt // of the frame that is handled, in room that is used again
	received atomic.Uint64  // host messages handled
	hasData  bool           // under the server's lock
}

var errTakenOver = status.Error(codes.Aborted, "another stream of the host took over")

// Control serves one host until its stream ends or another takes over.
func (s *server) Control(stream grpc.BidiStreamingServer[pb.ControlRequest, pb.ControlResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	sess, err := s.open(stream.Context(), first.GetEpoch())
	if err != nil {
		return err
	}
	defer s.close(sess)
	go func() { // the handler must be free to return while Recv blocks
		for _, m := range first.GetMessages() {
			s.handle(sess, m)
		}
		sess.runBegun()
		var err error
		for err == nil && sess.ctx.Err() == nil {
			err = receiveFrame(stream, hostMessages, func(message []byte) error { return s.handleEncoded(sess, message) })
			sess.runBegun()
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		sess.end(err)
	}()
	go func() {
		err := sess.out.drain(sess.ctx.Done(), func(frame []wireMessage) error { return stream.SendMsg(sentFrame(frame)) })
		sess.end(err)
	}()
	s.heartbeats(sess)
	return sess.why()
}

// say queues a message, and gives its number on the stream. One that cannot be written ends the session.
func (s *session) say(m *pb.PluginMessage) uint64 {
	message, err := encodeMessage(pluginMessages, m)
	if err != nil {
		s.end(err)
		return 0
	}
	return s.out.put(message, message.size())
}

// sendChunks queues the chunks of a message that is queued.
func (s *session) sendChunks(chunks []*pb.Chunk) {
	for _, ch := range chunks {
		s.chunks.put(ch, len(ch.Data))
	}
}

// why is what ended the session: nil for the host's own end of it.
func (s *session) why() error {
	if err := context.Cause(s.ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// open makes the session that from now on hears what attempts say, and its Hello.
func (s *server) open(ctx context.Context, epoch uint64) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exec == nil {
		return nil, errNotConfigured
	}
	if err := s.raiseEpoch(epoch); err != nil {
		return nil, err
	}
	if s.session != nil {
		s.session.end(errTakenOver)
	}
	sess := &session{epoch: epoch, out: newOutbox[wireMessage](), chunks: newOutbox[*pb.Chunk](), in: newAssembler()}
	sess.ctx, sess.end = context.WithCancelCause(ctx)
	sess.workers = newWorkers(sess.ctx.Done())
	hello := &pb.Hello{Instance: s.instance, Name: s.plugin.Name, Version: s.plugin.Version, Pid: int64(os.Getpid()), Acks: true}
	for t, r := range s.attempts {
		if r.isFinished() {
			hello.Finished = append(hello.Finished, t[:])
		} else {
			hello.Running = append(hello.Running, t[:])
		}
	}
	sess.say(&pb.PluginMessage{Kind: &pb.PluginMessage_Hello{Hello: hello}})
	if s.drainingUnasked {
		sess.say(drainingMessage())
	}
	s.session = sess
	s.hadSession = true
	s.hostlessSince = time.Time{}
	return sess, nil
}

// close ends the session. If no other has taken its place the host is gone, and
// attempts that are not to outlive it are told so after a grace.
func (s *server) close(sess *session) {
	sess.end(nil)
	sess.out.close()
	sess.chunks.close()
	sess.in.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != sess {
		return
	}
	s.session = nil
	s.hostlessSince = time.Now()
	if s.survives() || len(s.attempts) == 0 {
		return
	}
	time.AfterFunc(detachGrace, func() {
		s.mu.Lock()
		gone := s.session == nil
		s.mu.Unlock()
		if gone {
			s.stopAll(ErrDetach, true)
		}
	})
}

// heartbeats says once a second what runs, until the session ends.
func (s *server) heartbeats(sess *session) {
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	for {
		select {
		case <-sess.ctx.Done():
			return
		case <-tick.C:
		}
		s.heartbeat(sess, time.Now())
	}
}

// heartbeat says what runs, unless the one before still waits for the stream: a host that does
// not read would find them all at once.
func (s *server) heartbeat(sess *session, now time.Time) {
	if !sess.out.hasSent(sess.lastBeat) {
		return
	}
	beat := &pb.Heartbeat{Interval: durationpb.New(heartbeatEvery)}
	// Counted before the list is made: a start that is counted stands in it.
	beat.Received = sess.received.Load()
	var again []*run
	s.mu.Lock()
	for t, r := range s.attempts {
		beat.Running = append(beat.Running, t[:])
		if r.listener == sess && r.repeatDue(now) {
			again = append(again, r)
		}
	}
	s.mu.Unlock()
	sess.lastBeat = sess.say(&pb.PluginMessage{Kind: &pb.PluginMessage_Heartbeat{Heartbeat: beat}})
	for _, r := range again {
		r.report(sess)
	}
}

// handleEncoded does what one message asks, of which it keeps nothing.
func (s *server) handleEncoded(sess *session, message []byte) error {
	if sess.ctx.Err() != nil {
		return nil // another host has taken over meanwhile
	}
	if sess.plain.read(message) {
		s.start(sess, &sess.plain.start)
		sess.received.Add(1)
		return nil
	}
	m := &pb.HostMessage{}
	if err := proto.Unmarshal(message, m); err != nil {
		return err
	}
	s.handle(sess, m)
	return nil
}

// handle does what one message asks. It never waits for anything: what takes time
// belongs to the attempt's own goroutine, which begins with runBegun.
func (s *server) handle(sess *session, m *pb.HostMessage) {
	switch k := m.GetKind().(type) {
	case *pb.HostMessage_Start:
		s.start(sess, k.Start)
	case *pb.HostMessage_Ack:
		if r := s.find(k.Ack.GetToken()); r != nil {
			r.settle(k.Ack.GetSeq())
		}
	case *pb.HostMessage_Acks:
		s.settled(k.Acks.GetTokens())
	case *pb.HostMessage_Spawned:
		if r := s.find(k.Spawned.GetToken()); r != nil {
			r.answer(k.Spawned.GetSeq(), reportAnswer{id: k.Spawned.GetId()})
		}
	case *pb.HostMessage_Cancel:
		if r := s.find(k.Cancel.GetToken()); r != nil {
			r.ctx.End(causeFromWire(k.Cancel.GetCause()))
		}
	case *pb.HostMessage_Refuse:
		if r := s.find(k.Refuse.GetToken()); r != nil {
			r.refuse(k.Refuse)
		}
	case *pb.HostMessage_Detach:
		s.mu.Lock()
		stop := !s.survives()
		s.mu.Unlock()
		if stop {
			s.stopAll(ErrDetach, false)
		}
	case *pb.HostMessage_Drain:
		s.drain()
	}
	sess.received.Add(1)
}

// runBegun has the attempts run that a frame has begun.
func (s *session) runBegun() {
	if len(s.begun) > 0 {
		s.workers.run(s.begun)
		clear(s.begun)
		s.begun = s.begun[:0]
	}
}

func (s *server) find(token []byte) *run {
	t, ok := tokenOf(token)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts[t]
}
