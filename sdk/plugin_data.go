package sdk

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// What the log lines and progress that wait for the stream may take together.
const (
	dataItems = 4096
	dataBytes = 8 << 20
)

// dataQueue holds log lines and progress until the stream takes them. It never
// blocks an attempt: of progress only the latest of each attempt is kept, and
// lines that find no room are dropped and counted. It outlives the streams, so
// that what was said while a host was away is not all lost.
type dataQueue struct {
	mu      sync.Mutex
	items   []*dataItem
	first   uint64 // the mark of items[0]; marks count all items ever queued
	bytes   int
	dropped uint64
	wake    chan struct{}
}

// dataItem is a log line or a progress.
type dataItem struct {
	log      *pb.LogLine
	progress *pb.Progress
	bytes    int
	mark     *itemMark
}

// itemMark is what an attempt knows of its items.
type itemMark struct {
	last    atomic.Uint64 // mark of the latest
	pending *pb.Progress  // not yet taken; under the queue's lock
}

func newDataQueue() *dataQueue { return &dataQueue{first: 1, wake: make(chan struct{}, 1)} }

// add needs the lock held.
func (q *dataQueue) add(it *dataItem) bool {
	if len(q.items) >= dataItems || q.bytes+it.bytes > dataBytes {
		q.dropped++
		return false
	}
	q.items = append(q.items, it)
	q.bytes += it.bytes
	it.mark.last.Store(q.first + uint64(len(q.items)) - 1)
	if len(q.items) == 1 {
		q.signal()
	}
	return true
}

// through is the mark up to which everything was taken.
func (q *dataQueue) through() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.first - 1
}

func (q *dataQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *dataQueue) addLine(l *pb.LogLine, mark *itemMark) {
	size := len(l.Message)
	for _, a := range l.Args {
		size += len(a)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(&dataItem{log: l, bytes: size, mark: mark})
}

func (q *dataQueue) addProgress(t Token, mark *itemMark, done, total int64, message string) {
	message = clip(message, 4<<10)
	q.mu.Lock()
	defer q.mu.Unlock()
	if p := mark.pending; p != nil {
		p.Done = done
		p.Total = total
		p.Message = message
		return
	}
	p := &pb.Progress{Token: t[:], Done: done, Total: total, Message: message}
	if q.add(&dataItem{progress: p, bytes: len(message), mark: mark}) {
		mark.pending = p
	}
}

// frame takes what goes into the next frame; nil if nothing waits.
func (q *dataQueue) frame() *pb.DataResponse {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 && q.dropped == 0 {
		return nil
	}
	f := &pb.DataResponse{Dropped: q.dropped}
	q.dropped = 0
	n, bytes := 0, 0
	for n < len(q.items) && n < 2*frameMessages && bytes < frameBytes {
		it := q.items[n]
		q.items[n] = nil
		bytes += it.bytes
		if it.log != nil {
			f.Logs = append(f.Logs, it.log)
		} else {
			f.Progress = append(f.Progress, it.progress)
			it.mark.pending = nil
		}
		n++
	}
	q.items = q.items[n:]
	q.bytes -= bytes
	q.first += uint64(n)
	f.Through = q.first - 1
	if len(q.items) == 0 {
		q.items = nil
	}
	return f
}

// Data carries logs, progress and large payloads beside the current Control stream.
func (s *server) Data(stream grpc.BidiStreamingServer[pb.DataRequest, pb.DataResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	sess, err := s.claimSession(first.GetEpoch())
	if err != nil {
		return err
	}
	go func() {
		frame, err := first, error(nil)
		for err == nil && sess.ctx.Err() == nil {
			for _, c := range frame.GetChunks() {
				if r := s.find(c.GetToken()); r == nil || !r.payloadsComplete.Load() {
					_ = sess.in.add(c) // a host that sends too much makes its own payload fail
				}
			}
			frame, err = stream.Recv()
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		sess.end(err)
	}()
	// Chunks and the rest take turns by having a sender each; a stream takes one
	// message at a time.
	var sending sync.Mutex
	send := func(f *pb.DataResponse) error {
		sending.Lock()
		defer sending.Unlock()
		return stream.Send(f)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		sess.end(sess.chunks.drain(sess.ctx.Done(), func(chunks []*pb.Chunk) error {
			return send(&pb.DataResponse{Chunks: chunks})
		}))
	}()
	s.sendData(sess, send)
	select {
	case <-done:
	case <-stream.Context().Done():
	case <-sess.ctx.Done():
	}
	return sess.why()
}

func (s *server) sendData(sess *session, send func(*pb.DataResponse) error) {
	defer s.data.signal() // this may have taken what was meant to wake the next stream
	if err := send(&pb.DataResponse{Through: s.data.through()}); err != nil {
		sess.end(err) // a new host must not wait for what an earlier one has heard
		return
	}
	for {
		for sess.ctx.Err() == nil {
			f := s.data.frame()
			if f == nil {
				break
			}
			if err := send(f); err != nil {
				sess.end(err)
				return
			}
		}
		select {
		case <-s.data.wake:
		case <-sess.ctx.Done():
			return
		}
	}
}

// claimSession finds the session that a Data stream belongs to.
func (s *server) claimSession(epoch uint64) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil || s.session.hasData || s.session.epoch != epoch {
		return nil, status.Error(codes.FailedPrecondition, "Data follows a Control stream of the same epoch, once")
	}
	s.session.hasData = true
	return s.session, nil
}

func logLine(t Token, level int32, message string, args []string) *pb.LogLine {
	return &pb.LogLine{Token: t[:], At: timestamppb.Now(), Level: level, Message: message, Args: args}
}
