package fleet

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// offerFor is where w may pull. f.mu is held.
func (f *fleet) offerFor(w *remoteWorker) wire.Offer {
	o := wire.Offer{Host: f.process, Heartbeat: time.Duration(f.queueConfig.Heartbeat), HostURL: f.restURL, Spawns: true}
	_, o.Drain = f.drained[w.peer.Name]
	if w.described && !o.Drain {
		for _, key := range slices.Sorted(maps.Keys(f.routes)) {
			for _, typ := range w.types {
				if l := (wire.Lane{Route: key, Type: typ}); f.starts.hasLane(l) && f.mayServe(w, l) {
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

// mayServe says whether w takes what is in a lane of one of its types: it has the labels, and
// is new enough. f.mu is held.
func (f *fleet) mayServe(w *remoteWorker, l wire.Lane) bool {
	return f.routes[l.Route].MetBy(w.info.Labels, w.versions[l.Type])
}

// hasLane says whether a lane's consumer is there. fleet.mu is held.
func (s *startQueue) hasLane(l wire.Lane) bool { _, ok := s.lanes[l]; return ok }

// sendOffer tells a worker where to pull. f.mu is held.
func (f *fleet) sendOffer(w *remoteWorker) {
	o := f.offerFor(w)
	data, err := json.Marshal(o)
	if err != nil {
		f.log.Error("offer", "worker", w.peer.Name, "error", err)
		return
	}
	f.send(w.peer, data)
}

// sendChangedOffers tells every worker that is concerned of a new lane. f.mu is held.
func (f *fleet) sendChangedOffers() {
	for _, w := range f.workers {
		if f.offerFor(w).ID != w.lastHeartbeat.Offer {
			f.sendOffer(w)
		}
	}
}
