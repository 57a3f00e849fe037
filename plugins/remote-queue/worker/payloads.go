package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// What a message cannot carry goes by the host's REST, with the attempt's token as
// the key: GET and PUT below /v1/attempts/{token}/.

// maxFetched bounds one payload that is fetched, whatever the host says.
const maxFetched = 256 << 20

func (w *Worker) attemptURL(t sdk.Token, part string) (string, error) {
	w.mu.Lock()
	base := w.offer.HostURL
	w.mu.Unlock()
	if base == "" {
		return "", errors.New("the host's REST is not open to workers")
	}
	return base + "/v1/attempts/" + t.String() + "/" + part, nil
}

// fetchPayloads gets the payloads that the start left with the host.
func (w *Worker) fetchPayloads(ctx context.Context, s *wire.Start, t *sdk.Task) (err error) {
	if s.RefInput {
		if t.Input, err = w.getPayload(ctx, t.Token, "input"); err != nil {
			return err
		}
	}
	if s.RefCheckpoint {
		if t.Checkpoint, err = w.getPayload(ctx, t.Token, "checkpoint"); err != nil {
			return err
		}
	}
	children := s.Children
	if s.RefChildren {
		if children, err = w.getPayload(ctx, t.Token, "children"); err != nil {
			return err
		}
	}
	if t.Children, err = sdk.DecodeChildren(children); err != nil {
		return err
	}
	if s.RefResult {
		r := *t.Result
		if r.Data, err = w.getPayload(ctx, t.Token, "result"); err != nil {
			return err
		}
		t.Result = &r
	}
	return nil
}

func (w *Worker) getPayload(ctx context.Context, t sdk.Token, part string) (data []byte, err error) {
	err = w.retryUntil(ctx, func() (retry bool, err error) {
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

// retryUntil tries until it works, until it is of no use, or until ctx ends: the host
// may be restarting.
func (w *Worker) retryUntil(ctx context.Context, try func() (retry bool, err error)) error {
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
