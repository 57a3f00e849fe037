package supervisor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

func (l *life) obey(o order) {
	switch {
	case l.draining != nil && o.kind == orderDrain:
		l.draining = append(l.draining, o)
	case l.draining != nil:
		o.reply <- fmt.Errorf("executor %q is draining: restart it when that is done", l.e.config.Name)
	case o.kind == orderRestart:
		l.ends = endings{}
		l.down = false
		l.asked = append(l.asked, o.reply)
		if l.current != nil {
			l.launch("", "") // the old one serves on
		} else {
			l.launch(task.ExecutorStarting, "the plugin is being restarted")
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
		l.current.show(task.ExecutorDraining, "")
	}
	l.draining = []order{o}
	l.await()
}

// await waits, with the patience of the first who asked, until nothing runs.
func (l *life) await() {
	l.e.become(task.ExecutorDraining, "by an operator: it finishes what runs")
	ctx, inst := l.draining[0].ctx, l.current
	go func() {
		var err error
		if inst != nil {
			err = inst.conn.Drain(ctx)
			if inst.conn.Err() != nil { // it died, or was ended since nothing else was left on it
				inst.proc.settled(time.Second)
			}
			if err == nil || !inst.proc.running() {
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
		l.e.become(task.ExecutorDraining, "by an operator; "+err.Error())
		return
	}
	l.answerDrains(nil)
	l.current = nil
	l.e.become(task.ExecutorStopped, stoppedByDrain)
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
	l.e.become(task.ExecutorDraining, "the host is stopping")
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
			l.current.show(task.ExecutorDraining, "")
			err = l.current.retire(ctx)
		}
		l.leaving.Wait()
	}()
	l.absorb(done)
	l.e.become(task.ExecutorStopped, "by the host")
	if err != nil {
		return fmt.Errorf("executor %q was stopped before it had finished: %w", l.e.config.Name, err)
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
		case <-l.told:
		case <-l.e.stuck:
			l.endStuck()
		case err := <-l.drained:
			l.answerDrains(err)
		}
	}
}
