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

var errTooLarge = errors.New("the host takes no result of this size")

func (w *Worker) put(ctx context.Context, t token, res *sdk.Result) error {
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
		return errTooLarge
	}
	return fmt.Errorf("the host answers %s", resp.Status)
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

// maxResult is the largest result that goes in a message, with all around it.
func (w *Worker) maxResult() int { return w.maxMessage() - min(64<<10, w.maxMessage()/4) }

// fit makes an outcome small enough for a message, all but a result.
func (w *Worker) fit(o sdk.Outcome) sdk.Outcome {
	o.Message = clip(o.Message, maxLine)
	o.Details = maps.Clone(o.Details) // the script's, which may have given it to several
	for k, v := range o.Details {
		o.Details[k] = clip(v, maxLine)
	}
	limit := w.maxResult()
	if o.Result.Stored { // which only this worker can say, and only of what it has put there
		return protocolError("the executor says that its result is with the host, which did not ask for it")
	}
	if y := o.Yield; y != nil {
		size := len(y.Checkpoint)
		for _, id := range y.Children {
			size += len(id) + 2
		}
		if size > limit {
			return tooLarge("the checkpoint with the list of children", size, limit)
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
			err := errTooLarge
			if len(r.large.Data) <= w.maxResult() {
				w.inline(t, r) // the broker carries more than it did
				return
			}
			if known {
				ctx, cancel := context.WithTimeout(w.ctx, 5*time.Minute)
				err = w.put(ctx, t, r.large)
				cancel()
			}
			if err == nil || errors.Is(err, errTooLarge) {
				w.uploaded(t, r, host, err)
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

// putAgain is a host that lacks the bytes of a result: they went to its predecessor.
// Before the host's offer was heard, nobody knows where to put them. w.mu is held.
func (w *Worker) putAgain(t token, r *run, host string) {
	switch {
	case r.phase != finishedRun || r.large == nil:
	case w.offer.Host == host:
		w.upload(t, r)
	default:
		signal(w.beats) // the offer follows, and then the repetition
	}
}

// inline reports a result that fits into a message after all.
func (w *Worker) inline(t token, r *run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.outcome.Result, r.large = *r.large, nil
	w.report(t, r, time.Second)
}

// report tells the host how an attempt ended, and again if that is not answered within
// wait. w.mu is held.
func (w *Worker) report(t token, r *run, wait time.Duration) {
	r.phase, r.sent, r.wait = finishedRun, time.Now(), wait
	if w.runs[t] == r {
		w.tell(&item{kind: kindFinished, token: t, outcome: r.outcome, host: r.putTo})
	}
}

// uploaded reports what became of a large result.
func (w *Worker) uploaded(t token, r *run, host string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		r.outcome = tooLarge("the result", len(r.large.Data), w.maxResult())
		r.large = nil
	}
	r.putTo = host
	w.report(t, r, time.Second)
}

func tooLarge(what string, n, limit int) sdk.Outcome {
	return sdk.Outcome{Kind: sdk.OutcomeFailed, Code: sdk.CodeResultTooLarge, Permanent: true,
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
