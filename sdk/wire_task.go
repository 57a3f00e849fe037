package sdk

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// startMessage is all that a Start is made of in one piece: this is the hot path,
// and six small allocations a task can be seen in its rate.
type startMessage struct {
	msg                pb.HostMessage
	kind               pb.HostMessage_Start
	start              pb.Start
	input, checkpoint  pb.Payload
	result, children   pb.Payload
	remaining, timeout durationpb.Duration
	token              Token
}

// startToWire makes the Start of one attempt, whose children are encoded, and the chunks of
// what is too large to stand in it.
func startToWire(t Task, children []byte, action pb.Action) (msg *pb.HostMessage, bytes int, chunks []*pb.Chunk) {
	m := &startMessage{token: t.Token}
	p := packer{token: m.token[:]}
	s := &m.start
	s.Token, s.TaskId, s.Type, s.Attempt = m.token[:], t.ID, t.Type, int64(t.Attempt)
	s.Input = p.pack(&m.input, pb.Part_PART_INPUT, t.Input)
	s.Checkpoint = p.pack(&m.checkpoint, pb.Part_PART_CHECKPOINT, t.Checkpoint)
	s.Handle, s.Rejoin, s.Suspect, s.Action = t.Handle, t.Rejoin, t.Suspect, action
	s.Priority = int32(t.Priority)
	s.MinVersion = t.MinVersion
	s.Secret = t.Secret
	if !t.Deadline.IsZero() { // what remains travels, since clocks differ
		setDuration(&m.remaining, time.Until(t.Deadline))
		s.Remaining = &m.remaining
	}
	if t.Timeout > 0 {
		setDuration(&m.timeout, t.Timeout)
		s.Timeout = &m.timeout
	}
	s.Labels = t.Labels
	s.Route = t.Route
	s.Trace = t.Trace
	s.Children = p.pack(&m.children, pb.Part_PART_CHILDREN, children)
	if t.Result != nil {
		data := t.Result.Data
		if data == nil {
			data = []byte{}
		}
		s.Result = p.pack(&m.result, pb.Part_PART_RESULT, data)
		s.ResultType = t.Result.ContentType
	}
	if t.Failure != nil {
		s.Failure = &pb.Failure{Code: t.Failure.Code, Message: clip(t.Failure.Message, maxText)}
	}
	m.kind.Start = s
	m.msg.Kind = &m.kind
	return &m.msg, p.bytes + len(t.Handle), p.chunks
}

func setDuration(to *durationpb.Duration, d time.Duration) {
	d = max(d, 0)
	to.Seconds = int64(d / time.Second)
	to.Nanos = int32(d % time.Second)
}

// taskFromWire makes the Task of a Start; it waits for payloads that are chunked.
func taskFromWire(ctx context.Context, s *pb.Start, token Token, deadline time.Time, a *assembler) (Task, error) {
	t := Task{ID: s.GetTaskId(), Type: s.GetType(), Attempt: int(s.GetAttempt()), Token: token, Rejoin: s.GetRejoin(), Suspect: s.GetSuspect(), Priority: int(s.GetPriority()), Secret: s.GetSecret(),
		Deadline: deadline, Timeout: s.GetTimeout().AsDuration(),
		Labels: s.GetLabels(), Route: s.GetRoute(), MinVersion: s.GetMinVersion(), Trace: s.GetTrace()}
	if len(s.GetHandle()) > 0 {
		t.Handle = s.GetHandle()
	}
	var err error
	if t.Input, err = a.unpack(ctx, s.GetInput(), chunkKey{token, pb.Part_PART_INPUT, 0}); err != nil {
		return t, err
	}
	if t.Checkpoint, err = a.unpack(ctx, s.GetCheckpoint(), chunkKey{token, pb.Part_PART_CHECKPOINT, 0}); err != nil {
		return t, err
	}
	children, err := a.unpack(ctx, s.GetChildren(), chunkKey{token, pb.Part_PART_CHILDREN, 0})
	if err != nil {
		return t, err
	}
	if t.Children, err = DecodeChildren(children); err != nil {
		return t, err
	}
	if s.GetResult() != nil {
		data, err := a.unpack(ctx, s.GetResult(), chunkKey{token, pb.Part_PART_RESULT, 0})
		if err != nil {
			return t, err
		}
		t.Result = &Result{ContentType: s.GetResultType(), Data: data}
	}
	if f := s.GetFailure(); f != nil {
		t.Failure = &Failure{Code: f.GetCode(), Message: f.GetMessage()}
	}
	return t, nil
}

func causeToWire(cause error) pb.Cause {
	switch cause {
	case ErrTimeout, context.DeadlineExceeded:
		return pb.Cause_CAUSE_TIMEOUT
	case ErrPause:
		return pb.Cause_CAUSE_PAUSE
	case ErrDetach:
		return pb.Cause_CAUSE_DETACH
	}
	return pb.Cause_CAUSE_CANCEL
}

func causeFromWire(c pb.Cause) error {
	switch c {
	case pb.Cause_CAUSE_TIMEOUT:
		return ErrTimeout
	case pb.Cause_CAUSE_PAUSE:
		return ErrPause
	case pb.Cause_CAUSE_DETACH:
		return ErrDetach
	}
	return ErrCancel
}
