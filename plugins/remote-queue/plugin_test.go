package remotequeue

import (
	"encoding/json"
	"testing"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/sdk"
	"github.com/taskhost/taskhost/sdk/sdktest"
)

func TestMain(m *testing.M) { queuetest.VerifyLeaks(m) }

// The executor keeps the contract with a worker behind its own broker.
func TestSuite(t *testing.T) {
	var address string
	sdktest.Run(t, sdktest.Harness{
		Plugin: Plugin("test"),
		Setup: func(t *testing.T) string {
			address = queuetest.FreeAddress(t)
			config, err := json.Marshal(map[string]any{"listen": address, "heartbeat": "200ms", "lapse": "5s"})
			if err != nil {
				t.Fatal(err)
			}
			return string(config)
		},
		Ready: func(t *testing.T, e sdk.Executor) {
			scripts, err := sdk.NewScripts(sdktest.Scripts()...)
			if err != nil {
				t.Fatal(err)
			}
			w, err := NewWorker(WorkerOptions{Name: "w1", URL: "nats://" + address, Log: queuetest.Log("w1"),
				Local: []Local{{Name: "local", Executor: scripts, Slots: 300}}})
			if err != nil {
				t.Fatal(err)
			}
			queuetest.RunUntilEnd(t, w)
			queuetest.Serves(t, e, "probe.ok")
		},
		Probes: true,
	})
}
