package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-plugin"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// instance is one process of an executor, from before its start until nothing of
// it is left. launch sets process, client and conn, which do not change after it.
type instance struct {
	executor *Executor
	id       string
	restarts int
	output   *output
	record   record
	process  *process // nil until the binary was verified
	client   *plugin.Client
	conn     sdk.HostConnection // nil until connected
	// connected says that the process speaks, and so may be asked to end.
	connected bool
	ending    sync.Once
	askedEnd  atomic.Bool   // it is being ended: its connection closes before its process is gone
	ended     chan struct{} // closed when nothing of it is left

	// What follows is under the executor's lock.

	load            load // what runs on it
	diedWithSuspect bool // a suspect ran when it died
}

func (e *Executor) newInstance() *instance {
	return &instance{executor: e, id: newID(), restarts: e.startCount, output: newOutput(e.log), ended: make(chan struct{})}
}

// showPid shows the pid, once there is one.
func (i *instance) showPid(pid int) {
	i.executor.update(func(st *task.ExecutorStatus) {
		if s := i.statusEntry(st); s != nil {
			s.Pid = pid
		}
	})
}

// dir holds the private copy of the binary.
func (i *instance) dir() string { return filepath.Join(i.executor.supervisor.copyDir, i.id) }

// statusEntry is what st says of this process; nil if nothing.
func (i *instance) statusEntry(st *task.ExecutorStatus) *task.Instance {
	for n := range st.Instances {
		if st.Instances[n].ID == i.id {
			return &st.Instances[n]
		}
	}
	return nil
}

// watch returns when the process is dead or cannot be spoken to any more, and says why. A process that is only silent is ended.
func (i *instance) watch() error {
	select {
	case <-i.process.exited:
		i.executor.stopRoutingTo(i)
	case <-i.conn.Done():
		// The streams break within milliseconds of a death, and before the
		// process is reaped; a silence is only seen here.
		i.executor.stopRoutingTo(i)
		if i.askedEnd.Load() { // by this host: it has its time for that
			<-i.ended
		}
		i.process.waitOutputRead(time.Second)
	}
	why := errors.New("plugin process " + i.process.howItEnded())
	if i.process.running() {
		why = fmt.Errorf("plugin process %d does not answer and was ended: %w", i.process.pid(), i.conn.Err())
	}
	i.process.kill()
	i.process.waitOutputRead(time.Second)
	return fmt.Errorf("%w%s", why, i.output.tailText())
}

// retire lets the process finish what runs, until ctx ends, and then ends it, which
// takes Options.KillAfter at the most where it does not let go of its attempts.
func (i *instance) retire(ctx context.Context) error {
	err := i.conn.Drain(ctx)
	switch {
	case i.conn.Err() != nil: // it died, or was killed, and its connection breaks before its end is seen
		i.process.waitOutputRead(time.Second)
	case err != nil:
		// Time is up: what runs locally stops now, and will run again if it may.
		detach, cancel := context.WithTimeout(context.Background(), i.executor.options.KillAfter)
		if i.conn.Detach(detach) != nil { // asking it once more is no use
			i.process.kill()
		}
		cancel()
	}
	i.end()
	return err
}

// end ends the process, politely if it answers and surely in any case, and
// removes its traces. It may be called more than once and returns when it is done.
func (i *instance) end() {
	i.ending.Do(i.endAtOnce)
	<-i.ended
}

// endAtOnce is end, the first time.
func (i *instance) endAtOnce() {
	defer close(i.ended)
	if i.process != nil {
		i.endProcess()
	}
	i.output.end()
	_ = os.RemoveAll(i.dir()) // what stays goes at the next Open
	if i.record.Instance != "" && (i.process == nil || !i.process.running()) {
		if err := i.record.remove(i.executor.supervisor.recordDir); err != nil {
			i.executor.log.Warn("record of an ended plugin process stays", "error", err)
		}
	}
	i.executor.update(func(st *task.ExecutorStatus) {
		st.Instances = slices.DeleteFunc(slices.Clone(st.Instances), func(n task.Instance) bool { return n.ID == i.id })
	})
}

// endProcess ends the process and whatever it started.
func (i *instance) endProcess() {
	killAfter := i.executor.options.KillAfter
	asked := i.connected && i.process.running()
	i.askedEnd.Store(asked)
	clientDone := make(chan struct{})
	endClient := func() {
		defer close(clientDone)
		i.closeConn()
		i.client.Kill()
	}
	if asked {
		// Kill asks politely first. It has no bound of its own: a frozen
		// process would hold it for ever.
		go endClient()
		select {
		case <-clientDone:
		case <-i.process.exited:
		case <-time.After(killAfter):
		}
		i.process.kill()
	} else {
		i.process.kill()
		go endClient()
	}
	i.process.waitOutputRead(killAfter)
	select {
	case <-clientDone:
	case <-time.After(killAfter):
		i.executor.log.Warn("go-plugin's client does not let go of a dead process", "pid", i.process.pid())
	}
	if asked && !i.process.endedUnkilled() {
		i.executor.killedAtEnd.Store(true)
		i.executor.log.Warn("plugin process did not end when it was asked to, and was killed", "pid", i.process.pid())
	}
	killMarked(i.id)
}

// killMarked ends what left its process group: it carries the instance's mark in its environment.
func killMarked(id string) {
	for _, pid := range processesMarked(map[string]bool{id: true}) {
		if start, err := startTime(pid); err == nil {
			killProcess(pid, start)
		}
	}
}

func (i *instance) closeConn() {
	if i.conn != nil {
		_ = i.conn.Close()
	}
}

// showState has the status show the process in this state.
func (i *instance) showState(s task.ExecutorState, why string) {
	i.executor.update(func(st *task.ExecutorStatus) {
		if entry := i.statusEntry(st); entry != nil {
			entry.State = string(s)
			entry.Since = time.Now()
			entry.Reason = why
		}
	})
}

// isDraining says whether the process says that somebody else than this host told it to
// stop.
func (i *instance) isDraining() bool {
	select {
	case <-i.conn.Draining():
		return true
	default:
		return false
	}
}
