package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

var errResultTooLarge = errors.New("the host takes no result of this size")

func (w *Worker) putResult(ctx context.Context, t sdk.Token, res *sdk.Result) error {
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

// upload puts a large result to the host's REST and then reports the attempt. It
// keeps trying: a host that is being restarted knows the attempt again in a while,
// and one that does not want it says so in answer to a heartbeat. w.mu is held.
func (w *Worker) upload(t sdk.Token, r *run) {
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
			w.log.Warn("a result is not with the host yet", "task", r.start.Task.ID, "error", err)
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
func (w *Worker) uploadAgain(t sdk.Token, r *run, host string) {
	switch {
	case r.phase != reporting || r.largeResult == nil:
	case w.offer.Host == host:
		w.upload(t, r)
	default:
		wire.Wake(w.heartbeatWanted) // the offer follows, and then the repetition
	}
}

// reportInline reports a result that fits into a message after all.
func (w *Worker) reportInline(t sdk.Token, r *run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.outcome.Result = *r.largeResult
	r.largeResult = nil
	w.reportOutcome(t, r, time.Second)
}

// reportOutcome tells the host how an attempt ended, and again if that is not answered within
// wait. w.mu is held.
func (w *Worker) reportOutcome(t sdk.Token, r *run, wait time.Duration) {
	r.phase, r.reportedAt, r.repeatAfter = reporting, time.Now(), wait
	if w.runs[t] == r {
		w.queueItem(&wire.Item{Kind: wire.KindFinished, Token: t, Outcome: r.outcome, HostProcess: r.uploadedTo})
	}
}

// reportUploaded reports what became of a large result.
func (w *Worker) reportUploaded(t sdk.Token, r *run, host string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		r.outcome = resultTooLarge("the result", len(r.largeResult.Data), w.maxResult())
		r.largeResult = nil
	}
	r.uploadedTo = host
	w.reportOutcome(t, r, time.Second)
}
