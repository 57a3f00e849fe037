package remotequeue

import (
	"encoding/json"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// heartbeat is what a worker says every second. It is JSON: there are few.
type heartbeat struct {
	// Running are the tokens that the worker answers for, 16 bytes each: accepted,
	// running, or finished and not yet acked.
	Running  []byte `json:"run,omitempty"`
	Used     int    `json:"used"`
	Draining bool   `json:"draining,omitempty"`
	// Offer is the id of the last offer heard.
	Offer string `json:"offer,omitempty"`
	// Unreachable says that the host's REST does not answer this worker.
	Unreachable bool `json:"unreachable,omitempty"`
	// Bye says that the worker ends, and that nothing it named is left.
	Bye bool `json:"bye,omitempty"`
	// Info is there when it changed, or the host asked.
	Info *workerInfo `json:"about,omitempty"`
}

// workerInfo is what a worker is.
type workerInfo struct {
	Version string            `json:"version,omitempty"`
	Address string            `json:"address,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Slots   int               `json:"slots"`
	Types   []sdk.TypeInfo    `json:"types,omitempty"`
	// TypeSlots is how many slots each type can use, if not all.
	TypeSlots map[string]int `json:"type_slots,omitempty"`
}

// decodeHeartbeat reads a heartbeat. An *overBudget error is one that is larger than a
// worker's may be, any other one that makes no sense.
func decodeHeartbeat(b []byte) (heartbeat, error) {
	var h heartbeat
	if len(b) > maxHeartbeat {
		return h, exceedError("bytes of a heartbeat", len(b), maxHeartbeat)
	}
	if err := json.Unmarshal(b, &h); err != nil {
		return h, errGarbage
	}
	return h, h.validate()
}

func (h *heartbeat) eachToken(each func(token)) {
	for b := h.Running; len(b) >= len(token{}); b = b[len(token{}):] {
		each(token(b[:len(token{})]))
	}
}

// offer is what the host tells a worker: where to pull. It follows a heartbeat
// that names another one, and any change.
type offer struct {
	ID        string        `json:"id"`
	Host      string        `json:"host"` // of the host's process
	Heartbeat time.Duration `json:"heartbeat"`
	HostURL   string        `json:"host_url,omitempty"`
	Lanes     []offerLane   `json:"lanes,omitempty"`
	// Drain says that an operator wants the worker to take nothing more, until an
	// offer says otherwise.
	Drain bool `json:"drain,omitempty"`
}

type offerLane struct {
	Consumer string `json:"consumer"`
	Type     string `json:"type"`
}

func decodeOffer(b []byte) (offer, error) {
	var o offer
	if err := json.Unmarshal(b, &o); err != nil || o.ID == "" {
		return o, errGarbage
	}
	if o.Heartbeat < 10*time.Millisecond || o.Heartbeat > time.Minute {
		return o, errGarbage
	}
	return o, nil
}
