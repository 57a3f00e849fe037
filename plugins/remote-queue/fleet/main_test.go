package fleet

import (
	"os"
	"testing"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
)

func TestMain(m *testing.M) {
	if name := os.Getenv("REMOTEQUEUE_WORKER"); name != "" {
		workerProcess(name)
		return
	}
	queuetest.VerifyLeaks(m)
}
