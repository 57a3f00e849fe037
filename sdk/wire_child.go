package sdk

import (
	"encoding/json"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// childToWire makes a Spawn of a child that is prepared, but for its token, number and input.
func childToWire(c *Child) *pb.Spawn {
	w := &pb.Spawn{Name: c.Name, Type: c.Type, Executor: c.Executor, Priority: int64(c.Priority), Labels: c.Labels, Route: c.Route,
		Timeout: durationToWire(c.Timeout), MaxAttempts: int64(c.MaxAttempts), Exclusive: c.Exclusive, Shared: c.Shared}
	if !c.Deadline.IsZero() { // what remains travels, since clocks differ
		w.Remaining = durationpb.New(time.Until(c.Deadline))
	}
	if c.MaxLost != nil {
		w.MaxLost = new(int64(*c.MaxLost))
	}
	if c.Retain != nil {
		w.Retain = durationpb.New(*c.Retain)
	}
	return w
}

// childFromWire is the child of a Spawn whose input has come.
func childFromWire(w *pb.Spawn, input []byte) Child {
	c := Child{Name: w.GetName(), Type: w.GetType(), Input: json.RawMessage(input), Executor: w.GetExecutor(), Priority: int(w.GetPriority()),
		Labels: w.GetLabels(), Route: w.GetRoute(), Timeout: w.GetTimeout().AsDuration(), MaxAttempts: int(w.GetMaxAttempts()),
		Exclusive: w.GetExclusive(), Shared: w.GetShared()}
	if w.GetRemaining() != nil {
		c.Deadline = time.Now().Add(w.GetRemaining().AsDuration())
	}
	if w.MaxLost != nil {
		c.MaxLost = new(int(w.GetMaxLost()))
	}
	if w.GetRetain() != nil {
		c.Retain = new(w.GetRetain().AsDuration())
	}
	return c
}
