package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// instance is one process of an executor, from before its start until nothing of
// it is left.
type instance struct {
	e        *Executor
	id       string
	restarts int
	out      *output
	record   record
	proc     *process // nil until the binary was verified
	client   *plugin.Client
	conn     sdk.HostConnection // nil until connected
	ending   sync.Once
	ended    chan struct{} // closed when nothing of it is left

	suspectDied bool // a suspect ran when it died; under the executor's lock
}

func (e *Executor) newInstance() *instance {
	return &instance{e: e, id: newID(), restarts: e.starts, out: newOutput(e.log), ended: make(chan struct{})}
}

// started shows the pid, once there is one.
func (i *instance) started(pid int) {
	i.e.update(func(st *task.ExecutorStatus) {
		if s := i.shown(st); s != nil {
			s.Pid = pid
		}
	})
}

// dir holds the private copy of the binary.
func (i *instance) dir() string { return filepath.Join(i.e.sup.copies, i.id) }

func (i *instance) shown(st *task.ExecutorStatus) *task.Instance {
	for n := range st.Instances {
		if st.Instances[n].ID == i.id {
			return &st.Instances[n]
		}
	}
	return nil
}

// watch returns when the process is dead or cannot
// be spoken to any more, and says why. A process that is only silent is ended.
func (i *instance) watch() error {
	select {
	case <-i.proc.exited:
		i.e.unroute(i)
	case <-i.conn.Done():
		// The streams break within milliseconds of a death, and before the
		// process is reaped; a silence is only seen here.
		i.e.unroute(i)
		i.proc.settled(100 * time.Millisecond)
	}
	why := errors.New("plugin process " + i.proc.ended())
	if i.proc.running() {
		why = fmt.Errorf("plugin process %d does not answer and was ended: %w", i.proc.pid(), i.conn.Err())
	}
	i.proc.kill()
	i.proc.settled(time.Second)
	return fmt.Errorf("%w%s", why, i.out.last())
}

// retire lets the process finish what runs, until ctx ends, and then ends it, which
// takes Options.KillAfter at the most where it does not let go of its attempts.
func (i *instance) retire(ctx context.Context) error {
	err := i.conn.Drain(ctx)
	if err != nil && i.conn.Err() == nil {
		// Time is up: what runs locally stops now, and will run again if it may.
		detach, cancel := context.WithTimeout(context.Background(), i.e.opts.KillAfter)
		if i.conn.Detach(detach) != nil { // asking it once more is no use
			i.proc.kill()
		}
		cancel()
	}
	i.end()
	return err
}

// end ends the process, politely if it answers and surely in any case, and
// removes its traces. It may be called more than once and returns when it is done.
func (i *instance) end() {
	i.ending.Do(i.finish)
	<-i.ended
}

func (i *instance) finish() {
	defer close(i.ended)
	if i.proc != nil {
		killed := make(chan struct{})
		if i.conn != nil && i.proc.running() {
			// Kill asks politely first. It has no bound of its own: a frozen
			// process would hold it for ever.
			go func() { defer close(killed); i.closeConn(); i.client.Kill() }()
			select {
			case <-killed:
			case <-i.proc.exited:
			case <-time.After(i.e.opts.KillAfter):
			}
			i.proc.kill()
		} else {
			i.proc.kill()
			go func() { defer close(killed); i.closeConn(); i.client.Kill() }()
		}
		i.proc.settled(i.e.opts.KillAfter)
		select {
		case <-killed:
		case <-time.After(i.e.opts.KillAfter):
			i.e.log.Warn("go-plugin's client does not let go of a dead process", "pid", i.proc.pid())
		}
		// What left the process group carries the mark in its environment.
		for _, pid := range marked(map[string]bool{i.id: true}) {
			if start, err := startTime(pid); err == nil {
				end(pid, start)
			}
		}
	}
	i.out.end()
	_ = os.RemoveAll(i.dir()) // what stays goes at the next Open
	if i.record.Instance != "" && (i.proc == nil || !i.proc.running()) {
		if err := i.record.remove(i.e.sup.records); err != nil {
			i.e.log.Warn("record of an ended plugin process stays", "error", err)
		}
	}
	i.e.update(func(st *task.ExecutorStatus) {
		for n := range st.Instances {
			if st.Instances[n].ID == i.id {
				st.Instances = append(st.Instances[:n:n], st.Instances[n+1:]...)
				return
			}
		}
	})
}

func (i *instance) closeConn() {
	if i.conn != nil {
		_ = i.conn.Close()
	}
}
