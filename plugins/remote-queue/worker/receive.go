package worker

import (
	"errors"
	"fmt"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// receiveFromHost takes what the host says.
func (w *Worker) receiveFromHost(data []byte) {
	w.noteHostHeard()
	if len(data) > 0 && data[0] == '{' {
		o, err := wire.DecodeOffer(data)
		if err != nil {
			return
		}
		w.handleOffer(o)
		return
	}
	w.mu.Lock()
	_, _ = wire.DecodeBatch(data, w.handleHostItem) // what cannot be read is repeated, or no message of the host
	w.callRunner()                                  // only now: who comes takes the lock
	w.mu.Unlock()
}

// handleOffer takes a new offer. If the host's process is another one, what it has to
// answer is told at once.
func (w *Worker) handleOffer(o wire.Offer) {
	w.mu.Lock()
	fresh := w.offer.Host != o.Host
	probe := w.offer.HostURL != o.HostURL
	turned := w.offer.Drain != o.Drain
	w.offer = o
	if turned && o.Drain {
		w.log.Info("drained by the host: nothing more is taken until it is resumed")
		w.handBackUnstarted()
	} else if turned {
		w.log.Info("resumed by the host")
	}
	if probe {
		w.spawn(w.probeHost)
	}
	if fresh {
		w.repeatAllNext()
	}
	w.mu.Unlock()
	if fresh {
		w.log.Info("host found", "host", o.Host[:min(8, len(o.Host))])
	}
	wire.Wake(w.heartbeatWanted)
	wire.Wake(w.pullWanted)
}

// handleHostItem is one item of the host. w.mu is held.
func (w *Worker) handleHostItem(it wire.Item) {
	r := w.runs[it.Token]
	switch {
	case it.Kind == wire.KindDescribe:
		w.describeNext.Store(true)
		wire.Wake(w.heartbeatWanted)
	case it.Kind == wire.KindDismiss:
		select {
		case w.dismissed <- fmt.Errorf("the host refuses this worker: %s", it.Text):
		default:
		}
	case r != nil:
		w.handleRunItem(r, it)
	case it.Kind == wire.KindGo: // handed back while the host put it on record
		w.queueItem(&wire.Item{Kind: wire.KindFinished, Token: it.Token, Outcome: wire.ReleasedOutcome("the worker had given it back")})
	}
}

// handleRunItem is one item of the host about a run. w.mu is held.
func (w *Worker) handleRunItem(r *run, it wire.Item) {
	switch it.Kind {
	case wire.KindGo:
		if r.phase == asking {
			w.startScript(r, it.Timeout)
		}
	case wire.KindRefuse:
		w.fence(it.Token, r, it.Text)
	case wire.KindCancel:
		if r.phase == working {
			r.ctx.End(it.Cause.Err())
		}
	case wire.KindAck:
		if it.Seq > 0 {
			r.answer(it.Seq, answer{})
		} else if r.phase == reporting {
			w.removeRun(it.Token, r)
		}
	case wire.KindSpawned:
		r.answer(it.Seq, answer{id: it.Text})
	case wire.KindDeny:
		err := errors.New(it.Text)
		switch {
		case it.Outcome.Permanent:
			err = sdk.Permanent(err)
		case it.Outcome.RetryAfter > 0:
			err = sdk.RetryAfter(err, it.Outcome.RetryAfter)
		}
		r.answer(it.Seq, answer{err: err})
	case wire.KindPut:
		w.uploadAgain(it.Token, r, it.HostProcess)
	}
}
