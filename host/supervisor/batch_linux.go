package supervisor

import (
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// startInBatch starts cmd under the scheduling policy for work that nobody waits for at a keyboard,
// SCHED_BATCH: when a message comes for the process, it gets the next processor that is free, and
// does not take the one on which the host runs. A process has the policy of the thread that
// makes it, and its own threads and processes have it, too. Under another policy than the usual one,
// the host's own is left to it.
func startInBatch(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	usual, err := unix.SchedGetAttr(0, 0)
	if err != nil || usual.Policy != unix.SCHED_NORMAL {
		runtime.UnlockOSThread()
		return cmd.Start()
	}
	batch := *usual
	batch.Policy = unix.SCHED_BATCH
	_ = unix.SchedSetAttr(0, &batch, 0) // where that is forbidden it starts as any other
	err = cmd.Start()
	if unix.SchedSetAttr(0, usual, 0) == nil { // else the thread ends with this goroutine
		runtime.UnlockOSThread()
	}
	return err
}
