package server

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// held is a context that ends with the request, with the server's shutdown, or
// after d: held requests must not keep a server from stopping.
func held(r *http.Request, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(r.Context(), d)
	stop := func() bool { return false }
	if closing, ok := r.Context().Value(closingKey{}).(context.Context); ok {
		stop = context.AfterFunc(closing, cancel)
	}
	return ctx, func() { stop(); cancel() }
}

// hold returns t once it is final, or as it is after d.
func (h *handlers) hold(r *http.Request, s task.Scope, t task.Task, d time.Duration) (task.Task, error) {
	if t.State.Final() || d <= 0 {
		return t, nil
	}
	ctx, cancel := held(r, d)
	defer cancel()
	now, err := h.svc.Wait(ctx, s, t.ID)
	if err != nil && ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return h.svc.Get(r.Context(), s, t.ID)
	}
	return now, err
}

// showAfter answers with t once it is final, or as it is after wait.
func (h *handlers) showAfter(w http.ResponseWriter, r *http.Request, s task.Scope, t task.Task, wait time.Duration) error {
	t, err := h.hold(r, s, t, min(wait, h.opts.MaxWait))
	if err != nil {
		return err
	}
	body, err := api.Encode(toTask(&t, true))
	if err != nil {
		return err
	}
	// The version alone would not do: progress and the reason to wait change without it.
	sum := fnv.New64a()
	_, _ = sum.Write(body) // never fails
	tag := fmt.Sprintf(`"%d-%016x"`, t.Version, sum.Sum64())
	header := w.Header()
	header.Set("Etag", tag)
	header.Set("Content-Location", taskPath(t.ID))
	header.Set("Cache-Control", "no-cache")
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return h.writeBytes(w, http.StatusOK, body)
}

func matches(header []string, tag string) bool {
	for _, v := range header {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part == "*" || strings.TrimPrefix(part, "W/") == tag {
				return true
			}
		}
	}
	return false
}

func taskPath(id task.ID) string { return "/v1/tasks/" + id.String() }
