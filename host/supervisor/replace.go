package supervisor

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// What is done with a process that takes no new attempts any more while it still runs.

// retire lets a replaced process finish, beside its successor, for as long as Options.DrainTimeout.
func (l *life) retire(inst *instance, why string) {
	inst.show(task.ExecutorDraining, why)
	l.leaving.Go(func() {
		ctx, cancel := context.WithTimeout(l.leave, l.e.opts.DrainTimeout)
		defer cancel()
		if err := inst.retire(ctx); err != nil {
			l.e.log.Warn("a replaced plugin process was ended before it had finished", "error", err)
		}
	})
}

func (i *instance) show(s task.ExecutorState, why string) {
	i.e.update(func(st *task.ExecutorStatus) {
		if shown := i.shown(st); shown != nil {
			shown.State = string(s)
			shown.Since = time.Now()
			shown.Reason = why
		}
	})
}

const toldToStop = "somebody else than this host told the plugin process to stop"

func (i *instance) wasTold() bool {
	select {
	case <-i.conn.Draining():
		return true
	default:
		return false
	}
}

// onTold replaces a process that drains because somebody told it so. It fails at nothing.
func (l *life) onTold(inst *instance) {
	if inst != l.current || l.down { // it goes already
		return
	}
	l.replace(inst)
	l.retire(inst, toldToStop)
	l.again(excused, task.ExecutorStarting, toldToStop)
}

// replace takes the attempts to come away from the current process.
func (l *life) replace(inst *instance) {
	l.current = nil
	l.e.route(nil)
	l.e.log.Info("plugin process is replaced", "pid", inst.proc.pid())
}

const stuckAttempt = "an attempt on the plugin process did not stop when it was told to"

// onStuck looks after processes on which an attempt goes on that nobody waits for: a busy
// loop, or a goroutine that ignores its context. It takes its share of the process for
// ever, and only the end of the process frees its slot.
func (l *life) onStuck() {
	inst := l.current
	if inst != nil && !l.down && l.e.loads()[inst].givenUp > 0 {
		l.replace(inst)
		inst.show(task.ExecutorDraining, stuckAttempt)
		l.leaving.Go(func() {
			select {
			case <-inst.proc.exited: // by endStuck, or by itself
				inst.end()
			case <-l.leave.Done():
				_ = inst.retire(l.leave) // what else runs on it is interrupted, not lost
			}
		})
		l.again(excused, task.ExecutorStarting, stuckAttempt)
	}
	l.endStuck()
}

// endStuck kills the processes on which nothing else is left. That ends Execute.
func (l *life) endStuck() {
	for inst, on := range l.e.loads() {
		if on.alone() {
			l.e.log.Warn("plugin process is killed: "+stuckAttempt+", and nothing else runs on it", "pid", inst.proc.pid(), "attempts", on.givenUp)
			inst.proc.kill()
		}
	}
}
