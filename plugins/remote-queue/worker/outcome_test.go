package worker

import (
	"testing"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// The details of a failure are the script's own, which may have given the same ones
// to several attempts.
func TestDetailsAreNotChanged(t *testing.T) {
	long := string(make([]byte, 2*wire.MaxLine))
	details := map[string]string{"stack": long}
	o := limitOutcome(sdk.Outcome{Kind: sdk.OutcomeFailed, Details: details}, 1<<20)
	if len(o.Details["stack"]) != wire.MaxLine || len(details["stack"]) != len(long) {
		t.Errorf("%d bytes travel; the script's have become %d", len(o.Details["stack"]), len(details["stack"]))
	}
}
