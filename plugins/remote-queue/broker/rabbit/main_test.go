package rabbitbroker

import (
	"testing"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
)

func TestMain(m *testing.M) { queuetest.VerifyLeaks(m) }
