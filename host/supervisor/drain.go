package supervisor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

const (
	reasonDraining = "by an operator: it finishes what runs"
	reasonDrained  = "drained by an operator; a restart brings it back"
)

// startDrain begins an operator's Drain: attempts have as long as its context lasts.
func (c *controller) startDrain(r request) {
	c.cancelLaunch(errors.New("the executor is being drained"))
	c.startTimer.Stop()
	c.drainedByOperator = true
	c.executor.routeTo(nil)
	if c.current != nil {
		c.current.showState(task.ExecutorDraining, "")
	}
	c.drainRequests = []request{r}
	c.awaitDrain()
}

// awaitDrain waits in the background until nothing runs, as long as the first request's
// context lasts.
func (c *controller) awaitDrain() {
	c.executor.setState(task.ExecutorDraining, reasonDraining)
	ctx, inst := c.drainRequests[0].ctx, c.current
	go func() {
		var err error
		if inst != nil {
			err = inst.conn.Drain(ctx)
			if inst.conn.Err() != nil { // it died, or was ended since nothing else was left on it
				inst.process.waitOutputRead(time.Second)
			}
			if err == nil || !inst.process.running() {
				inst.end()
				err = nil
			}
		}
		send(c, c.drainResult, err)
	}()
}

// onDrained answers those who wait for an operator's Drain.
func (c *controller) onDrained(err error) {
	if err != nil { // the first one's time is up; the next may have more
		c.drainRequests[0].reply <- err
		if c.drainRequests = c.drainRequests[1:]; len(c.drainRequests) > 0 {
			c.awaitDrain()
			return
		}
		c.drainRequests = nil
		c.executor.setState(task.ExecutorDraining, "by an operator; "+err.Error())
		return
	}
	c.answerDrains(nil)
	c.current = nil
	c.executor.setState(task.ExecutorStopped, reasonDrained)
}

func (c *controller) answerDrains(err error) {
	for _, r := range c.drainRequests {
		r.reply <- err
	}
	c.drainRequests = nil
}

// stop ends everything; what runs may finish until ctx or Options.DrainTimeout ends.
// endRetiring ends the processes that finish.
func (c *controller) stop(ctx context.Context, endRetiring context.CancelFunc) error {
	defer endRetiring()
	c.startTimer.Stop()
	c.executor.routeTo(nil)
	c.executor.setState(task.ExecutorDraining, "the host is stopping")
	ctx, cancel := context.WithTimeout(ctx, c.executor.options.DrainTimeout)
	defer cancel()
	release := context.AfterFunc(ctx, endRetiring)
	defer release()
	c.cancelLaunch(errors.New("the executor is being stopped"))
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c.current != nil {
			c.current.showState(task.ExecutorDraining, "")
			err = c.current.retire(ctx)
		}
		c.retiring.Wait()
	}()
	c.drainChannels(done)
	c.executor.setState(task.ExecutorStopped, "by the host")
	if err != nil {
		return fmt.Errorf("executor %q was stopped before it had finished: %w", c.executor.config.Name, err)
	}
	return nil
}

// drainChannels receives what the other goroutines still hand in until done is closed, so
// that none of them waits for ever.
func (c *controller) drainChannels(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-c.deaths:
		case <-c.drainingByItself:
		case <-c.executor.stuckSignal:
			c.killStuck()
		case err := <-c.drainResult:
			c.answerDrains(err)
		}
	}
}

// cancelLaunch ends a start that is under way and waits for its end.
func (c *controller) cancelLaunch(why error) {
	if c.launching == nil {
		return
	}
	c.abortLaunch()
	if err := <-c.launchResult; err == nil {
		c.launching.end() // it was ready in the same moment
	}
	c.launching = nil
	for _, reply := range c.restartWaiters {
		reply <- why
	}
	c.restartWaiters = nil
}
