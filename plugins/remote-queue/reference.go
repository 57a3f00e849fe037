package remotequeue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// What a message cannot carry goes by the host's REST, with the attempt's token as
// the key: GET and PUT below /v1/attempts/{token}/.

// maxFetched bounds one payload that is fetched, whatever the host says.
const maxFetched = 256 << 20

func (w *Worker) attemptURL(t token, part string) (string, error) {
	w.mu.Lock()
	base := w.offer.HostURL
	w.mu.Unlock()
	if base == "" {
		return "", errors.New("the host's REST is not open to workers")
	}
	return base + "/v1/attempts/" + t.String() + "/" + part, nil
}

// fetch gets the payloads that the start left with the host.
func (w *Worker) fetch(ctx context.Context, s *start, t *sdk.Task) (err error) {
	if s.refInput {
		if t.Input, err = w.get(ctx, t.Token, "input"); err != nil {
			return err
		}
	}
	if s.refCheckpoint {
		if t.Checkpoint, err = w.get(ctx, t.Token, "checkpoint"); err != nil {
			return err
		}
	}
	if s.refResult {
		r := *t.Result
		if r.Data, err = w.get(ctx, t.Token, "result"); err != nil {
			return err
		}
		t.Result = &r
	}
	return nil
}

func (w *Worker) get(ctx context.Context, t token, part string) (data []byte, err error) {
	err = w.insist(ctx, func() (retry bool, err error) {
		url, err := w.attemptURL(t, part)
		if err != nil {
			return false, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false, err
		}
		resp, err := w.http.Do(req)
		if err != nil {
			return true, err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return resp.StatusCode >= 500, fmt.Errorf("the host answers %s", resp.Status)
		}
		data, err = io.ReadAll(io.LimitReader(resp.Body, maxFetched+1))
		if err == nil && len(data) > maxFetched {
			return false, fmt.Errorf("more than %d bytes", maxFetched)
		}
		return true, err
	})
	if err != nil {
		return nil, fmt.Errorf("fetch the %s from the host: %w", part, err)
	}
	return data, nil
}

// errRefused: the host took none of it, and never will.
type errRefused struct{ status int }

func (e errRefused) Error() string {
	return fmt.Sprintf("the host answers %d %s", e.status, http.StatusText(e.status))
}

func (w *Worker) put(ctx context.Context, t token, part, contentType string, data []byte) error {
	return w.insist(ctx, func() (retry bool, err error) {
		url, err := w.attemptURL(t, part)
		if err != nil {
			return false, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(data))
		if err != nil {
			return false, err
		}
		req.Header.Set("Content-Type", contentType)
		resp, err := w.http.Do(req)
		if err != nil {
			return true, err
		}
		defer func() { _ = resp.Body.Close() }()
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
		if resp.StatusCode/100 == 2 {
			return false, nil
		}
		return resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests, errRefused{resp.StatusCode}
	})
}

// insist tries until it works, until it is of no use, or until ctx ends: the host
// may be restarting.
func (w *Worker) insist(ctx context.Context, try func() (retry bool, err error)) error {
	pause := 200 * time.Millisecond
	for {
		retry, err := try()
		if err == nil || !retry {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// fit makes an outcome small enough for a message: a large result goes to the
// host's REST before. It is tried for as long as the worker lives: the attempt is
// done, and its deadline passed or not, what it made is not thrown away.
func (w *Worker) fit(ctx context.Context, t token, o sdk.Outcome) sdk.Outcome {
	limit := w.maxMessage() - 64<<10
	if o.Yield != nil && len(o.Yield.Checkpoint) > limit {
		return tooLarge("the checkpoint", len(o.Yield.Checkpoint), limit)
	}
	o.Message = clip(o.Message, maxLine)
	for k, v := range o.Details {
		if len(v) > maxLine {
			o.Details[k] = clip(v, maxLine)
		}
	}
	if o.Kind != sdk.Succeeded || len(o.Result.Data) <= limit {
		return o
	}
	put, cancel := context.WithCancel(w.ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { // canceled for good: a fenced attempt's result is of no use
		if errors.Is(context.Cause(ctx), sdk.ErrCancel) {
			cancel()
		}
	})
	defer stop()
	err := w.put(put, t, "result", o.Result.ContentType, o.Result.Data)
	if err == nil {
		o.Result.Data, o.Result.Stored = nil, true
		return o
	}
	if refused := (errRefused{}); errors.As(err, &refused) && refused.status != http.StatusRequestEntityTooLarge {
		return sdk.Outcome{Kind: sdk.Failed, Code: sdk.CodeExecutorFailed, Message: "put the result to the host: " + err.Error()}
	}
	return tooLarge("the result", len(o.Result.Data), limit)
}

func tooLarge(what string, n, limit int) sdk.Outcome {
	return sdk.Outcome{Kind: sdk.Failed, Code: sdk.CodeResultTooLarge, Permanent: true,
		Message: fmt.Sprintf("%s has %d bytes: the broker carries %d, and the host's REST does not take it", what, n, limit)}
}

// probe finds out whether the host's REST answers here, and keeps trying if not.
func (w *Worker) probe() {
	for {
		w.mu.Lock()
		url := w.offer.HostURL
		w.mu.Unlock()
		ok := url == "" || w.answers(url)
		w.mu.Lock()
		changed := w.unreachable == ok
		w.unreachable = !ok
		w.mu.Unlock()
		if changed {
			signal(w.beats)
			if !ok {
				w.log.Warn("the host's REST does not answer here: what the broker cannot carry is refused at submit", "url", url)
			}
		}
		if ok {
			return
		}
		select {
		case <-w.ctx.Done():
			return
		case <-time.After(15 * time.Second):
		}
	}
}

func (w *Worker) answers(url string) bool {
	ctx, cancel := context.WithTimeout(w.ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/healthz", nil)
	if err != nil {
		return false
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil
}
