package sdk

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

func infoToWire(in Info) *pb.Info {
	out := &pb.Info{Slots: int64(in.Slots), Deferred: in.Deferred, Outlives: in.Outlives,
		MaxInput: in.MaxInput, MaxResult: in.MaxResult, Unavailable: clip(in.Unavailable, maxText), ControlsNodes: in.ControlsNodes, StartUnknown: in.StartUnknown}
	for _, t := range in.Types {
		w := &pb.TypeInfo{Name: t.Name, Description: t.Description, InputSchema: t.Input, ResultSchema: t.Result,
			Timeout: durationToWire(t.Defaults.Timeout), MaxAttempts: int64(t.Defaults.MaxAttempts),
			Revertible: t.Revertible, Unavailable: t.Unavailable, Version: clip(t.Version, maxName), Limits: limitsToWire(&t.Defaults)}
		if t.Defaults.MaxLost != nil {
			n := int64(*t.Defaults.MaxLost)
			w.MaxLost = &n
		}
		out.Types = append(out.Types, w)
	}
	for _, n := range in.Nodes {
		out.Nodes = append(out.Nodes, &pb.Node{Name: n.Name, Address: n.Address, Version: n.Version, Types: n.Types,
			Slots: int64(n.Slots), Used: int64(n.Used), Labels: n.Labels, Draining: n.Draining, Running: n.Running,
			LastSeen: timeToWire(n.LastSeen), Instance: n.Instance, Gone: n.Gone, TypeSlots: numbersTo[int64](n.TypeSlots), TypeVersions: n.TypeVersions})
	}
	return out
}

// limitsToWire are the limits that came after the first three; nil if there are none.
func limitsToWire(d *Defaults) *pb.TypeLimits {
	w := &pb.TypeLimits{Deadline: durationToWire(d.Deadline), Backoff: durationToWire(d.Backoff), BackoffMax: durationToWire(d.BackoffMax),
		QueueLimit: d.QueueLimit, RatePerSecond: d.Rate.PerSecond, RateBurst: d.Rate.Burst, Priority: int64(d.Priority),
		MaxInput: d.MaxInput, MaxResult: d.MaxResult, Route: d.Route, MinVersion: clip(d.MinVersion, maxName)}
	if d.Retain != nil {
		w.Retain = durationpb.New(*d.Retain)
	}
	for _, c := range d.Concurrency {
		w.Concurrency = append(w.Concurrency, &pb.Concurrency{Max: c.Max, By: c.By})
	}
	if proto.Size(w) == 0 {
		return nil
	}
	return w
}

func limitsFromWire(d *Defaults, w *pb.TypeLimits) {
	d.Deadline, d.Backoff, d.BackoffMax = w.GetDeadline().AsDuration(), w.GetBackoff().AsDuration(), w.GetBackoffMax().AsDuration()
	d.QueueLimit, d.Priority = w.GetQueueLimit(), int(w.GetPriority())
	d.Rate = Rate{PerSecond: w.GetRatePerSecond(), Burst: w.GetRateBurst()}
	d.MaxInput, d.MaxResult = w.GetMaxInput(), w.GetMaxResult()
	d.MinVersion = clip(w.GetMinVersion(), maxName)
	if len(w.GetRoute()) > 0 {
		d.Route = w.GetRoute()
	}
	if w.GetRetain() != nil {
		retain := w.GetRetain().AsDuration()
		d.Retain = &retain
	}
	for _, c := range w.GetConcurrency() {
		d.Concurrency = append(d.Concurrency, Concurrency{Max: c.GetMax(), By: c.GetBy()})
	}
}

// boundedInfo refuses a description that is too large to be asked for again and again.
// Both halves look, since one may not be this code.
func boundedInfo(w *pb.Info) error {
	switch {
	case len(w.GetTypes()) > maxInfoTypes:
		return fmt.Errorf("it offers %d task types, at most %d are taken", len(w.GetTypes()), maxInfoTypes)
	case len(w.GetNodes()) > maxInfoNodes:
		return fmt.Errorf("it has %d nodes, at most %d are taken", len(w.GetNodes()), maxInfoNodes)
	}
	if n := proto.Size(w); n > maxInfoBytes {
		return fmt.Errorf("its description has %d bytes, at most %d are taken: make its schemas and labels shorter", n, maxInfoBytes)
	}
	return nil
}

func metadataToWire(m Metadata) *pb.MetadataResponse {
	return &pb.MetadataResponse{Version: clip(m.Version, maxName), ConfigSchema: m.ConfigSchema, Types: m.Types, Nodes: m.Nodes}
}

// boundedMetadata is boundedInfo for what a plugin says before it is configured.
func boundedMetadata(w *pb.MetadataResponse) error {
	if len(w.GetTypes()) > maxInfoTypes {
		return fmt.Errorf("it names %d task types, at most %d are taken", len(w.GetTypes()), maxInfoTypes)
	}
	if n := proto.Size(w); n > maxInfoBytes {
		return fmt.Errorf("its metadata have %d bytes, at most %d are taken: make the schema of its config shorter", n, maxInfoBytes)
	}
	return nil
}

func metadataFromWire(w *pb.MetadataResponse) Metadata {
	m := Metadata{Version: clip(w.GetVersion(), maxName), Types: w.GetTypes(), Nodes: w.GetNodes()}
	if len(w.GetConfigSchema()) > 0 {
		m.ConfigSchema = w.GetConfigSchema()
	}
	return m
}

func infoFromWire(in *pb.Info) Info {
	out := Info{Slots: int(in.GetSlots()), Deferred: in.GetDeferred(), Outlives: in.GetOutlives(),
		MaxInput: in.GetMaxInput(), MaxResult: in.GetMaxResult(), Unavailable: clip(in.GetUnavailable(), maxText), ControlsNodes: in.GetControlsNodes(), StartUnknown: in.GetStartUnknown()}
	for _, w := range in.GetTypes() {
		t := TypeInfo{Name: w.GetName(), Description: w.GetDescription(), Revertible: w.GetRevertible(), Unavailable: w.GetUnavailable(), Version: clip(w.GetVersion(), maxName),
			Defaults: Defaults{Timeout: w.GetTimeout().AsDuration(), MaxAttempts: int(w.GetMaxAttempts())}}
		if len(w.GetInputSchema()) > 0 {
			t.Input = w.GetInputSchema()
		}
		if len(w.GetResultSchema()) > 0 {
			t.Result = w.GetResultSchema()
		}
		if w.MaxLost != nil {
			n := int(w.GetMaxLost())
			t.Defaults.MaxLost = &n
		}
		limitsFromWire(&t.Defaults, w.GetLimits())
		out.Types = append(out.Types, t)
	}
	for _, n := range in.GetNodes() {
		out.Nodes = append(out.Nodes, Node{Name: n.GetName(), Address: n.GetAddress(), Version: n.GetVersion(),
			Types: n.GetTypes(), Slots: int(n.GetSlots()), Used: int(n.GetUsed()), Labels: n.GetLabels(),
			Draining: n.GetDraining(), Running: n.GetRunning(), LastSeen: timeFromWire(n.GetLastSeen()),
			Instance: n.GetInstance(), Gone: n.GetGone(), TypeSlots: numbersTo[int](n.GetTypeSlots()), TypeVersions: n.GetTypeVersions()})
	}
	return out
}

// numbersTo is the same map with another kind of numbers; an empty one is nil.
func numbersTo[To, From int | int64](m map[string]From) map[string]To {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]To, len(m))
	for k, v := range m {
		out[k] = To(v)
	}
	return out
}

func durationToWire(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func timeToWire(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// timeFromWire is t, or the zero time if there is none or it lies outside the
// years 1 to 9999, where protobuf's times end and Go's would wrap around.
func timeFromWire(t *timestamppb.Timestamp) time.Time {
	if !t.IsValid() {
		return time.Time{}
	}
	return t.AsTime()
}
