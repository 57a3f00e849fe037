package fleet

import (
	"os"
	"testing"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
)

func TestMain(m *testing.M) {
	if name := os.Getenv("REMOTEQUEUE_WORKER"); name != "" {
		workerProcess(name)
		return
	}
	queuetest.VerifyLeaks(m)
}

func runWorker(t *testing.T, o worker.Options) *worker.Worker {
	t.Helper()
	w, err := openWorker(o)
	if err != nil {
		t.Fatal(err)
	}
	queuetest.RunUntilEnd(t, w)
	return w
}
