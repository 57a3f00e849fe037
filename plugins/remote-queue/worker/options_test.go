package worker

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
)

// A worker that would join a broker elsewhere without credentials says what it needs.
func TestWorkerWithoutCredentials(t *testing.T) {
	const far = "nats://10.0.0.5:4222"
	o := Options{Name: "w1", Local: []Local{{Name: "local", Executor: queuetest.NewGates().Executor(t)}}}
	if err := o.ParseQueue([]byte(`{"url": "`+far+`"}`), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := New(o, nil); err == nil || !strings.Contains(err.Error(), "allow_no_credentials") {
		t.Errorf("a worker without credentials: %v", err)
	}
	if err := o.ParseQueue([]byte(`{"url": "`+far+`", "allow_no_credentials": true}`), ""); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	o.Log = hclog.New(&hclog.LoggerOptions{Output: &lines})
	if _, err := New(o, nil); err != nil {
		t.Errorf("a worker that may: %v", err)
	}
	if n := strings.Count(lines.String(), "[WARN]"); n != 1 {
		t.Errorf("%d warnings: %s", n, lines.String())
	}
}
