package wire

import (
	"encoding/json"

	"github.com/taskhost/taskhost/sdk"
)

// Heartbeat is what a worker says every second. It is JSON: there are few.
type Heartbeat struct {
	// Running are the tokens that the worker answers for, 16 bytes each: accepted,
	// running, or finished and not yet acked; or given back to the broker for later.
	Running []byte `json:"run,omitempty"`
	// Used is how many of its slots are taken.
	Used int `json:"used"`
	// Draining says that the worker takes nothing more.
	Draining bool `json:"draining,omitempty"`
	// Offer is the id of the last offer heard.
	Offer string `json:"offer,omitempty"`
	// Unreachable says that the host's REST does not answer this worker.
	Unreachable bool `json:"unreachable,omitempty"`
	// Bye says that the worker ends, and that nothing it named is left.
	Bye bool `json:"bye,omitempty"`
	// Info is there when it changed, or the host asked. Revision is one more with each change, so
	// that a host that missed one asks; 0 is a worker of an earlier version, which does not say.
	Info     *WorkerInfo `json:"about,omitempty"`
	Revision uint64      `json:"revision,omitempty"`
}

// WorkerInfo is what a worker says of itself. The host believes none of it unseen: it is
// bounded, and shown or matched, nothing else.
type WorkerInfo struct {
	// Version and Address are shown to operators.
	Version string `json:"version,omitempty"`
	Address string `json:"address,omitempty"`
	// Labels are what the routes of tasks are matched with.
	Labels map[string]string `json:"labels,omitempty"`
	// Slots is how many attempts the worker runs at once.
	Slots int `json:"slots"`
	// Types are those that its executors offer.
	Types []sdk.TypeInfo `json:"types,omitempty"`
	// TypeSlots is how many slots each type can use, if not all.
	TypeSlots map[string]int `json:"type_slots,omitempty"`
	// Starts is how many starts it takes in one message; 0 is an earlier version, which takes
	// the first alone.
	Starts int `json:"starts,omitempty"`
}

// DecodeHeartbeat reads a heartbeat. A *LimitError is one that is larger than a
// worker's may be, any other one that makes no sense.
func DecodeHeartbeat(b []byte) (Heartbeat, error) {
	type plain Heartbeat
	var raw struct {
		plain
		Info json.RawMessage `json:"about"`
	}
	if len(b) > maxHeartbeat {
		return Heartbeat{}, ExceedsLimit("bytes of a heartbeat", len(b), maxHeartbeat)
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return Heartbeat{}, ErrGarbled
	}
	h := Heartbeat(raw.plain)
	if isThere(raw.Info) {
		h.Info = new(WorkerInfo)
		if err := h.Info.decode(raw.Info); err != nil {
			return h, err
		}
	}
	return h, h.validate()
}

// EachToken calls each for every token that the worker answers for.
func (h *Heartbeat) EachToken(each func(sdk.Token)) {
	for b := h.Running; len(b) >= len(sdk.Token{}); b = b[len(sdk.Token{}):] {
		each(sdk.Token(b[:len(sdk.Token{})]))
	}
}

// validate says what of a heartbeat makes no sense, or is more than a worker may say.
func (h *Heartbeat) validate() error {
	if len(h.Running)%len(sdk.Token{}) != 0 || h.Used < 0 || h.Used > maxWorkerSlots || len(h.Offer) > maxWorkerText {
		return ErrGarbled
	}
	if n := len(h.Running) / len(sdk.Token{}); n > MaxNamed {
		return ExceedsLimit("attempts that one worker names", n, MaxNamed)
	}
	if h.Info != nil {
		return h.Info.validate()
	}
	return nil
}

func (a *WorkerInfo) validate() error {
	text := len(a.Version) + len(a.Address)
	for k, v := range a.Labels {
		text += len(k) + len(v)
	}
	size, seen := 0, make(map[string]bool, len(a.Types))
	for _, t := range a.Types {
		if !sdk.ValidTypeName(t.Name) || seen[t.Name] || t.CheckVersions() != nil {
			return ErrGarbled
		}
		seen[t.Name] = true
		size += TypeSize(&t)
	}
	for typ, n := range a.TypeSlots {
		if n < 0 || !seen[typ] {
			return ErrGarbled
		}
	}
	switch {
	case a.Slots < 0, a.Starts < 0:
		return ErrGarbled
	case a.Slots > maxWorkerSlots:
		return ExceedsLimit("slots of one worker", a.Slots, maxWorkerSlots)
	case len(a.Types) > maxWorkerTypes:
		return ExceedsLimit("task types of one worker", len(a.Types), maxWorkerTypes)
	case size > maxWorkerTypeBytes:
		return ExceedsLimit("bytes of the schemas and descriptions of one worker's task types", size, maxWorkerTypeBytes)
	case len(a.Labels) > MaxWorkerLabels:
		return ExceedsLimit("labels of one worker", len(a.Labels), MaxWorkerLabels)
	case text > maxWorkerText:
		return ExceedsLimit("bytes of one worker's labels, version and address", text, maxWorkerText)
	}
	return nil
}
