package fetch

import (
	"context"
	"fmt"
	"time"
)

// watch ends a request that takes too long, or for which nothing arrives any more. ctx is
// the request's.
type watch struct {
	parent     context.Context
	ctx        context.Context
	cancel     context.CancelCauseFunc
	deadline   *time.Timer // nil if the request may take any time
	stallTimer *time.Timer
	stall      time.Duration
}

func newWatch(parent context.Context, whole, stall time.Duration) *watch {
	w := &watch{parent: parent, stall: stall}
	w.ctx, w.cancel = context.WithCancelCause(parent)
	if whole > 0 {
		w.deadline = time.AfterFunc(whole, func() {
			w.cancel(fmt.Errorf("not finished within %s (the operator can raise it by timeout)", whole))
		})
	}
	w.stallTimer = time.AfterFunc(stall, func() {
		w.cancel(fmt.Errorf("no data for %s", stall))
	})
	return w
}

// dataArrived begins the wait for data anew.
func (w *watch) dataArrived() { w.stallTimer.Reset(w.stall) }

func (w *watch) stop() {
	w.stallTimer.Stop()
	if w.deadline != nil {
		w.deadline.Stop()
	}
	w.cancel(nil)
}

// explain replaces "context canceled" by the reason, if there was one.
func (w *watch) explain(err error) error {
	if cause := context.Cause(w.parent); cause != nil {
		return cause
	}
	if cause := context.Cause(w.ctx); cause != nil {
		return cause
	}
	return err
}
