package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// life is the state of an executor's one deciding goroutine.
type life struct {
	e       *Executor
	current *instance // takes new attempts
	dead    chan death
	told    chan *instance // said that somebody told it to stop
	retry   *time.Timer
	ends    endings
	since   time.Time // when current became ready
	down    bool      // by an operator: not started again before his Restart

	launching *instance
	launched  chan error
	abort     context.CancelFunc
	asked     []chan error // who waits for the launch's end

	drained  chan error // the end of an operator's Drain
	draining []order    // who waits for it: the first one's context bounds it
	leaving  sync.WaitGroup
	leave    context.Context // ends when those that retire must be gone
}

// death is what ended an instance that was connected.
type death struct {
	inst *instance
	why  error
}

// run decides everything that happens to the executor, one thing after another,
// until it is stopped.
func (e *Executor) run() {
	defer close(e.done)
	leave, gone := context.WithCancel(context.Background())
	l := &life{e: e, dead: make(chan death), told: make(chan *instance), launched: make(chan error), drained: make(chan error),
		retry: time.NewTimer(time.Hour), leave: leave}
	l.retry.Stop()
	l.launch(task.ExecutorStarting, "the plugin is being started")
	for {
		select {
		case err := <-l.launched:
			l.onLaunched(err)
		case d := <-l.dead:
			l.onDeath(d)
		case inst := <-l.told:
			l.onTold(inst)
		case <-e.stuck:
			l.onStuck()
		case <-l.retry.C:
			if l.current == nil {
				l.launch("", "")
			}
		case err := <-l.drained:
			l.onDrained(err)
		case o := <-e.orders:
			if o.kind == orderStop {
				o.reply <- l.stop(o.ctx, gone)
				return
			}
			l.obey(o)
		}
	}
}

// tell hands something to run, unless that has ended.
func tell[T any](l *life, to chan<- T, what T) {
	select {
	case to <- what:
	case <-l.e.done:
	}
}

// launch starts a process in the background; an empty state leaves the shown one.
func (l *life) launch(state task.ExecutorState, reason string) {
	if l.launching != nil {
		return
	}
	l.retry.Stop()
	inst := l.e.newInstance()
	l.e.starts++
	ctx, cancel := context.WithCancel(context.Background())
	l.launching, l.abort = inst, cancel
	l.e.update(func(st *task.ExecutorStatus) {
		if state != "" {
			st.State, st.Reason = state, reason
		}
		st.Instances = append(st.Instances, task.Instance{ID: inst.id, State: string(task.ExecutorStarting), Since: time.Now(), Restarts: inst.restarts})
	})
	go func() { tell(l, l.launched, l.e.launch(ctx, inst)) }()
}

func (l *life) onLaunched(err error) {
	inst := l.launching
	l.launching = nil
	l.abort()
	for _, reply := range l.asked {
		reply <- err
	}
	l.asked = nil
	if err != nil {
		l.e.failed(err)
		if l.current == nil {
			l.fail(err)
		}
		return
	}
	old := l.current
	l.current, l.since = inst, time.Now()
	go func() { tell(l, l.dead, death{inst, inst.watch()}) }()
	go l.relay(inst)
	hello := inst.conn.Hello()
	l.e.route(inst)
	l.e.update(func(st *task.ExecutorStatus) {
		st.State, st.Reason = task.ExecutorReady, ""
		if s := inst.shown(st); s != nil {
			s.State = string(task.ExecutorReady)
			s.Since = time.Now()
			s.Version = hello.Version
		}
	})
	l.e.log.Info("plugin is ready", "plugin", l.e.config.Plugin, "version", hello.Version, "pid", inst.proc.pid())
	if old != nil {
		l.retire(old, "it was replaced by a restart")
	}
}

// relay passes on that the plugin's offer changed, and that it drains.
func (l *life) relay(inst *instance) {
	told := inst.conn.Draining()
	for {
		select {
		case <-inst.conn.Changed():
			l.e.signal()
		case <-told:
			told = nil
			tell(l, l.told, inst)
		case <-inst.conn.Done():
			return
		}
	}
}

func (l *life) onDeath(d death) {
	suspect := l.e.bury(d.inst)
	if d.inst != l.current { // it was to go
		return
	}
	l.current = nil
	d.inst.end()
	if l.draining != nil {
		return // onDrained comes, too
	}
	l.ends.served(time.Since(l.since), l.e.opts)
	if d.inst.wasTold() && !l.down { // its word came with its end
		l.again(excused, task.ExecutorStarting, toldToStop)
		return
	}
	l.e.failed(d.why)
	switch {
	case l.down && l.launching == nil:
		l.e.become(task.ExecutorStopped, stoppedByDrain)
	case l.launching != nil:
		l.e.become(task.ExecutorDegraded, "the plugin died while its successor was being started")
	case suspect:
		l.again(excused, task.ExecutorDegraded, "the plugin died while a task ran that had been lost before, which does not count against it")
	default:
		l.fail(d.why)
	}
}

// fail decides when to try again after a failure.
func (l *life) fail(err error) {
	if operator := (*operatorError)(nil); errors.As(err, &operator) {
		l.again(cureless, task.ExecutorDegraded, operator.Error())
		return
	}
	if none := (*absentError)(nil); errors.As(err, &none) {
		l.again(absent, task.ExecutorDegraded, none.Error())
		return
	}
	l.again(failed, task.ExecutorDegraded, "the plugin failed")
}

// again has the next process started when it is time; why is shown until then, with the state.
func (l *life) again(e ending, state task.ExecutorState, why string) {
	o := l.e.opts
	wait, quarantine, count := l.ends.next(e, time.Now(), o, jitter())
	switch {
	case quarantine && e != failed:
		l.e.become(task.ExecutorQuarantined, fmt.Sprintf("%s; tried again every %s, or at once by a restart", why, wait))
	case quarantine:
		l.e.become(task.ExecutorQuarantined, fmt.Sprintf("the plugin keeps failing (%d times within %s); tried again every %s, or at once by a restart; see the last error",
			count, o.QuarantineWindow, o.QuarantineRetry))
	case wait == 0:
		l.launch(state, why+"; a new process is being started")
		return
	default:
		l.e.become(state, fmt.Sprintf("%s; a new process is started in %s; see the last error", why, wait.Round(time.Millisecond)))
	}
	l.retry.Reset(wait)
}
