package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// life is the state of an executor's one deciding goroutine.
type life struct {
	e       *Executor
	current *instance // takes new attempts
	dead    chan death
	retry   *time.Timer
	failed  failures
	since   time.Time // when current became ready
	parole  bool      // it was in quarantine: the next failure puts it back
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
	l := &life{e: e, dead: make(chan death), launched: make(chan error), drained: make(chan error),
		retry: time.NewTimer(time.Hour), leave: leave}
	l.retry.Stop()
	l.launch(Starting, "the plugin is being started")
	for {
		select {
		case err := <-l.launched:
			l.onLaunched(err)
		case d := <-l.dead:
			l.onDeath(d)
		case <-l.retry.C:
			l.launch("", "")
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
func (l *life) launch(state State, reason string) {
	if l.launching != nil {
		return
	}
	l.retry.Stop()
	inst := l.e.newInstance()
	l.e.starts++
	ctx, cancel := context.WithCancel(context.Background())
	l.launching, l.abort = inst, cancel
	l.e.update(func(st *Status) {
		if state != "" {
			st.State, st.Reason = state, reason
		}
		st.Instances = append(st.Instances, Instance{ID: inst.id, State: Starting, Since: time.Now(), Restarts: inst.restarts})
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
	l.e.route(inst.conn)
	l.e.update(func(st *Status) {
		st.State, st.Reason = Ready, ""
		if s := inst.shown(st); s != nil {
			s.State, s.Since, s.Version = Ready, time.Now(), hello.Version
		}
	})
	l.e.log.Info("plugin is ready", "plugin", l.e.spec.Plugin, "version", hello.Version, "pid", inst.proc.pid())
	if old != nil {
		l.retire(old)
	}
}

// relay passes on that the plugin's offer changed.
func (l *life) relay(inst *instance) {
	for {
		select {
		case <-inst.conn.Changed():
			l.e.signal()
		case <-inst.conn.Done():
			return
		}
	}
}

// retire lets a replaced process finish, beside its successor.
func (l *life) retire(inst *instance) {
	inst.show(Draining)
	l.leaving.Go(func() {
		ctx, cancel := context.WithTimeout(l.leave, l.e.opts.DrainTimeout)
		defer cancel()
		if err := inst.retire(ctx); err != nil {
			l.e.log.Warn("a replaced plugin process was ended before it had finished", "error", err)
		}
	})
}

func (i *instance) show(s State) {
	i.e.update(func(st *Status) {
		if shown := i.shown(st); shown != nil {
			shown.State, shown.Since = s, time.Now()
		}
	})
}

func (l *life) onDeath(d death) {
	l.e.forget(d.inst.conn)
	if d.inst != l.current { // it was to go
		return
	}
	l.current = nil
	d.inst.end()
	if l.draining != nil {
		return // onDrained comes, too
	}
	if time.Since(l.since) >= l.e.opts.QuarantineWindow {
		l.parole = false
	}
	l.e.failed(d.why)
	if l.down && l.launching == nil {
		l.e.become(Stopped, stoppedByDrain)
		return
	}
	if l.launching == nil {
		l.fail(d.why)
	} else {
		l.e.become(Degraded, "the plugin died while its successor was being started")
	}
}

// fail decides when to try again after a failure.
func (l *life) fail(err error) {
	o := l.e.opts
	n := l.failed.add(time.Now(), o.QuarantineWindow)
	var operator *operatorError
	switch {
	case errors.As(err, &operator):
		l.e.become(Quarantined, fmt.Sprintf("%s; tried again every %s, or at once by a restart", operator, o.QuarantineRetry))
		l.retry.Reset(o.QuarantineRetry)
	case n >= o.QuarantineAfter || l.parole:
		l.parole = true
		l.e.become(Quarantined, fmt.Sprintf("the plugin keeps failing (%d times within %s); tried again every %s, or at once by a restart; see the last error",
			n, o.QuarantineWindow, o.QuarantineRetry))
		l.retry.Reset(o.QuarantineRetry)
	default:
		d := delay(n, o.BackoffMin, o.BackoffMax, jitter())
		l.e.become(Degraded, fmt.Sprintf("the plugin failed and is started again in %s; see the last error", d.Round(time.Millisecond)))
		l.retry.Reset(d)
	}
}

func (l *life) obey(o order) {
	switch {
	case l.draining != nil && o.kind == orderDrain:
		l.draining = append(l.draining, o)
	case l.draining != nil:
		o.reply <- fmt.Errorf("executor %q is draining: restart it when that is done", l.e.spec.Name)
	case o.kind == orderRestart:
		l.failed.forget()
		l.parole, l.down = false, false
		l.asked = append(l.asked, o.reply)
		if l.current != nil {
			l.launch("", "") // the old one serves on
		} else {
			l.launch(Starting, "the plugin is being restarted")
		}
	case o.kind == orderDrain:
		l.drain(o)
	}
}

// drain begins an operator's Drain: attempts have the time that his context gives.
func (l *life) drain(o order) {
	l.cancelLaunch(errors.New("the executor is being drained"))
	l.retry.Stop()
	l.down = true
	l.e.route(nil)
	if l.current != nil {
		l.current.show(Draining)
	}
	l.draining = []order{o}
	l.await()
}

// await waits, with the patience of the first who asked, until nothing runs.
func (l *life) await() {
	l.e.become(Draining, "by an operator: it finishes what runs")
	ctx, inst := l.draining[0].ctx, l.current
	go func() {
		var err error
		if inst != nil {
			if err = inst.conn.Drain(ctx); err == nil || !inst.proc.running() {
				inst.end()
				err = nil
			}
		}
		tell(l, l.drained, err)
	}()
}

func (l *life) onDrained(err error) {
	if err != nil { // the first one's time is up; the next may have more
		l.draining[0].reply <- err
		if l.draining = l.draining[1:]; len(l.draining) > 0 {
			l.await()
			return
		}
		l.draining = nil
		l.e.become(Draining, "by an operator; "+err.Error())
		return
	}
	l.answerDrains(nil)
	l.current = nil
	l.e.become(Stopped, stoppedByDrain)
}

func (l *life) answerDrains(err error) {
	for _, o := range l.draining {
		o.reply <- err
	}
	l.draining = nil
}

const stoppedByDrain = "drained by an operator; a restart brings it back"

// cancelLaunch ends a start that is under way and waits for its end.
func (l *life) cancelLaunch(why error) {
	if l.launching == nil {
		return
	}
	l.abort()
	if err := <-l.launched; err == nil {
		l.launching.end() // it was ready in the same moment
	}
	l.launching = nil
	for _, reply := range l.asked {
		reply <- why
	}
	l.asked = nil
}

// stop ends everything, with patience until ctx or DrainTimeout ends.
func (l *life) stop(ctx context.Context, gone context.CancelFunc) error {
	defer gone()
	l.retry.Stop()
	l.e.route(nil)
	l.e.become(Draining, "the host is stopping")
	ctx, cancel := context.WithTimeout(ctx, l.e.opts.DrainTimeout)
	defer cancel()
	release := context.AfterFunc(ctx, gone)
	defer release()
	l.cancelLaunch(errors.New("the executor is being stopped"))
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		if l.current != nil {
			l.current.show(Draining)
			err = l.current.retire(ctx)
		}
		l.leaving.Wait()
	}()
	l.absorb(done)
	l.e.become(Stopped, "by the host")
	if err != nil {
		return fmt.Errorf("executor %q was stopped before it had finished: %w", l.e.spec.Name, err)
	}
	return nil
}

// absorb takes what the other goroutines still say until done, so that none of
// them waits for ever.
func (l *life) absorb(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-l.dead:
		case err := <-l.drained:
			l.answerDrains(err)
		}
	}
}
