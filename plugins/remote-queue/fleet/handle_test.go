package fleet

import (
	"encoding/json"
	"testing"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// A handle on record says which worker to look for.
func TestHandle(t *testing.T) {
	p := wire.Peer{Name: "worker-1.example", Instance: "ABCDEFGH"}
	var h handleData
	if err := json.Unmarshal(encodeHandle(p), &h); err != nil || h.Worker != p.Name || h.Instance != p.Instance {
		t.Errorf("handle %s: %+v, %v", encodeHandle(p), h, err)
	}
	if q, err := parseHandle(encodeHandle(p)); err != nil || q != p {
		t.Errorf("%v, %v", q, err)
	}
}
