package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// registry knows which executor offers what, and which serves which type and lane.
type registry struct {
	store     Store
	log       hclog.Logger
	executors []*executor // in the config's order
	byName    map[string]*executor

	mu     sync.Mutex // one rebuild at a time
	config atomic.Pointer[map[string]TypeConfig]
	types  atomic.Pointer[map[string]*taskType]
	served atomic.Int64  // the highest lane that is given to an executor
	sweep  chan struct{} // signaled when many lanes are empty
}

// taskType is a task type under the config in force.
type taskType struct {
	info     sdk.TypeInfo
	limits   task.Limits
	executor *executor // of tasks that pin none
	schema   *validator
	lanes    []task.LaneID // guarded by registry.mu; for counts
}

func (g *registry) init(o Options) {
	g.store, g.log, g.byName = o.Store, o.Log, map[string]*executor{}
	g.sweep = make(chan struct{}, 1)
	for _, x := range o.Executors {
		n := newExecutor(x)
		g.executors = append(g.executors, n)
		g.byName[x.Name] = n
	}
	g.types.Store(&map[string]*taskType{})
	g.config.Store(&o.Types)
}

// saved is what the store keeps of an executor: its last offer, so that a plugin that is
// down does not make its types unknown, and the operator's word.
type saved struct {
	sdk.Info
	Paused bool `json:"paused,omitempty"`
}

func (g *registry) load(ctx context.Context) error {
	all, err := g.store.Offers(ctx)
	if err != nil {
		return fmt.Errorf("read what executors offered: %w", err)
	}
	for name, data := range all {
		var s saved
		x := g.byName[name]
		if x == nil {
			continue
		}
		if err := json.Unmarshal(data, &s); err != nil {
			g.log.Warn("what an executor offered last cannot be read, and is asked for anew", "executor", name, "error", err)
			continue
		}
		x.offer.Store(newOffer(s.Info, false, nil))
		x.paused.Store(s.Paused)
	}
	g.rebuild()
	return nil
}

// save keeps what is worth keeping of an executor, if it differs from before.
func (g *registry) save(ctx context.Context, x *executor) error {
	x.saving.Lock()
	defer x.saving.Unlock()
	s := saved{Info: x.offer.Load().Info, Paused: x.paused.Load()}
	s.Nodes, s.Unavailable = nil, "" // these come and go
	data, err := json.Marshal(s)
	if err != nil || string(data) == x.saved {
		return err
	}
	if err := g.store.SaveOffer(ctx, x.Name, data); err != nil {
		return err
	}
	x.saved = string(data)
	return nil
}

// How often an executor is asked again that did not say what it offers, and how long it
// may take to answer.
const (
	describeAgain   = 2 * time.Second
	describeTimeout = 10 * time.Second
)

// refresh asks an executor what it offers, and puts in force what it has become.
func (g *registry) refresh(ctx context.Context, x *executor) {
	defer g.rebuild()
	if x.status().State != task.ExecutorReady {
		x.describeFailed.Store(nil)
		x.offer.Store(x.offer.Load().notLive())
		return
	}
	ctx, stop := context.WithTimeout(ctx, describeTimeout)
	defer stop()
	info, err := x.Impl.Describe(ctx)
	if err != nil {
		if x.describeFailed.Swap(&err) == nil {
			g.log.Error("executor does not describe itself; it is asked again", "executor", x.Name, "error", err)
		}
		return
	}
	x.describeFailed.Store(nil)
	before := x.offer.Load()
	after := newOffer(info, true, before)
	x.offer.Store(after)
	x.max.Store(int64(slots(x.Slots, info.Slots)))
	if r := after.refusal(); r != "" && r != before.refusal() {
		g.log.Error("an executor offers what this host refuses; the rest of its offer is in force", "executor", x.Name, "refused", r)
	}
	if err := g.save(ctx, x); err != nil {
		g.log.Error("cannot keep what the executor offers", "executor", x.Name, "error", err)
	}
}

// watchOffer keeps up with an executor whose state or offer changes.
func (g *registry) watchOffer(ctx context.Context, x *executor) {
	for {
		var again <-chan time.Time
		if x.describeFailed.Load() != nil {
			again = time.After(describeAgain)
		}
		select {
		case <-x.Changed: // nil, and never ready, if nothing changes
		case <-again:
		case <-ctx.Done():
			return
		}
		g.refresh(ctx, x)
	}
}

// SetTypes puts another config of task types in force: tasks that wait move to
// the executors that it names, without a row being touched, and new attempts
// and submits are under its limits.
func (e *Engine) SetTypes(types map[string]TypeConfig) {
	e.registry.config.Store(&types)
	e.registry.rebuild()
}

// rebuild works out anew which executor serves which type and lane.
func (g *registry) rebuild() {
	g.mu.Lock()
	defer g.mu.Unlock()
	types := map[string]*taskType{}
	for _, x := range g.executors {
		o := x.offer.Load()
		for name := range o.types {
			if t := types[name]; t == nil || x.servingRank(name) < t.executor.servingRank(name) {
				types[name] = g.newType(name, x, o)
			}
		}
	}
	for name, cfg := range *g.config.Load() { // the operator's line beats all of that
		x := g.byName[cfg.Executor]
		t := types[name]
		if x == nil || t == nil || t.executor == x {
			continue
		}
		if o := x.offer.Load(); o.has(name) {
			types[name] = g.newType(name, x, o)
			continue
		}
		moved := g.newType(name, x, t.executor.offer.Load())
		types[name] = moved
	}
	g.types.Store(&types)
	g.serveLanes(types)
	g.wakeAll()
}

func (g *registry) wakeAll() {
	for _, x := range g.executors {
		x.wake()
	}
}

// newType is the type that x serves, as o describes it.
func (g *registry) newType(name string, x *executor, o *offer) *taskType {
	t := o.types[name]
	return &taskType{info: t.info, schema: t.schema, executor: x, limits: g.limits(name, t.info, x)}
}

// limits lays the operator's word over the executor's over the host's.
func (g *registry) limits(name string, info sdk.TypeInfo, x *executor) task.Limits {
	l := task.DefaultLimits()
	set := func(to *time.Duration, from time.Duration) {
		if from > 0 {
			*to = from
		}
	}
	set(&l.Timeout, min(info.Defaults.Timeout, task.MaxTimeout))
	if n := info.Defaults.MaxAttempts; n > 0 {
		l.MaxAttempts = min(n, task.MaxTries)
	}
	if p := info.Defaults.MaxLost; p != nil {
		l.MaxLost = min(max(*p, 0), task.MaxTries)
	}
	c := (*g.config.Load())[name]
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
	offered := x.offer.Load().Info
	if offered.MaxInput > 0 {
		l.MaxInput = min(l.MaxInput, offered.MaxInput)
	}
	if offered.MaxResult > 0 {
		l.MaxResult = min(l.MaxResult, offered.MaxResult)
	}
	return l
}

// serveLanes gives each lane to the executor that serves it now; g.mu is held.
func (g *registry) serveLanes(types map[string]*taskType) {
	for _, t := range types {
		t.lanes = nil
	}
	lanes := g.store.Lanes(0)
	sets := map[*executor]*shareSet{}
	for _, x := range g.executors {
		sets[x] = x.newShareSet()
	}
	var last task.LaneID
	empty := 0
	for i := range lanes {
		lane := &lanes[i]
		last = max(last, lane.ID)
		if g.store.Count(lane.ID) == (task.LaneCount{}) {
			empty++
		}
		t := types[lane.Type]
		if t == nil {
			continue
		}
		t.lanes = append(t.lanes, lane.ID)
		x := t.executor
		if lane.Executor != "" {
			x = g.byName[lane.Executor]
		}
		if x != nil && x.runs(lane.Type, routeOf(lane)) {
			sets[x].add(lane)
		}
	}
	for x, set := range sets {
		x.setShares(set)
	}
	// Not before they are served: who finds its lane served wakes the executor and
	// counts on it to look there.
	g.served.Store(max(g.served.Load(), int64(last)))
	if empty >= sweepAt {
		select {
		case g.sweep <- struct{}{}:
		default:
		}
	}
}

// sweepAt is with how many empty lanes they are dropped without waiting for the next
// round: each costs those who look through all of them.
const sweepAt = 1000

// dropEmptyLanes forgets lanes that nothing waits or runs in, as a client leaves them that
// varies its routes.
func (g *registry) dropEmptyLanes(ctx context.Context) error {
	n, err := g.store.DropEmptyLanes(ctx)
	if n > 0 {
		g.rebuild()
	}
	return err
}

// routeOf is the lane's route; a lane's text was written by this program.
func routeOf(l *task.Lane) (route map[string]string) {
	if l.Route != "" {
		_ = json.Unmarshal([]byte(l.Route), &route)
	}
	return route
}

// serveNew has lanes served that the store has made since it was last asked.
func (g *registry) serveNew() {
	if len(g.store.Lanes(task.LaneID(g.served.Load()))) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serveLanes(*g.types.Load())
}
