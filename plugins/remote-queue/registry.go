package remotequeue

import (
	"fmt"
	"hash/fnv"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// worker is one process of a worker, as the host knows it.
type worker struct {
	peer  peer
	about about    // but for its types
	types []string // that it offers and the host knows
	known bool     // about was heard
	beat  heartbeat
	seen  time.Duration // of the fleet's clock
	at    time.Time
}

// heard takes a heartbeat. The host is asked to look again only when the offer
// changed, not for what a worker happens to run.
func (f *fleet) heard(p peer, h heartbeat) {
	f.mu.Lock()
	w := f.workers[p]
	if h.Bye {
		if w != nil {
			f.leave(w)
		}
		f.mu.Unlock()
		f.log.Info("worker left", "worker", p.name)
		f.cfg.Changed()
		return
	}
	if w == nil {
		if err := f.admitWorker(p); err != nil {
			f.dismiss(p, err.Error())
			f.mu.Unlock()
			return
		}
		w = &worker{peer: p}
		f.workers[p] = w
		delete(f.gone, p.name)
		f.warnTwins(p)
	}
	changed := w.known && (w.beat.Draining != h.Draining || w.beat.Unreachable != h.Unreachable)
	types := h.About != nil && f.remember(w, h.About.Types)
	if h.About != nil {
		h.About.Types = nil
		changed = changed || types || !w.known || !reflect.DeepEqual(w.about, *h.About)
		w.about, w.known = *h.About, true
	}
	w.beat, w.seen, w.at = h, f.clock.now(), time.Now()
	w.beat.About = nil
	f.named(w)
	w.beat.Running = nil // it can be long, and who runs what is known from the attempts
	if f.offerFor(w).ID != h.Offer {
		f.sendOffer(w)
	}
	f.mu.Unlock()
	// The answer, empty at the least, is how the worker knows that the host lives.
	if !w.known {
		f.tell(p, &item{kind: kindDescribe})
	} else {
		f.send(f.names.down(p), []byte{formatVersion})
	}
	if types {
		f.stream.wake()
	}
	if changed {
		f.cfg.Changed()
	}
}

// warnTwins: two workers of one name are kept apart by their instances, but an
// operator will not have meant it. f.mu is held.
func (f *fleet) warnTwins(p peer) {
	for q, other := range f.workers {
		if q != p && q.name == p.name && f.clock.now()-other.seen < 2*time.Duration(f.conf.Heartbeat) {
			f.log.Warn("a worker of this name was here a moment ago: restarted, or two of one name?", "worker", p.name)
		}
	}
}

// named notes which attempts a heartbeat answers for. f.mu is held.
func (f *fleet) named(w *worker) {
	now, refused := f.clock.now(), 0
	w.beat.tokens(func(t token) {
		a := f.attempts[t]
		switch {
		case a != nil && a.phase == waiting:
			a.seen = now // accepted by somebody: it will ask
		case a != nil && a.peer == w.peer:
			a.seen = now
		case a == nil && !f.stranger(t):
		case refused >= maxRefused: // with the next heartbeat
		default: // somebody else's, or nobody's
			refused++
			f.count.refused.Add(1)
			f.tell(w.peer, &item{kind: kindRefuse, token: t, text: "the attempt is not this worker's"})
		}
	})
}

// stranger says whether a token that is not among the attempts is surely not
// wanted. Early in the life of a host it may be one that is yet to be rejoined.
// f.mu is held.
func (f *fleet) stranger(t token) bool {
	_, ended := f.ended[t]
	return ended || f.clock.now() > time.Duration(f.conf.Rejoin)
}

// offerFor is where w may pull. f.mu is held.
func (f *fleet) offerFor(w *worker) offer {
	o := offer{Host: f.self, Heartbeat: time.Duration(f.conf.Heartbeat), HostURL: f.rest}
	_, o.Drain = f.drained[w.peer.name]
	if w.known && !o.Drain {
		for _, key := range slices.Sorted(maps.Keys(f.routes)) {
			if !satisfies(w.about.Labels, f.routes[key]) {
				continue
			}
			for _, typ := range w.types {
				if l := (lane{key, typ}); f.stream.has(l) {
					o.Lanes = append(o.Lanes, offerLane{l.consumer(), typ})
				}
			}
		}
	}
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, o) // a hash takes any write
	o.ID = strconv.FormatUint(h.Sum64(), 36)
	return o
}

// offerAll tells every worker that is concerned of a new lane. f.mu is held.
func (f *fleet) offerAll() {
	for _, w := range f.workers {
		if f.offerFor(w).ID != w.beat.Offer {
			f.sendOffer(w)
		}
	}
}

// forget drops workers that were silent for the lapse. f.mu is held.
func (f *fleet) forget() (changed bool) {
	for p, w := range f.workers {
		if f.clock.now()-w.seen > time.Duration(f.conf.Lapse) {
			f.leave(w)
			changed = true
			f.log.Warn("worker is gone", "worker", p.name, "address", w.about.Address, "last_seen", w.at)
		}
	}
	return changed
}
