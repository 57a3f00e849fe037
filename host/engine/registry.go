package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// defaultSlots hold where neither operator nor executor says how many.
const defaultSlots = 64

// reg knows which executor offers what, and which serves which lane.
type reg struct {
	e       *Engine
	runners []*runner // in the config's order
	byName  map[string]*runner

	mu    sync.Mutex // serializes rebuilds
	cfg   atomic.Pointer[map[string]TypeConfig]
	types atomic.Pointer[map[string]*typ]
	known atomic.Int32 // the highest lane that is served
}

// typ is a task type under the config in force.
type typ struct {
	info   sdk.TypeInfo
	limits task.Limits
	server *runner // of tasks that pin none
	schema *validator
	lanes  []task.LaneID // guarded by reg.mu; for counts
}

// runner is one executor with its slots and the lanes it serves.
type runner struct {
	Executor
	offer    atomic.Pointer[offer]
	lanes    atomic.Pointer[laneSet]
	used     atomic.Int64
	max      atomic.Int64
	suspects atomic.Int64 // running now
	paused   atomic.Bool
	unsaid   atomic.Bool // it is ready, and did not say what it offers
	wake     chan struct{}
}

type laneSet struct{ plain, suspect, all []task.LaneID }

// offer is what an executor last said of itself.
type offer struct {
	Info  sdk.Info
	Live  bool `json:"-"` // said by this process's executor, not remembered
	types map[string]sdk.TypeInfo
}

func newOffer(info sdk.Info, live bool) *offer {
	o := &offer{Info: info, Live: live, types: map[string]sdk.TypeInfo{}}
	for _, t := range info.Types {
		o.types[t.Name] = t
	}
	return o
}

func (g *reg) init(e *Engine, o Options) {
	g.e, g.byName = e, map[string]*runner{}
	for _, x := range o.Executors {
		r := &runner{Executor: x, wake: make(chan struct{}, 1)}
		r.offer.Store(newOffer(sdk.Info{}, false))
		r.lanes.Store(&laneSet{})
		g.runners = append(g.runners, r)
		g.byName[x.Name] = r
	}
	g.types.Store(&map[string]*typ{})
	g.cfg.Store(&o.Types)
}

func (r *runner) outlives() bool { return r.offer.Load().Info.Outlives }

func (r *runner) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// ready says whether attempts can be handed over now.
func (r *runner) ready() bool {
	return r.offer.Load().Live && !r.paused.Load() && r.status().State == task.ExecutorReady
}

func (r *runner) status() task.ExecutorStatus {
	if r.Status == nil {
		return task.ExecutorStatus{State: task.ExecutorReady}
	}
	return r.Status()
}

// reserve takes up to n free slots and says how many it got.
func (r *runner) reserve(n int64) int64 {
	for {
		used := r.used.Load()
		got := min(n, r.max.Load()-used)
		if got <= 0 {
			return 0
		}
		if r.used.CompareAndSwap(used, used+got) {
			return got
		}
	}
}

func (r *runner) release(n int64) {
	if n > 0 {
		r.used.Add(-n)
		r.poke()
	}
}

// recall loads what executors offered before, so that a plugin that is down
// does not make its types unknown.
func (g *reg) recall(ctx context.Context) error {
	saved, err := g.e.store.Offers(ctx)
	if err != nil {
		return fmt.Errorf("read what executors offered: %w", err)
	}
	for name, data := range saved {
		var info sdk.Info
		if r := g.byName[name]; r != nil && json.Unmarshal(data, &info) == nil {
			r.offer.Store(newOffer(info, false))
		}
	}
	g.rebuild()
	return nil
}

// askAgain is how soon an executor is asked again that did not say what it offers.
const askAgain = 2 * time.Second

// refresh asks an executor what it offers, and puts in force what it has become.
func (g *reg) refresh(ctx context.Context, r *runner) {
	defer g.rebuild()
	r.unsaid.Store(false)
	if r.status().State != task.ExecutorReady {
		r.offer.Store(newOffer(r.offer.Load().Info, false))
		return
	}
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	info, err := r.Impl.Describe(ctx)
	if err == nil {
		err = checkInfo(info)
	}
	if err != nil {
		g.e.log.Error("executor does not describe itself; it is asked again", "executor", r.Name, "error", err)
		r.unsaid.Store(true)
		return
	}
	before, _ := json.Marshal(persistent(r.offer.Load().Info))
	after, err := json.Marshal(persistent(info))
	if err == nil && string(before) != string(after) {
		if err := g.e.store.SaveOffer(ctx, r.Name, after); err != nil {
			g.e.log.Error("cannot keep what the executor offers", "executor", r.Name, "error", err)
		}
	}
	r.offer.Store(newOffer(info, true))
	r.max.Store(int64(slots(r.Slots, info.Slots)))
}

// persistent is the part of an offer worth keeping: nodes come and go.
func persistent(info sdk.Info) sdk.Info {
	info.Nodes = nil
	return info
}

func slots(operator, offered int) int {
	switch {
	case operator > 0 && offered > 0:
		return min(operator, offered)
	case operator > 0:
		return operator
	case offered > 0:
		return offered
	}
	return defaultSlots
}

func checkInfo(info sdk.Info) error {
	seen := map[string]bool{}
	for _, t := range info.Types {
		if !sdk.ValidTypeName(t.Name) || seen[t.Name] {
			return fmt.Errorf("offers task type %q twice, or with a name that is not allowed", t.Name)
		}
		seen[t.Name] = true
		if _, err := newValidator(t.Name, t.Input); err != nil {
			return err
		}
	}
	return nil
}

// SetTypes puts another config of task types in force: tasks that wait move to
// the executors that it names, without a row being touched, and new attempts
// and submits are under its limits.
func (e *Engine) SetTypes(types map[string]TypeConfig) {
	e.reg.cfg.Store(&types)
	e.reg.rebuild()
}

// rebuild works out anew which executor serves which type and lane.
func (g *reg) rebuild() {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := *g.types.Load()
	types := map[string]*typ{}
	for _, r := range g.runners {
		for name, info := range r.offer.Load().types {
			if types[name] == nil {
				types[name] = g.newType(name, info, r, old[name])
			}
		}
	}
	for name, cfg := range *g.cfg.Load() { // the operator's line beats the order of the file
		r := g.byName[cfg.Executor]
		if r == nil || types[name] == nil || types[name].server == r {
			continue
		}
		info := types[name].info
		if own, ok := r.offer.Load().types[name]; ok {
			info = own
		}
		types[name] = g.newType(name, info, r, old[name])
	}
	g.types.Store(&types)
	g.serveLanes(types)
	for _, r := range g.runners {
		r.poke()
	}
}

func (g *reg) newType(name string, info sdk.TypeInfo, r *runner, old *typ) *typ {
	t := &typ{info: info, server: r, limits: g.limits(name, info, r)}
	if old != nil && string(old.info.Input) == string(info.Input) {
		t.schema = old.schema
		return t
	}
	t.schema, _ = newValidator(name, info.Input) // checked when it was offered
	return t
}

// limits lays the operator's word over the executor's over the host's.
func (g *reg) limits(name string, info sdk.TypeInfo, r *runner) task.Limits {
	l := task.DefaultLimits()
	set := func(to *time.Duration, from time.Duration) {
		if from > 0 {
			*to = from
		}
	}
	set(&l.Timeout, info.Defaults.Timeout)
	if n := info.Defaults.MaxAttempts; n > 0 {
		l.MaxAttempts = n
	}
	if p := info.Defaults.MaxLost; p != nil {
		l.MaxLost = *p
	}
	c := (*g.cfg.Load())[name]
	set(&l.Timeout, c.Timeout)
	if c.MaxAttempts > 0 {
		l.MaxAttempts = c.MaxAttempts
	}
	if c.MaxLost != nil {
		l.MaxLost = *c.MaxLost
	}
	if c.Retain != nil {
		l.Retain = *c.Retain
	}
	if c.MaxInput > 0 {
		l.MaxInput = c.MaxInput
	}
	if c.Backoff != nil {
		l.Backoff = *c.Backoff
	}
	l.QueueLimit, l.Priority, l.Route = c.QueueLimit, c.Priority, c.Route
	offered := r.offer.Load().Info
	if offered.MaxInput > 0 {
		l.MaxInput = min(l.MaxInput, offered.MaxInput)
	}
	if offered.MaxResult > 0 {
		l.MaxResult = min(l.MaxResult, offered.MaxResult)
	}
	return l
}

// serveLanes gives each lane to the executor that serves it now.
func (g *reg) serveLanes(types map[string]*typ) {
	sets := map[*runner]*laneSet{}
	for _, t := range types {
		t.lanes = nil
	}
	lanes := g.e.store.Lanes(0)
	for _, lane := range lanes {
		t := types[lane.Type]
		if t == nil {
			continue
		}
		t.lanes = append(t.lanes, lane.ID)
		r := t.server
		if lane.Executor != "" {
			r = g.byName[lane.Executor]
		}
		if r == nil || !r.runs(lane.Type, routeOf(lane)) {
			continue
		}
		s := sets[r]
		if s == nil {
			s = &laneSet{}
			sets[r] = s
		}
		s.all = append(s.all, lane.ID)
		if lane.Suspect {
			s.suspect = append(s.suspect, lane.ID)
		} else {
			s.plain = append(s.plain, lane.ID)
		}
	}
	for _, r := range g.runners {
		if s := sets[r]; s != nil {
			r.lanes.Store(s)
		} else {
			r.lanes.Store(&laneSet{})
		}
	}
	// Not before they are served: who finds its lane known wakes the executor and
	// counts on it to look there.
	g.known.Store(max(g.known.Load(), int32(len(lanes))))
}

// runs says whether the executor can run the type now, with workers of these
// labels: only executors that hand attempts on to nodes look at a route.
func (r *runner) runs(typ string, route map[string]string) bool {
	o := r.offer.Load()
	t, ok := o.types[typ]
	if !ok || !o.Live || t.Unavailable {
		return false
	}
	return len(route) == 0 || !o.Info.Deferred || slices.ContainsFunc(o.Info.Nodes, func(n sdk.Node) bool {
		return n.Takes(typ) && len(n.Lacks(route)) == 0
	})
}

// routeOf is the lane's route; a lane's text was written by this program.
func routeOf(l task.Lane) (route map[string]string) {
	if l.Route != "" {
		_ = json.Unmarshal([]byte(l.Route), &route)
	}
	return route
}

// serveNew has lanes served that the store has made since it was last asked.
func (g *reg) serveNew() {
	if len(g.e.store.Lanes(task.LaneID(g.known.Load()))) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serveLanes(*g.types.Load())
}

// follow keeps up with an executor whose state or offer changes.
func (e *Engine) follow(r *runner) {
	for {
		var again <-chan time.Time
		if r.unsaid.Load() {
			again = time.After(askAgain)
		}
		select {
		case <-r.Changed: // nil, and never ready, if nothing changes
		case <-again:
		case <-e.ctx.Done():
			return
		}
		e.reg.refresh(e.ctx, r)
	}
}
