package wire

import (
	"encoding/json"
	"time"
)

// Offer is what the host tells a worker: where to pull. It follows a heartbeat
// that names another one, and any change.
type Offer struct {
	// ID is equal for equal offers. A worker names the last one that it heard.
	ID string `json:"id"`
	// Host is the process of the host.
	Host string `json:"host"`
	// Heartbeat is how often the worker is to be heard.
	Heartbeat time.Duration `json:"heartbeat"`
	// HostURL is the host's REST; empty if workers cannot use it.
	HostURL string `json:"host_url,omitempty"`
	// Spawns says that the host takes KindSpawn: one that does not say so would never answer.
	Spawns bool `json:"spawns,omitempty"`
	// Lanes are those that the worker may consume.
	Lanes []OfferLane `json:"lanes,omitempty"`
	// Drain says that an operator wants the worker to take nothing more, until an
	// offer says otherwise.
	Drain bool `json:"drain,omitempty"`
}

// OfferLane is a lane that a worker may consume, and the type of its starts.
type OfferLane struct {
	Name string `json:"consumer"`
	Type string `json:"type"`
}

// DecodeOffer reads an offer; an error is ErrGarbled.
func DecodeOffer(b []byte) (Offer, error) {
	var o Offer
	if err := json.Unmarshal(b, &o); err != nil || o.ID == "" {
		return o, ErrGarbled
	}
	if o.Heartbeat < 10*time.Millisecond || o.Heartbeat > time.Minute {
		return o, ErrGarbled
	}
	return o, nil
}
