package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// requestContext ends with the request, with the server's shutdown, or after d: a
// request that is held must not keep the server from stopping.
func requestContext(r *http.Request, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(r.Context(), d)
	stop := func() bool { return false }
	if closing, ok := r.Context().Value(closingKey{}).(context.Context); ok {
		stop = context.AfterFunc(closing, cancel)
	}
	return ctx, func() { stop(); cancel() }
}

// waitFinal returns t once it is final, or as it is after d or the longest wait that
// the server grants.
func (h *handlers) waitFinal(r *http.Request, s task.Scope, t task.Task, d time.Duration) (task.Task, error) {
	d = min(d, h.opts.MaxWait)
	if t.State.Final() || d <= 0 {
		return t, nil
	}
	ctx, cancel := requestContext(r, d)
	defer cancel()
	now, err := h.svc.Wait(ctx, s, t.ID)
	if gone := r.Context().Err(); gone != nil { // the client, or the token that let it in
		return t, gone
	}
	if err != nil && ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return h.svc.Get(r.Context(), s, t.ID)
	}
	return now, err
}
