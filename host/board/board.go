// Package board is the executor for outside workers that have nothing but HTTP: they claim
// tasks, hold each under a lease, and say how it ended. It is handed an attempt only when
// somebody has asked for one, so that what waits stays in the store, in its order, and takes
// no slot: the engine claims for each Ask, and the board joins the attempt to it.
//
// An attempt starts when it is given to whoever asked, goes on when the host ends, and is
// joined by the next host with a whole lease ahead of it.
package board

import (
	"container/list"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// PluginName is what an operator writes as plugin = "board".
const PluginName = "board"

// Options are what New needs; all may be zero.
type Options struct {
	// Grace is how long a worker that has heard that it is to stop may take for it; 10 s if 0.
	Grace time.Duration
	// Now is the system's clock, for what is shown; time.Now if nil. Leases go by the
	// monotonic clock.
	Now func() time.Time
}

// Board holds what workers outside have claimed, and who asks for more. There is one in a
// host, however many executors are boards. Make one with New; Close ends it. All methods
// may be called from many goroutines.
type Board struct {
	opts    Options
	closing chan struct{} // closed by Close
	ticking sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	clock    time.Duration          // the time that counts for leases: see countedTime
	ticked   time.Time              // when the clock was last set
	asks     *list.List             // of *Ask, the oldest first
	expected map[sdk.Token]expected // attempts that are on their way
	claims   map[sdk.Token]*claim   // that are held
	suspects map[string]int         // how many suspects each worker holds or is about to
}

// New makes a board without executors: its Plugin makes those.
func New(o Options) *Board {
	if o.Grace <= 0 {
		o.Grace = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	b := &Board{opts: o, closing: make(chan struct{}), ticked: time.Now(), asks: list.New(),
		expected: map[sdk.Token]expected{}, claims: map[sdk.Token]*claim{}, suspects: map[string]int{}}
	b.ticking.Go(b.tick)
	return b
}

// Close ends all that wait for tasks, and lets go of what is held: that is the next host's.
func (b *Board) Close() {
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	b.mu.Unlock()
	if first {
		close(b.closing)
	}
	b.ticking.Wait()
}

// tickEvery is how often leases are looked at, and so how late one may end.
const tickEvery = 250 * time.Millisecond

// tick lets the time pass that counts for leases, and ends those that are over.
func (b *Board) tick() {
	every := time.NewTicker(tickEvery)
	defer every.Stop()
	for {
		select {
		case <-every.C:
		case <-b.closing:
			return
		}
		b.mu.Lock()
		now := time.Now()
		b.clock += countedTime(now.Sub(b.ticked), tickEvery)
		b.ticked = now
		for _, c := range b.claims {
			if !c.ended && c.lease.Lapsed(b.clock) {
				c.end(c.lapse())
			}
		}
		b.mu.Unlock()
	}
}

// Held is one claim, for whoever looks at the board.
type Held struct {
	Task       task.ID
	Type       string
	Owner      string
	Attempt    int
	Executor   string
	Worker     string
	Since      time.Time
	LeaseUntil time.Time
	Stop       Stop
}

// List are the claims that are held of the scope's tasks, the latest first and of the same
// moment by id, that come after the one of that time and task; limit at the most.
func (b *Board) List(s task.Scope, after Cursor, limit int) (page []Held, next Cursor) {
	b.mu.Lock()
	var all []Held
	for _, c := range b.claims {
		if c.ended || !s.All && c.handle.Owner != s.Owner {
			continue
		}
		all = append(all, b.held(c))
	}
	b.mu.Unlock()
	slices.SortFunc(all, func(x, y Held) int { return cursorOf(x).compare(cursorOf(y)) })
	if after != (Cursor{}) {
		from := 0
		for from < len(all) && cursorOf(all[from]).compare(after) <= 0 {
			from++
		}
		all = all[from:]
	}
	if len(all) > limit {
		all = all[:limit]
		next = cursorOf(all[limit-1])
	}
	return all, next
}

// Cursor is where a list of claims goes on: behind the claim of that time and task. Zero is
// its beginning.
type Cursor struct {
	Since int64 // microseconds since 1970
	Task  task.ID
}

func cursorOf(h Held) Cursor { return Cursor{h.Since.UnixMicro(), h.Task} }

// compare is below 0 where c comes first in a list.
func (c Cursor) compare(o Cursor) int {
	switch {
	case c.Since != o.Since && c.Since > o.Since:
		return -1
	case c.Since != o.Since:
		return 1
	}
	return slices.Compare(c.Task[:], o.Task[:])
}

// held is a claim as it is shown; b.mu is held.
func (b *Board) held(c *claim) Held {
	return Held{Task: c.task, Type: c.taskType, Owner: c.handle.Owner, Attempt: c.attempt, Executor: c.executor, Worker: c.handle.Worker,
		Since: c.handle.Since, LeaseUntil: b.shown(c.lease), Stop: c.stop}
}

// shown is when a lease ends, on the system's clock; b.mu is held.
func (b *Board) shown(l Lease) time.Time {
	return b.opts.Now().Add(max(l.until-b.clock, 0)).UTC().Truncate(time.Microsecond)
}

// handle is what the host keeps of a claim with its attempt, by which the next host joins it.
type handle struct {
	Worker string        `json:"worker"`
	Owner  string        `json:"owner"`
	Since  time.Time     `json:"since"`
	Lease  time.Duration `json:"lease"`
}

func (h handle) encode() []byte {
	data, _ := json.Marshal(h) // of texts, a time and a number
	return data
}

// parseHandle reads what encode wrote, of this version or another.
func parseHandle(data []byte) (h handle, err error) {
	if err = json.Unmarshal(data, &h); err == nil {
		h.Lease = min(max(h.Lease, MinLease), MaxLease)
	}
	return h, err
}
