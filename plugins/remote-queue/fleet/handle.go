package fleet

import (
	"encoding/json"
	"errors"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// A handle is the worker's name and instance: an instance that is gone never
// comes back, so what it ran is lost.
type handleData struct {
	Worker   string `json:"worker"`
	Instance string `json:"instance"`
}

// encodeHandle writes it by hand: neither part holds what JSON would escape.
func encodeHandle(p wire.Peer) []byte {
	return []byte(`{"worker":"` + p.Name + `","instance":"` + p.Instance + `"}`)
}

func parseHandle(b []byte) (wire.Peer, error) {
	var h handleData
	if err := json.Unmarshal(b, &h); err != nil || h.Worker == "" || h.Instance == "" {
		return wire.Peer{}, errors.New("the handle on record names no worker")
	}
	return wire.Peer{Name: h.Worker, Instance: h.Instance}, nil
}
