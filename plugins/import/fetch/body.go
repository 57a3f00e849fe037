package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// watch ends a request that takes too long, or that stands still.
type watch struct {
	parent context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc
	whole  *time.Timer // nil without a bound
	still  *time.Timer
	stall  time.Duration
}

func newWatch(parent context.Context, whole, stall time.Duration) *watch {
	w := &watch{parent: parent, stall: stall}
	w.ctx, w.cancel = context.WithCancelCause(parent)
	if whole > 0 {
		w.whole = time.AfterFunc(whole, func() {
			w.cancel(fmt.Errorf("not finished within %s (the operator can raise it by timeout)", whole))
		})
	}
	w.still = time.AfterFunc(stall, func() {
		w.cancel(fmt.Errorf("no data for %s", stall))
	})
	return w
}

// alive says that something arrived.
func (w *watch) alive() { w.still.Reset(w.stall) }

func (w *watch) stop() {
	w.still.Stop()
	if w.whole != nil {
		w.whole.Stop()
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

// body is an answer's body within its bounds. Not for concurrent use, except
// that Close may come at any time.
type body struct {
	from  io.ReadCloser
	watch *watch
	url   *url.URL
	limit int64 // 0: none
	left  int64
	close sync.Once
	err   error
}

// Read reads at most one byte more than the bound, to tell "full" from "more".
func (b *body) Read(p []byte) (int, error) {
	if b.limit > 0 && int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.from.Read(p)
	if n > 0 {
		b.watch.alive()
	}
	if b.limit > 0 {
		if int64(n) > b.left {
			n, b.left = int(b.left), 0
			return n, sdk.Permanent(tooLarge(b.url, b.limit))
		}
		b.left -= int64(n)
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", ShowURL(b.url), b.watch.explain(err))
	}
	return n, err
}

func (b *body) Close() error {
	b.close.Do(func() {
		b.watch.stop()
		b.err = b.from.Close()
	})
	return b.err
}

// ErrTooLarge is what a body larger than Options.MaxSize gives, in a permanent error.
var ErrTooLarge = errors.New("larger than allowed")

func tooLarge(u *url.URL, limit int64) error {
	return fmt.Errorf("%s: the body is %w (%d bytes)", ShowURL(u), ErrTooLarge, limit)
}
