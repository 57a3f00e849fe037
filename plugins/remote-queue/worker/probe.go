package worker

import (
	"context"
	"net/http"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

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
			wire.Wake(w.heartbeatWanted)
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
