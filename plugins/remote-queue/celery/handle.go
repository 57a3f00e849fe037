package celery

import "encoding/json"

// handle is what the host keeps of a started attempt: the worker that said that it runs it,
// and which process that was; both may be unknown.
type handle struct {
	Worker  string `json:"worker,omitempty"`
	Process int64  `json:"process,omitempty"`
}

func (h handle) encode() []byte {
	data, _ := json.Marshal(h) // a text and a number
	return data
}

// parseHandle reads what encode wrote; what cannot be read names no worker.
func parseHandle(data []byte) (h handle) {
	_ = json.Unmarshal(data, &h)
	return h
}
