package sdk

import (
	"context"
	"time"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// startToWire makes the Start of one attempt that begins now, whose children are encoded, and the
// chunks of what is too large to stand in it.
func startToWire(t *Task, children []byte, action pb.Action, now time.Time) (message wireMessage, chunks []*pb.Chunk) {
	p := packer{token: t.Token}
	w := newMessage(128 + len(t.ID) + len(t.Type))
	w.bytes(1, t.Token[:])
	w.text(2, t.ID)
	w.text(3, t.Type)
	w.number(4, uint64(t.Attempt))
	w.payload(6, &p, pb.Part_PART_CHECKPOINT, t.Checkpoint)
	w.bytes(7, t.Handle)
	w.flag(8, t.Rejoin)
	if !t.Deadline.IsZero() { // what remains travels, since clocks differ
		w.duration(9, t.Deadline.Sub(now))
	}
	if t.Timeout > 0 {
		w.duration(10, t.Timeout)
	}
	w.texts(11, t.Labels)
	w.texts(12, t.Route)
	w.texts(13, t.Trace)
	w.number(14, uint64(action))
	if t.Result != nil {
		data := t.Result.Data
		if data == nil {
			data = []byte{}
		}
		w.payload(15, &p, pb.Part_PART_RESULT, data)
		w.text(16, t.Result.ContentType)
	}
	if t.Failure != nil {
		w.message(17, func() {
			w.text(1, t.Failure.Code)
			w.text(2, clip(t.Failure.Message, maxText))
		})
	}
	w.flag(18, t.Suspect)
	w.payload(19, &p, pb.Part_PART_CHILDREN, children)
	w.number(20, uint64(t.Priority))
	w.text(21, t.MinVersion)
	w.flag(22, t.Secret)
	w.lastPayload(5, &p, pb.Part_PART_INPUT, t.Input)
	return w.done(hostMessages, 1), p.chunks
}

// startInline says whether all payloads of s stand in it, and none takes long to read.
func startInline(s *pb.Start) bool {
	return !startChunked(s) && s.GetChildren() == nil
}

// startChunked says whether payloads of s come in chunks.
func startChunked(s *pb.Start) bool {
	return s.GetInput().GetChunked() != 0 || s.GetCheckpoint().GetChunked() != 0 || s.GetResult().GetChunked() != 0 || s.GetChildren().GetChunked() != 0
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
