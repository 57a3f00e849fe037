package fleet

import (
	"fmt"
	"hash/fnv"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// remoteWorker is one process of a worker, as the host knows it.
type remoteWorker struct {
	peer          wire.Peer
	info          wire.WorkerInfo // but for its types
	types         []string        // that it offers and the host knows
	described     bool            // about was heard
	lastHeartbeat wire.Heartbeat
	heardAt       time.Duration // of the fleet's clock
	heardTime     time.Time
}

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
	changed := w.described && (w.lastHeartbeat.Draining != h.Draining || w.lastHeartbeat.Unreachable != h.Unreachable)
	types := h.Info != nil && f.rememberTypes(w, h.Info.Types)
	if h.Info != nil {
		h.Info.Types = nil
		changed = changed || types || !w.described || !reflect.DeepEqual(w.info, *h.Info)
		w.info, w.described = *h.Info, true
	}
	w.lastHeartbeat, w.heardAt, w.heardTime = h, f.clock.now(), time.Now()
	w.lastHeartbeat.Info = nil
	f.noteNamedTokens(w)
	w.lastHeartbeat.Running = nil // it can be long, and who runs what is known from the attempts
	if f.offerFor(w).ID != h.Offer {
		f.sendOffer(w)
	}
	f.mu.Unlock()
	// The answer, empty at the least, is how the worker knows that the host lives.
	if !w.described {
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

// offerFor is where w may pull. f.mu is held.
func (f *fleet) offerFor(w *remoteWorker) wire.Offer {
	o := wire.Offer{Host: f.process, Heartbeat: time.Duration(f.queueConfig.Heartbeat), HostURL: f.restURL}
	_, o.Drain = f.drained[w.peer.Name]
	if w.described && !o.Drain {
		for _, key := range slices.Sorted(maps.Keys(f.routes)) {
			if !wire.LabelsSatisfy(w.info.Labels, f.routes[key]) {
				continue
			}
			for _, typ := range w.types {
				if l := (wire.Lane{Route: key, Type: typ}); f.starts.hasLane(l) {
					o.Lanes = append(o.Lanes, wire.OfferLane{Name: l.Name(), Type: typ})
				}
			}
		}
	}
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, o) // a hash takes any write
	o.ID = strconv.FormatUint(h.Sum64(), 36)
	return o
}

// sendChangedOffers tells every worker that is concerned of a new lane. f.mu is held.
func (f *fleet) sendChangedOffers() {
	for _, w := range f.workers {
		if f.offerFor(w).ID != w.lastHeartbeat.Offer {
			f.sendOffer(w)
		}
	}
}

// forgetSilentWorkers drops workers that were silent for the lapse. f.mu is held.
func (f *fleet) forgetSilentWorkers() (changed bool) {
	for p, w := range f.workers {
		if f.clock.now()-w.heardAt > time.Duration(f.queueConfig.Lapse) {
			f.removeWorker(w)
			changed = true
			f.log.Warn("worker is gone", "worker", p.Name, "address", w.info.Address, "last_seen", w.heardTime)
		}
	}
	return changed
}
