package fleet

import (
	"reflect"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// handleHeartbeat takes a heartbeat. The host is asked to look again only when the offer
// changed, not for what a worker happens to run.
func (f *fleet) handleHeartbeat(p wire.Peer, h wire.Heartbeat) {
	f.mu.Lock()
	w := f.workers[p]
	if h.Bye {
		if w != nil {
			f.removeWorker(w)
		}
		f.mu.Unlock()
		f.log.Info("worker left", "worker", p.Name)
		f.cfg.Changed()
		return
	}
	if w == nil {
		if err := f.admitWorker(p); err != nil {
			f.dismissWorker(p, err.Error())
			f.mu.Unlock()
			return
		}
		w = &remoteWorker{peer: p}
		f.workers[p] = w
		delete(f.goneWorkers, p.Name)
		f.warnSameName(p)
	}
	changed, types := f.noteHeartbeat(w, h)
	if f.offerFor(w).ID != h.Offer {
		f.sendOffer(w)
	}
	described := w.described && w.revision == h.Revision // else what it said went unheard
	f.mu.Unlock()
	// The answer, empty at the least, is how the worker knows that the host lives.
	if !described {
		f.queueItem(p, &wire.Item{Kind: wire.KindDescribe})
	} else {
		f.send(p, []byte{wire.FormatVersion})
	}
	if types {
		f.starts.wakeLoop()
	}
	if changed {
		f.cfg.Changed()
	}
}

// noteHeartbeat keeps what a worker says of itself and of its attempts. It says whether the
// worker's offer changed, and whether its types did. f.mu is held.
func (f *fleet) noteHeartbeat(w *remoteWorker, h wire.Heartbeat) (changed, types bool) {
	changed = w.described && (w.lastHeartbeat.Draining != h.Draining || w.lastHeartbeat.Unreachable != h.Unreachable)
	if h.Info != nil {
		types = f.rememberTypes(w, h.Info.Types)
		h.Info.Types = nil
		changed = changed || types || !w.described || !reflect.DeepEqual(w.info, *h.Info)
		w.info = *h.Info
		w.described = true
		w.revision = h.Revision
		f.starts.republishJoined(w)
	}
	w.lastHeartbeat = h
	w.heardAt = f.clock.now()
	w.heardTime = time.Now()
	f.noteNamedTokens(w)
	w.lastHeartbeat.Info = nil
	w.lastHeartbeat.Running = nil // it can be long, and who runs what is known from the attempts
	return changed, types
}

// warnSameName: two workers of one name are kept apart by their instances, but an
// operator will not have meant it. f.mu is held.
func (f *fleet) warnSameName(p wire.Peer) {
	for q, other := range f.workers {
		if q != p && q.Name == p.Name && f.clock.now()-other.heardAt < 2*time.Duration(f.queueConfig.Heartbeat) {
			f.log.Warn("a worker of this name was here a moment ago: restarted, or two of one name?", "worker", p.Name)
		}
	}
}

// noteNamedTokens notes which attempts a heartbeat answers for. f.mu is held.
func (f *fleet) noteNamedTokens(w *remoteWorker) {
	now, refused := f.clock.now(), 0
	w.lastHeartbeat.EachToken(func(t sdk.Token) {
		a := f.attempts[t]
		switch {
		case a != nil && a.phase == waiting:
			a.lastNamed = now // accepted by somebody: it will ask
		case a != nil && a.peer == w.peer:
			a.lastNamed = now
		case a == nil && !f.unknownForGood(t):
		case refused >= maxRefused: // with the next heartbeat
		default: // somebody else's, or nobody's
			refused++
			f.counters.refusedReports.Add(1)
			f.queueItem(w.peer, &wire.Item{Kind: wire.KindRefuse, Token: t, Text: "the attempt is not this worker's"})
		}
	})
}

// unknownForGood says whether a token that is not among the attempts is surely not
// wanted. Early in the life of a host it may be one that is yet to be rejoined.
// f.mu is held.
func (f *fleet) unknownForGood(t sdk.Token) bool {
	_, ended := f.forgottenTokens[t]
	return ended || f.clock.now() > time.Duration(f.queueConfig.Rejoin)
}
