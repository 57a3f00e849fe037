package worker

import (
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// A host that was silent for some heartbeats may not have heard what was said to it: that is said again once it is
// heard, and not only when its turn comes.
func TestRepeatsToAHostThatIsBack(t *testing.T) {
	w, said := silentWorker(t)
	w.heartbeatWanted = make(chan struct{}, 1)
	token := queuetest.BenchToken(1)
	w.runs[token] = &run{phase: reporting, reportedAt: time.Now(), repeatAfter: maxRepeat, start: wire.Start{Task: sdk.Task{Token: token}}}
	reports := func() int {
		w.repeatUnanswered()
		return len(said()[wire.KindFinished])
	}
	w.heardHost = time.Now()
	w.noteHostHeard()
	if n := reports(); n != 0 || len(w.heartbeatWanted) != 0 {
		t.Errorf("%d reports to a host that is there, before their time", n)
	}
	w.heardHost = time.Now().Add(-4 * time.Second)
	w.noteHostHeard()
	if n := reports(); n != 1 || len(w.heartbeatWanted) != 1 {
		t.Errorf("%d reports to a host that is back, and %d heartbeats wanted", n, len(w.heartbeatWanted))
	}
	w.noteHostHeard()
	if n := reports(); n != 1 {
		t.Errorf("%d reports, though the host went on being there", n)
	}
}
