package host_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/task"
)

// The nodes of a plugin process are workers as those of a built-in are: shown, and drained by REST.
func TestNodesOfAPluginProcess(t *testing.T) {
	h, err := host.Open(t.Context(), host.Options{DataDir: t.TempDir(), Listen: "127.0.0.1:0", PluginDirs: []string{plugin(t, "nodes")},
		Executors: []task.ExecutorConfig{{Name: "x", Plugin: "nodes"}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- h.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	type worker struct {
		Name, Executor string
		Draining       bool
	}
	workers := func() []worker {
		var list struct{ Workers []worker }
		resp, err := http.Get("http://" + h.Addr() + "/v1/workers")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
			t.Fatal(err)
		}
		return list.Workers
	}
	until(t, "the node is shown", func() bool { w := workers(); return len(w) == 1 && w[0] == worker{Name: "n1", Executor: "x"} })
	for path, want := range map[string]int{"n1": http.StatusOK, "n2": http.StatusNotFound} {
		resp, err := http.Post("http://"+h.Addr()+"/v1/workers/"+path+"/drain", "application/json", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("drain %s: %s, want %d", path, resp.Status, want)
		}
	}
	until(t, "it drains, by its own word", func() bool { w := workers(); return len(w) == 1 && w[0].Draining })
}
