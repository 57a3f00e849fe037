package supervisor

import (
	"context"

	"github.com/taskhost/taskhost/host/task"
)

// What is done with a process that takes no new attempts any more while it still runs.

// retire lets a replaced process finish, beside its successor, for as long as Options.DrainTimeout.
func (c *controller) retire(inst *instance, why string) {
	inst.showState(task.ExecutorDraining, why)
	c.retiring.Go(func() {
		ctx, cancel := context.WithTimeout(c.retireContext, c.executor.options.DrainTimeout)
		defer cancel()
		if err := inst.retire(ctx); err != nil {
			c.executor.log.Warn("a replaced plugin process was ended before it had finished", "error", err)
		}
	})
}

const reasonDrainingByItself = "somebody else than this host told the plugin process to stop"

// onDrainingByItself replaces a process that somebody else told to stop. That is
// no failure of the plugin's.
func (c *controller) onDrainingByItself(inst *instance) {
	if inst != c.current || c.drainedByOperator { // it is being replaced already
		return
	}
	c.stopRouting(inst)
	c.retire(inst, reasonDrainingByItself)
	c.scheduleStart(endExcused, task.ExecutorStarting, reasonDrainingByItself)
}

// stopRouting keeps new attempts from the current process, which is to be replaced.
func (c *controller) stopRouting(inst *instance) {
	c.current = nil
	c.executor.routeTo(nil)
	c.executor.log.Info("plugin process is replaced", "pid", inst.process.pid())
}

const reasonStuckAttempt = "an attempt on the plugin process did not stop when it was told to"

// onStuck looks after processes on which an attempt goes on that nobody waits for: a busy
// loop, or a goroutine that ignores its context. It takes its share of the process for
// ever, and only the end of the process frees its slot.
func (c *controller) onStuck() {
	inst := c.current
	if inst != nil && !c.drainedByOperator && c.executor.loadOf(inst).abandoned > 0 {
		c.stopRouting(inst)
		inst.showState(task.ExecutorDraining, reasonStuckAttempt)
		c.retiring.Go(func() {
			// However long it takes: what else runs on it is not to be lost. It is over when all
			// has returned, the stuck attempt late, or when killStuck has ended the process.
			_ = inst.retire(c.retireContext)
		})
		c.scheduleStart(endExcused, task.ExecutorStarting, reasonStuckAttempt)
	}
	c.killStuck()
}

// killStuck kills the processes on which nothing else is left. That ends Execute.
func (c *controller) killStuck() {
	for inst, on := range c.executor.onlyStuck() {
		c.executor.log.Warn("plugin process is killed: "+reasonStuckAttempt+", and nothing else runs on it", "pid", inst.process.pid(), "attempts", on.abandoned)
		inst.process.kill()
	}
}
