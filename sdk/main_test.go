package sdk

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be the processes that the tests are about.
func TestMain(m *testing.M) {
	switch os.Getenv("SDK_TEST_ROLE") {
	case "plugin":
		Serve(processPlugin())
		return
	case "host":
		os.Exit(runHost())
	}
	goleak.VerifyTestMain(m,
		// What go-plugin leaves behind of a client that is re-attached.
		goleak.IgnoreAnyFunction("github.com/hashicorp/go-plugin/internal/cmdrunner.pidWait"))
}
