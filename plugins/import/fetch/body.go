package fetch

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"

	"github.com/taskhost/taskhost/sdk"
)

// body is an answer's body within its bounds. Not for concurrent use, except
// that Close may come at any time.
type body struct {
	source    io.ReadCloser
	watch     *watch
	url       *url.URL
	limit     int64 // bytes that may be read; 0 if any number may
	remaining int64 // of limit
	closeOnce sync.Once
	closeErr  error
}

// Read reads at most one byte more than the bound, to tell "full" from "more".
func (b *body) Read(p []byte) (int, error) {
	if b.limit > 0 && int64(len(p)) > b.remaining+1 {
		p = p[:b.remaining+1]
	}
	n, err := b.source.Read(p)
	if n > 0 {
		b.watch.dataArrived()
	}
	if b.limit > 0 {
		if int64(n) > b.remaining {
			n, b.remaining = int(b.remaining), 0
			return n, sdk.Permanent(tooLarge(b.url, b.limit))
		}
		b.remaining -= int64(n)
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", ShowURL(b.url), b.watch.explain(err))
	}
	return n, err
}

func (b *body) Close() error {
	b.closeOnce.Do(func() {
		b.watch.stop()
		b.closeErr = b.source.Close()
	})
	return b.closeErr
}

// ErrTooLarge is what a body larger than Options.MaxSize gives, in a permanent error.
var ErrTooLarge = errors.New("larger than allowed")

func tooLarge(u *url.URL, limit int64) error {
	return fmt.Errorf("%s: the body is %w (%d bytes)", ShowURL(u), ErrTooLarge, limit)
}
