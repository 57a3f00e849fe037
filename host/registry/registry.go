// Package registry knows the executors: what each offers and whether it is ready, its slots
// and who may have how many of them, and which of them serves which task type and lane
// under the config in force. It starts nothing: the engine asks it who runs a task, takes
// slots from it, and wakes dispatchers through it.
package registry

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

// Store is what the registry needs of the store.
type Store interface {
	// Lanes, Count and DropEmptyLanes are those of task.Queue.
	Lanes(after task.LaneID) []task.Lane
	Count(ctx context.Context, lanes []task.LaneID) ([]task.LaneCount, error)
	DropEmptyLanes(ctx context.Context) (n int, err error)
	task.BacklogStore
	// SaveOffer and Offers are those of task.OfferStore.
	SaveOffer(ctx context.Context, o task.Offer) error
	Offers(ctx context.Context, host task.HostID, now time.Time) ([]task.Offer, error)
	// Host is that of task.HostStore.
	Host() task.Host
	task.TypeStore
	// SetStartLimits and StartBlock are those of task.LimitStore.
	SetStartLimits(ctx context.Context, byType map[string]task.StartLimits) error
	StartBlock(taskType, owner string, value func(label string) (string, bool)) task.StartBlock
	// SetQuotas is that of task.QuotaStore.
	SetQuotas(ctx context.Context, q task.Quotas) error
}

// Binding joins a configured executor to what runs its attempts.
type Binding struct {
	Name     string
	Plugin   string
	Slots    int          // the operator's limit; 0 leaves it to what the executor offers
	Executor sdk.Executor // a built-in, or the host's side of a process
	// Own is an executor of the host's own tasks. It is no operator's: no list of executors
	// or types has it, and it makes no host ready.
	Own bool
	// OnDemand executors get an attempt only when somebody has asked them for one: nothing is
	// claimed for them but what was asked for. Config may place any type on one, also one
	// that nobody offers.
	OnDemand bool
	// Unlisted leaves the executor out of lists for as long as it offers no type: nobody
	// has named it in a config.
	Unlisted bool
	// StopsWithin is how long an attempt may take to end that was told to, where that is
	// more than the engine's cancel grace.
	StopsWithin time.Duration
	// Source says how the executor is; nil if it is always ready and its offer never changes.
	Source Source
	// Process is the process that it runs in; nil for built-ins.
	Process Process
}

// Source tells of an executor's state.
type Source interface {
	// Status says how it is now.
	Status() task.ExecutorStatus
	// State is that of Status, and costs next to nothing: it is asked for with every task.
	State() task.ExecutorState
	// Changed is signaled when Status, or what the executor offers, may have changed.
	Changed() <-chan struct{}
}

// Process is what an operator can do to an executor's process.
type Process interface {
	// Drain lets what runs finish, for as long as ctx allows, and ends the process.
	Drain(ctx context.Context) error
	// Restart starts a successor; the old process finishes what it runs.
	Restart(ctx context.Context) error
}

// Options are what New needs. Store is required.
type Options struct {
	Store     Store
	Log       hclog.Logger
	Executors []Binding // in the order of the config file: the first that offers a type gets it
	Types     map[string]task.TypeConfig
}

// Registry is safe for many callers at once. Make one with New, then call Load and, for
// each executor, Refresh.
type Registry struct {
	store     Store
	log       hclog.Logger
	executors []*Executor // in the config's order
	byName    map[string]*Executor

	mu     sync.Mutex // one rebuild at a time
	config atomic.Pointer[map[string]task.TypeConfig]
	stored atomic.Pointer[map[string]*storedType] // what is on record of types
	limits atomic.Pointer[startLimits]            // in force in the store
	quotas atomic.Pointer[task.Quotas]            // likewise
	saving sync.Mutex                             // one change of what is on record of types at a time
	types  atomic.Pointer[map[string]*Type]
	input  atomic.Int64 // the largest input that a type takes
	served atomic.Int64 // the highest lane that is given to an executor
	// newLanes is how many were given to executors since all were; guarded by mu.
	newLanes int
	sweep    chan struct{} // signaled when many lanes are empty
}

// Type is a task type under the config in force.
type Type struct {
	Limits   task.Limits
	Executor *Executor // of tasks that pin none; nil if none serves it

	put    bool // by a client: it exists before anything offers it
	info   sdk.TypeInfo
	schema *validator
	marked *secrets   // that the executor's schema marks writeOnly, or the one that was put
	lanes  []typeLane // guarded by Registry.mu; for counts
}

// Check says what is wrong with an input: invalid_input, with the place of each fault. It
// ends with ctx, which is the client's, and with host.
func (t *Type) Check(ctx, host context.Context, input json.RawMessage) error {
	return t.schema.check(ctx, host, t.info.Name, input, t.marked)
}

// Secrets are the values of an input which passed Check that its type's schema marks writeOnly, in
// the order in which they stand there.
func (t *Type) Secrets(input json.RawMessage) ([]task.JSONPart, error) {
	parts, err := t.marked.in(input)
	if err != nil {
		return nil, notInput(fmt.Sprintf("the input takes more work to look for values that task type %q keeps secret than one of %d bytes may: split it", t.info.Name, len(input)), err.Error())
	}
	for _, p := range parts {
		if string(input[p.From:p.To]) == task.Mask {
			at := task.FieldError{Path: append([]string{"input"}, p.Path...), Message: "is " + task.Mask + ", which stands for a value that is not shown: give the value"}
			return nil, &task.Error{Code: task.CodeInvalidInput, Message: at.Place() + " " + at.Message, Fields: []task.FieldError{at}}
		}
	}
	return parts, nil
}

// New makes a registry that knows the executors' names and nothing else.
func New(o Options) *Registry {
	g := &Registry{store: o.Store, log: o.Log, byName: map[string]*Executor{}, sweep: make(chan struct{}, 1)}
	if g.log == nil {
		g.log = hclog.NewNullLogger()
	}
	for _, b := range o.Executors {
		x := newExecutor(b)
		g.executors = append(g.executors, x)
		g.byName[b.Name] = x
	}
	g.types.Store(&map[string]*Type{})
	g.config.Store(&o.Types)
	g.stored.Store(&map[string]*storedType{})
	g.limits.Store(&startLimits{})
	g.quotas.Store(&task.Quotas{})
	return g
}

// Executors are all executors, in the config's order. The slice is not to be changed.
func (g *Registry) Executors() []*Executor { return g.executors }

// Executor is the one of that name; nil if the config has none.
func (g *Registry) Executor(name string) *Executor { return g.byName[name] }

// saved is what the store keeps of an executor: its last offer, so that a plugin that is
// down does not make its types unknown, and the operator's word.
type saved struct {
	sdk.Info
	Paused bool `json:"paused,omitempty"`
}

// Load reads what executors offered before, and which the operator has paused, and puts it
// in force.
func (g *Registry) Load(ctx context.Context) error {
	all, err := g.store.Offers(ctx, g.store.Host().ID, time.Now())
	if err != nil {
		return fmt.Errorf("read what executors offered: %w", err)
	}
	for _, o := range all {
		var s saved
		x := g.byName[o.Executor]
		if x == nil {
			continue
		}
		if err := json.Unmarshal(o.Document, &s); err != nil {
			g.log.Warn("what an executor offered last cannot be read, and is asked for anew", "executor", x.Name, "error", err)
			continue
		}
		x.offer.Store(newOffer(s.Info, false, nil))
		x.paused.Store(s.Paused)
	}
	if err := g.loadTypes(ctx); err != nil {
		return err
	}
	return g.rebuild()
}

// save keeps what is worth keeping of an executor, if it differs from before.
func (g *Registry) save(ctx context.Context, x *Executor) error {
	x.saving.Lock()
	defer x.saving.Unlock()
	s := saved{Info: x.offer.Load().Info, Paused: x.paused.Load()}
	s.Nodes, s.Unavailable = nil, "" // these come and go
	data, err := json.Marshal(s)
	if err != nil || string(data) == x.saved {
		return err
	}
	if err := g.store.SaveOffer(ctx, task.Offer{Host: g.store.Host().ID, Executor: x.Name, Document: data}); err != nil {
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

// Refresh asks an executor what it offers, and puts in force what it has become.
func (g *Registry) Refresh(ctx context.Context, x *Executor) {
	defer func() { _ = g.rebuild() }() // what goes wrong is told the log, and tried again
	if x.state() != task.ExecutorReady {
		x.describeFailed.Store(nil)
		x.offer.Store(x.offer.Load().notLive())
		return
	}
	describing, stop := context.WithTimeout(ctx, describeTimeout)
	defer stop()
	info, err := x.Executor.Describe(describing)
	if ctx.Err() != nil { // the host ends: what was not said or kept is no failure
		return
	}
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
	if err := g.save(describing, x); err != nil && ctx.Err() == nil {
		g.log.Error("cannot keep what the executor offers", "executor", x.Name, "error", err)
	}
}

// WatchOffer keeps up with an executor whose state or offer changes, until ctx ends.
func (g *Registry) WatchOffer(ctx context.Context, x *Executor) {
	var changed <-chan struct{} // nil, and never ready, if nothing changes
	if x.Source != nil {
		changed = x.Source.Changed()
	}
	for {
		var again <-chan time.Time
		if x.describeFailed.Load() != nil {
			again = time.After(describeAgain)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			return
		}
		g.Refresh(ctx, x)
	}
}

// MaxInput is the largest input that a type in force takes, in bytes.
func (g *Registry) MaxInput() int64 { return g.input.Load() }

// SetTypes puts another config of task types in force: tasks that wait move to
// the executors that it names, without a row being touched, and new attempts
// and submits are under its limits.
func (g *Registry) SetTypes(types map[string]task.TypeConfig) {
	g.config.Store(&types)
	_ = g.rebuild() // what goes wrong is told the log, and tried again
}

// rebuild works out anew which types there are, under which limits, and which executor
// serves which type and lane. The error is the store's, which keeps the limits on when
// attempts begin as they were.
func (g *Registry) rebuild() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	types := g.typesInForce()
	err := g.setStartLimits(types)
	g.types.Store(&types)
	input := task.DefaultLimits().MaxInput
	for _, t := range types {
		input = max(input, t.Limits.MaxInput)
	}
	g.input.Store(input)
	g.serveLanes(types)
	g.WakeAll()
	return err
}

// typesInForce lays what executors offer, what clients have put and what the config says
// over one another.
func (g *Registry) typesInForce() map[string]*Type {
	types := map[string]*Type{}
	g.placeOnDemand()
	for _, x := range g.executors {
		o := x.offer.Load()
		for name := range o.types {
			least := g.minVersionSaid(name)
			if t := types[name]; t == nil || x.servingRank(name, least) < t.Executor.servingRank(name, least) {
				types[name] = g.newType(name, x, o)
			}
		}
	}
	stored := *g.stored.Load()
	for name, s := range stored {
		if s.put && types[name] == nil {
			types[name] = g.newType(name, nil, nil)
		}
	}
	for name, t := range types { // whoever is named beats all of that
		x := g.byName[g.placed(name)]
		if x == nil || t.Executor == x {
			continue
		}
		o := x.offer.Load()
		if !o.has(name) && t.Executor != nil {
			o = t.Executor.offer.Load()
		}
		types[name] = g.newType(name, x, o)
	}
	return types
}

// placed is the executor that serves a type by the operator's word, or else by a client's;
// "" if nobody says.
func (g *Registry) placed(taskType string) string {
	if x := (*g.config.Load())[taskType].Executor; x != "" {
		return x
	}
	if s := (*g.stored.Load())[taskType]; s != nil {
		return s.spec.Executor
	}
	return ""
}

// minVersionSaid is the oldest version that may run a type by the operator's word, or else by
// a client's.
func (g *Registry) minVersionSaid(taskType string) string {
	if v := (*g.config.Load())[taskType].MinVersion; v != "" {
		return v
	}
	if s := (*g.stored.Load())[taskType]; s != nil {
		return s.spec.MinVersion
	}
	return ""
}

// WakeAll has every executor's dispatcher look for work.
func (g *Registry) WakeAll() {
	for _, x := range g.executors {
		x.Wake()
	}
}

// newType is the type that x serves, if not nil, as o describes it, if it does.
func (g *Registry) newType(name string, x *Executor, o *offer) *Type {
	t := &Type{Executor: x, info: sdk.TypeInfo{Name: name}}
	if o != nil && o.has(name) {
		t.info = o.types[name].info
		t.schema = o.types[name].schema
		t.marked = t.schema.secrets()
	}
	offered, said, config := g.layers(t)
	t.Limits = task.LayLimits(offered, said, config)
	if x != nil {
		all := &x.offer.Load().Info
		t.Limits = t.Limits.Within(all.MaxInput, all.MaxResult)
		if all.StartUnknown {
			t.Limits.MinLost = 1
		}
	}
	if s := (*g.stored.Load())[name]; s != nil {
		s.describe(t)
	}
	return t
}

// layers are what the executor, a client and the config say of a type, each laid over the
// one before.
func (g *Registry) layers(t *Type) (offered, put, config task.TypeConfig) {
	if s := (*g.stored.Load())[t.info.Name]; s != nil {
		put = s.spec.TypeConfig
	}
	return offeredConfig(&t.info.Defaults), put, (*g.config.Load())[t.info.Name]
}

// offeredConfig is what an executor says of a type's limits.
func offeredConfig(d *sdk.Defaults) task.TypeConfig {
	c := task.TypeConfig{Timeout: d.Timeout, Deadline: d.Deadline, MaxAttempts: d.MaxAttempts, MaxLost: d.MaxLost, Retain: d.Retain,
		Backoff: task.Backoff{Initial: d.Backoff, Max: d.BackoffMax}, QueueLimit: d.QueueLimit, Priority: d.Priority,
		MaxInput: d.MaxInput, MaxResult: d.MaxResult, Route: d.Route, MinVersion: d.MinVersion}
	for _, n := range d.Concurrency {
		c.Concurrency = append(c.Concurrency, task.Concurrency(n))
	}
	if d.Rate != (sdk.Rate{}) {
		rate := task.Rate(d.Rate)
		c.Rate = &rate
	}
	return c
}

// serveLanes gives each lane to the executor that serves it now; g.mu is held.
func (g *Registry) serveLanes(types map[string]*Type) {
	for _, t := range types {
		t.lanes = nil
	}
	lanes := g.store.Lanes(0)
	sets := map[*Executor]*ShareSet{}
	for _, x := range g.executors {
		sets[x] = x.newShareSet()
	}
	empty := 0
	for _, n := range g.count(lanes) {
		if n == (task.LaneCount{}) {
			empty++
		}
	}
	for i := range lanes {
		if x, route := g.placeLane(types, &lanes[i]); x != nil {
			sets[x].add(&lanes[i], route, types[lanes[i].Type].Limits.MinVersion)
		}
	}
	for x, set := range sets {
		x.setShares(set)
	}
	g.lanesServed(lanes)
	g.newLanes = 0
	if empty >= sweepAt {
		select {
		case g.sweep <- struct{}{}:
		default:
		}
	}
}

// ManyEmpty is signaled when so many lanes are empty that DropEmptyLanes should not wait.
func (g *Registry) ManyEmpty() <-chan struct{} { return g.sweep }

// sweepAt is with how many empty lanes they are dropped without waiting for the next
// round: each costs those who look through all of them.
const sweepAt = 1000

// DropEmptyLanes forgets lanes that nothing waits or runs in, as a client leaves them that
// varies its routes.
func (g *Registry) DropEmptyLanes(ctx context.Context) error {
	n, err := g.store.DropEmptyLanes(ctx)
	if n > 0 {
		_ = g.rebuild() // what goes wrong is told the log, and tried again
	}
	return err
}

// placeLane adds a lane to those of its type. It gives the executor that serves it now, nil
// if none does, and its route as it is read; g.mu is held.
func (g *Registry) placeLane(types map[string]*Type, l *task.Lane) (*Executor, task.Route) {
	t := types[l.Type]
	if t == nil {
		return nil, nil
	}
	route, _ := task.ParseRoute(l.Route) // this program wrote it
	t.lanes = append(t.lanes, typeLane{*l, route})
	x := t.Executor
	if l.Executor != "" {
		x = g.byName[l.Executor]
	}
	if x == nil || !x.Runs(l.Type, route, t.Limits.MinVersion) {
		return nil, nil
	}
	return x, route
}

// lanesServed notes that lanes are given to their executors, which they must be: who finds
// its lane served wakes the executor and counts on it to look there.
func (g *Registry) lanesServed(lanes []task.Lane) {
	if len(lanes) > 0 {
		g.served.Store(max(g.served.Load(), int64(lanes[len(lanes)-1].ID)))
	}
}

// ServeNew has lanes served that the store has made since it was last asked, and says
// whether there were any.
func (g *Registry) ServeNew() bool {
	if len(g.store.Lanes(task.LaneID(g.served.Load()))) == 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	types := *g.types.Load()
	lanes := g.store.Lanes(task.LaneID(g.served.Load()))
	if g.newLanes += len(lanes); g.newLanes >= sweepAt { // all are looked at now and then
		g.serveLanes(types)
		return true
	}
	for i := range lanes {
		if x, _ := g.placeLane(types, &lanes[i]); x != nil && !x.Shares().addTo(&lanes[i]) {
			g.serveLanes(types) // it has a share of its own
			return true
		}
	}
	g.lanesServed(lanes)
	return true
}
