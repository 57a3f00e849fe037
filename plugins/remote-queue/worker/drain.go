package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// stopPulling takes nothing more, and gives back what has not started.
func (w *Worker) stopPulling() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.draining = true
	w.handBackUnstarted()
}

// takesNothing says that the worker ends or was drained by the host. w.mu is held.
func (w *Worker) takesNothing() bool { return w.draining || w.offer.Drain }

// handBackUnstarted gives back what has not started. w.mu is held.
func (w *Worker) handBackUnstarted() {
	for t, r := range w.runs {
		if r.phase == asking {
			w.queueItem(&wire.Item{Kind: wire.KindHandback, Token: t})
			w.removeRun(t, r)
		}
	}
	wire.Wake(w.heartbeatWanted)
	wire.Wake(w.runRemoved)
}

// Drain takes nothing more, gives back what has not started, and waits until the
// host has the outcome of all that runs; then Run returns. If ctx ends before, what
// still runs is stopped: it has a few seconds to end where ctx ran out of time, and
// half of one where ctx was canceled. Then it is reported as interrupted, whether it
// ends or not, and Drain returns the context's error.
func (w *Worker) Drain(ctx context.Context) error {
	w.mu.Lock()
	began := w.started
	w.mu.Unlock()
	if !began {
		return errors.New("the worker does not run")
	}
	w.stopPulling()
	all := w.attempts()
	w.log.Info("stopping: attempts may finish for a while", "attempts", all)
	err := w.waitEmpty(ctx)
	late := w.attempts()
	if err != nil {
		w.log.Info("stopping: attempts are told to stop", "attempts", late)
		wait := 3 * time.Second
		if errors.Is(ctx.Err(), context.Canceled) {
			wait = 500 * time.Millisecond
		}
		w.stopRuns(wait)
		err = fmt.Errorf("drain: %w", err)
	}
	if all > 0 {
		w.log.Info("attempts have ended", "finished", all-late, "told_to_stop", late, "left", w.attempts())
	}
	w.cancel()
	<-w.returned
	return err
}

// attempts is how many there are whose outcome the host does not have yet.
func (w *Worker) attempts() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.runs)
}

// waitEmpty waits until nothing is left to run or to report.
func (w *Worker) waitEmpty(ctx context.Context) error {
	for {
		n := w.attempts()
		if n == 0 {
			return nil
		}
		select {
		case <-w.runRemoved:
		case <-w.returned:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%d attempts are left: %w", n, context.Cause(ctx))
		}
	}
}

// stopRuns stops what runs, as the host's own executors are stopped when it lets go,
// and gives up what has not stopped within wait.
func (w *Worker) stopRuns(wait time.Duration) {
	w.stopPulling()
	w.mu.Lock()
	for _, r := range w.runs {
		if r.phase == working {
			r.ctx.End(sdk.ErrDetach)
		}
	}
	w.mu.Unlock()
	stopped, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if w.waitEmpty(stopped) == nil {
		return
	}
	w.reportUnstopped()
	heard, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if err := w.waitEmpty(heard); err != nil {
		w.log.Warn("the host may not have heard how all attempts ended", "error", err)
	}
}

// reportUnstopped reports what ignores that it is to stop: it has run in part, and ends with
// this process at the latest.
func (w *Worker) reportUnstopped() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for t, r := range w.runs {
		if r.phase != working {
			continue
		}
		w.log.Warn("an attempt does not stop and is given up", "task", r.start.Task.ID)
		w.keepOutcome(t, r, sdk.Outcome{Kind: sdk.OutcomeInterrupted, Message: "the worker ended, and the attempt did not stop"})
	}
}

// waitGroup waits for a group, but no longer than d.
func waitGroup(group *sync.WaitGroup, d time.Duration) bool {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}
