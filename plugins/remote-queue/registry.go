package remotequeue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// worker is one process of a worker, as the host knows it.
type worker struct {
	peer  peer
	about about
	known bool // about was heard
	beat  heartbeat
	seen  time.Duration // of the fleet's clock
	at    time.Time
}

// Describe is what the workers offer together: types that no worker serves at
// present are among it, marked as unavailable.
func (f *fleet) Describe(context.Context) (sdk.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info := sdk.Info{Deferred: true, Outlives: true, Slots: f.cfg.Slots, Unavailable: f.unavailable()}
	if info.Slots == 0 {
		info.Slots = defaultSlots
	}
	served := make(map[string]bool)
	byReference := f.rest != ""
	for _, w := range f.workers {
		if !w.known {
			continue
		}
		if !w.beat.Draining {
			for _, t := range w.about.Types {
				served[t.Name] = true
			}
		}
		byReference = byReference && !w.beat.Unreachable
		info.Nodes = append(info.Nodes, f.node(w))
	}
	slices.SortFunc(info.Nodes, func(a, b sdk.Node) int { return strings.Compare(a.Name, b.Name) })
	for _, name := range slices.Sorted(maps.Keys(f.known)) {
		t := f.known[name]
		t.Unavailable = !served[name]
		info.Types = append(info.Types, t)
	}
	if !byReference {
		info.MaxInput, info.MaxResult = int64(f.maxStart()), int64(f.maxMessage())
	}
	return info, nil
}

// defaultSlots is how many attempts are out at once where the operator does not
// say: what waits in the broker is at hand when a worker is free.
const defaultSlots = 1000

func (f *fleet) node(w *worker) sdk.Node {
	n := sdk.Node{Name: w.peer.name, Address: w.about.Address, Version: w.about.Version, Slots: w.about.Slots,
		Used: w.beat.Used, Labels: w.about.Labels, Draining: w.beat.Draining, LastSeen: w.at}
	for _, t := range w.about.Types {
		n.Types = append(n.Types, t.Name)
	}
	w.beat.tokens(func(t token) {
		if a := f.attempts[t]; a != nil && a.peer == w.peer && a.phase == running {
			n.Running = append(n.Running, a.id)
		}
	})
	return n
}

// ControlNode does "drain" to the workers of that name: they take nothing more, and
// finish what they run. Info.Nodes shows how far they are.
func (f *fleet) ControlNode(_ context.Context, node, action string) error {
	if action != "drain" {
		return fmt.Errorf("%q is no action on a worker: drain is", action)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	found := false
	for p := range f.workers {
		if p.name == node {
			found = true
			f.tell(p, &item{kind: kindDrain})
		}
	}
	if !found {
		return fmt.Errorf("executor %q has no worker %q", f.cfg.Executor, node)
	}
	return nil
}

// heard takes a heartbeat.
func (f *fleet) heard(p peer, h heartbeat) {
	changed, types := false, false
	f.mu.Lock()
	w := f.workers[p]
	if h.Bye {
		delete(f.workers, p)
		f.mu.Unlock()
		f.log.Info("worker left", "worker", p.name)
		f.cfg.Changed()
		return
	}
	if w == nil {
		w = &worker{peer: p}
		f.workers[p] = w
		f.warnTwins(p)
	}
	changed = w.known && (w.beat.Draining != h.Draining || w.beat.Unreachable != h.Unreachable)
	if h.About != nil {
		w.about, w.known, changed = *h.About, true, true
		types = f.remember(w)
	}
	w.beat, w.seen, w.at = h, f.clock.now(), time.Now()
	w.beat.About = nil
	f.named(w)
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
		f.saveTypes()
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
	now := f.clock.now()
	w.beat.tokens(func(t token) {
		a := f.attempts[t]
		switch {
		case a != nil && a.phase == waiting:
			a.seen = now // accepted by somebody: it will ask
		case a != nil && a.peer == w.peer:
			a.seen = now
		case a == nil && !f.stranger(t):
		default: // somebody else's, or nobody's
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
	if w.known {
		for _, key := range slices.Sorted(maps.Keys(f.routes)) {
			if !satisfies(w.about.Labels, f.routes[key]) {
				continue
			}
			for _, t := range w.about.Types {
				if l := (lane{key, t.Name}); f.stream.has(l) {
					o.Lanes = append(o.Lanes, offerLane{l.consumer(), t.Name})
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
			delete(f.workers, p)
			changed = true
			f.log.Warn("worker is gone", "worker", p.name, "address", w.about.Address, "last_seen", w.at)
		}
	}
	return changed
}

// remember keeps the types of w. f.mu is held.
func (f *fleet) remember(w *worker) (changed bool) {
	for _, t := range w.about.Types {
		t.Unavailable = false
		old, ok := f.known[t.Name]
		if !ok || !sameType(old, t) {
			if ok {
				f.log.Info("a worker describes a type anew: its word holds from now on", "type", t.Name, "worker", w.peer.name)
			}
			f.known[t.Name], changed = t, true
		}
	}
	return changed
}

func sameType(a, b sdk.TypeInfo) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}

func (f *fleet) typesPath() string { return filepath.Join(f.cfg.DataDir, "types.json") }

func (f *fleet) loadTypes() error {
	data, err := os.ReadFile(f.typesPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("types of the workers: %w", err)
	}
	var list []sdk.TypeInfo
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("%s is damaged (%w): remove it, the workers will tell their types again", f.typesPath(), err)
	}
	for _, t := range list {
		f.known[t.Name] = t
	}
	return nil
}

func (f *fleet) saveTypes() {
	f.mu.Lock()
	list := make([]sdk.TypeInfo, 0, len(f.known))
	for _, name := range slices.Sorted(maps.Keys(f.known)) {
		list = append(list, f.known[name])
	}
	f.mu.Unlock()
	data, err := json.MarshalIndent(list, "", "  ")
	if err == nil {
		tmp := f.typesPath() + ".new"
		if err = os.WriteFile(tmp, data, 0o600); err == nil {
			err = os.Rename(tmp, f.typesPath())
		}
	}
	if err != nil {
		f.log.Error("the workers' types could not be kept: while no worker serves them, a restart forgets them", "error", err)
	}
}
