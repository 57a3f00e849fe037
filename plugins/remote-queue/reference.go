package remotequeue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
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

// fetchPayloads gets the payloads that the start left with the host.
func (w *Worker) fetchPayloads(ctx context.Context, s *startMessage, t *sdk.Task) (err error) {
	if s.refInput {
		if t.Input, err = w.getPayload(ctx, t.Token, "input"); err != nil {
			return err
		}
	}
	if s.refCheckpoint {
		if t.Checkpoint, err = w.getPayload(ctx, t.Token, "checkpoint"); err != nil {
			return err
		}
	}
	if s.refResult {
		r := *t.Result
		if r.Data, err = w.getPayload(ctx, t.Token, "result"); err != nil {
			return err
		}
		t.Result = &r
	}
	return nil
}

func (w *Worker) getPayload(ctx context.Context, t token, part string) (data []byte, err error) {
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

var errResultTooLarge = errors.New("the host takes no result of this size")

func (w *Worker) putResult(ctx context.Context, t token, res *sdk.Result) error {
	url, err := w.attemptURL(t, "result")
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(res.Data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", res.ContentType)
	resp, err := w.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode == http.StatusRequestEntityTooLarge:
		return errResultTooLarge
	}
	return fmt.Errorf("the host answers %s", resp.Status)
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

// maxResult is the largest result that goes in a message, with all around it.
func (w *Worker) maxResult() int { return w.maxMessage() - min(64<<10, w.maxMessage()/4) }

// limitOutcome makes an outcome small enough for a message that holds limit bytes, all but
// a result.
func limitOutcome(o sdk.Outcome, limit int) sdk.Outcome {
	o.Message = clip(o.Message, maxLine)
	o.Details = maps.Clone(o.Details) // the script's, which may have given it to several
	for k, v := range o.Details {
		o.Details[k] = clip(v, maxLine)
	}
	if o.Result.Stored { // which only this worker can say, and only of what it has put there
		return protocolError("the executor says that its result is with the host, which did not ask for it")
	}
	if y := o.Yield; y != nil {
		size := len(y.Checkpoint)
		for _, id := range y.Children {
			size += len(id) + 2
		}
		if size > limit {
			return resultTooLarge("the checkpoint with the list of children", size, limit)
		}
	}
	return checkOutcome(o)
}

// upload puts a large result to the host's REST and then reports the attempt. It
// keeps trying: a host that is being restarted knows the attempt again in a while,
// and one that does not want it says so in answer to a heartbeat. w.mu is held.
func (w *Worker) upload(t token, r *run) {
	r.phase = uploading
	w.spawn(func() {
		for pause := 200 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
			w.mu.Lock()
			host, known, wanted := w.offer.Host, w.offer.HostURL != "", w.runs[t] == r
			w.mu.Unlock()
			if !wanted {
				return
			}
			err := errResultTooLarge
			if len(r.largeResult.Data) <= w.maxResult() {
				w.reportInline(t, r) // the broker carries more than it did
				return
			}
			if known {
				ctx, cancel := context.WithTimeout(w.ctx, 5*time.Minute)
				err = w.putResult(ctx, t, r.largeResult)
				cancel()
			}
			if err == nil || errors.Is(err, errResultTooLarge) {
				w.reportUploaded(t, r, host, err)
				return
			}
			w.log.Warn("a result is not with the host yet", "task", r.start.task.ID, "error", err)
			select {
			case <-w.ctx.Done():
				return
			case <-time.After(pause):
			}
		}
	})
}

// uploadAgain is a host that lacks the bytes of a result: they went to its predecessor.
// Before the host's offer was heard, nobody knows where to put them. w.mu is held.
func (w *Worker) uploadAgain(t token, r *run, host string) {
	switch {
	case r.phase != reporting || r.largeResult == nil:
	case w.offer.Host == host:
		w.upload(t, r)
	default:
		wake(w.heartbeatWanted) // the offer follows, and then the repetition
	}
}

// reportInline reports a result that fits into a message after all.
func (w *Worker) reportInline(t token, r *run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.outcome.Result, r.largeResult = *r.largeResult, nil
	w.reportOutcome(t, r, time.Second)
}

// reportOutcome tells the host how an attempt ended, and again if that is not answered within
// wait. w.mu is held.
func (w *Worker) reportOutcome(t token, r *run, wait time.Duration) {
	r.phase, r.reportedAt, r.repeatAfter = reporting, time.Now(), wait
	if w.runs[t] == r {
		w.queueItem(&item{kind: kindFinished, token: t, outcome: r.outcome, hostProcess: r.uploadedTo})
	}
}

// reportUploaded reports what became of a large result.
func (w *Worker) reportUploaded(t token, r *run, host string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		r.outcome = resultTooLarge("the result", len(r.largeResult.Data), w.maxResult())
		r.largeResult = nil
	}
	r.uploadedTo = host
	w.reportOutcome(t, r, time.Second)
}

func resultTooLarge(what string, n, limit int) sdk.Outcome {
	return sdk.Outcome{Kind: sdk.Failed, Code: sdk.CodeResultTooLarge, Permanent: true,
		Message: fmt.Sprintf("%s has %d bytes: the broker carries %d, and the host's REST does not take it", what, n, limit)}
}

// probeHost finds out whether the host's REST answers here, and keeps trying if not.
func (w *Worker) probeHost() {
	for {
		w.mu.Lock()
		url := w.offer.HostURL
		w.mu.Unlock()
		ok := url == "" || w.hostAnswers(url)
		w.mu.Lock()
		changed := w.restUnreachable == ok
		w.restUnreachable = !ok
		w.mu.Unlock()
		if changed {
			wake(w.heartbeatWanted)
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

func (w *Worker) hostAnswers(url string) bool {
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
