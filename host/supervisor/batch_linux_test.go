package supervisor

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/taskhost/taskhost/host/task"
)

// policies are the scheduling policies of a process' threads.
func policies(t *testing.T, pid int) map[uint32]int {
	t.Helper()
	threads, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
	if err != nil {
		t.Fatal(err)
	}
	count := map[uint32]int{}
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		if attr, err := unix.SchedGetAttr(tid, 0); err == nil { // else it has ended
			count[attr.Policy]++
		}
	}
	return count
}

// Plugins leave the processor to their host, with all their threads; the host's own stay as they are.
func TestPluginsRunInBatch(t *testing.T) {
	if own, err := unix.SchedGetAttr(0, 0); err != nil || own.Policy != unix.SCHED_NORMAL {
		t.Skipf("the host itself is not scheduled as usual: %+v, %v", own, err)
	}
	r := newRig(t)
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	pid := r.ready(e).Instances[0].Pid
	get[int](r, e, "pid", struct{}{})
	if got := policies(t, pid); got[unix.SCHED_BATCH] == 0 || len(got) != 1 {
		t.Errorf("threads of the plugin by policy: %v", got)
	}
	if got := policies(t, os.Getpid()); got[unix.SCHED_NORMAL] == 0 || len(got) != 1 {
		t.Errorf("threads of the host by policy: %v", got)
	}
}
