package remotequeue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// stopTaking takes nothing more, and gives back what has not started.
func (w *Worker) stopTaking() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.draining = true
	w.handBack()
}

// takesNothing says that the worker ends or was drained by the host. w.mu is held.
func (w *Worker) takesNothing() bool { return w.draining || w.offer.Drain }

// handBack gives back what has not started. w.mu is held.
func (w *Worker) handBack() {
	for t, r := range w.runs {
		if r.phase == accepting || r.phase == asking {
			w.tell(&item{kind: kindHandback, token: t})
			w.remove(t, r)
		}
	}
	signal(w.beats)
	signal(w.idle)
}

// Drain takes nothing more, gives back what has not started, and waits until the
// host has the outcome of all that runs; then Run returns. If ctx ends before, what
// still runs is stopped and given back, and Drain returns the context's error.
func (w *Worker) Drain(ctx context.Context) error {
	w.mu.Lock()
	began := w.began
	w.mu.Unlock()
	if !began {
		return errors.New("the worker does not run")
	}
	w.stopTaking()
	err := w.empty(ctx)
	if err != nil {
		bound, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		w.abandon(bound)
		err = fmt.Errorf("drain: %w", err)
	}
	w.cancel()
	<-w.gone
	return err
}

// empty waits until nothing is left to run or to report.
func (w *Worker) empty(ctx context.Context) error {
	for {
		w.mu.Lock()
		n := len(w.runs)
		w.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-w.idle:
		case <-w.gone:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%d attempts are left: %w", n, context.Cause(ctx))
		}
	}
}

// abandon stops what runs, as the host's own executors are stopped when it lets go,
// and waits a little for the outcomes to be heard.
func (w *Worker) abandon(ctx context.Context) {
	w.stopTaking()
	w.mu.Lock()
	for _, r := range w.runs {
		if r.phase == working {
			r.cancel(sdk.ErrDetach)
		}
	}
	w.mu.Unlock()
	if err := w.empty(ctx); err != nil {
		w.log.Warn("the host may not have heard how all attempts ended", "error", err)
	}
}
