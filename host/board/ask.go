package board

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// The bounds of what a worker may ask for at once.
const (
	MaxClaims = 100
	MaxTypes  = 100
	MaxWorker = 255 // bytes, of a worker's name
)

// Request is what a worker asks for.
type Request struct {
	Scope   task.Scope // whose tasks it may have
	Worker  string
	Types   []string
	Labels  map[string]string // the worker's own: it gets tasks whose route asks for nothing else
	Version string            // of the worker, a semantic one: it gets no tasks of types that ask for a newer; "" is too old for any that ask
	Limit   int               // how many at the most; 1 if 0
	Wait    time.Duration     // how long it is held while there is nothing
	Lease   time.Duration     // how long it has each; DefaultLease if 0
}

// Check fills in what is left out, and says all that is wrong.
func (r *Request) Check() error {
	if r.Limit == 0 {
		r.Limit = 1
	}
	if r.Lease == 0 {
		r.Lease = DefaultLease
	}
	var bad task.Faults
	bad.Check(r.Worker != "", "worker", "is missing: say who claims, by a name that tells this worker from others")
	bad.Check(len(r.Worker) <= MaxWorker, "worker", "is longer than %d bytes", MaxWorker)
	bad.Check(!strings.ContainsFunc(r.Worker, func(c rune) bool { return c < ' ' || c == 0x7f }), "worker", "has a control character")
	bad.Check(len(r.Types) > 0, "types", "is missing: name the task types that this worker does")
	bad.Check(len(r.Types) <= MaxTypes, "types", "has more than %d entries", MaxTypes)
	bad.Check(r.Limit >= 1 && r.Limit <= MaxClaims, "limit", "is not between 1 and %d", MaxClaims)
	bad.Check(r.Wait >= 0, "wait", "is negative")
	bad.Check(r.Lease >= MinLease && r.Lease <= MaxLease, "lease", "is not between %s and %s", MinLease, MaxLease)
	bad.Labels("labels", r.Labels)
	bad.Check(r.Version == "" || task.ValidVersion(r.Version), "version", "is no semantic version such as 1.4.0")
	slices.Sort(r.Types)
	r.Types = slices.Compact(r.Types)
	return bad.Err()
}

// Takes says whether a task of that type, owner and route is one that the worker asks for,
// and the worker new enough.
func (r *Request) Takes(taskType, owner string, route task.Route, minVersion string) bool {
	if !r.Scope.All && owner != r.Scope.Owner || !sdk.NewEnough(r.Version, minVersion) {
		return false
	}
	for k, v := range route {
		if have, ok := r.Labels[k]; !ok || have != v {
			return false
		}
	}
	return slices.Contains(r.Types, taskType)
}

// Ask is a worker that waits for tasks. Whoever claims for it says Begin, claims, and says
// Give; one at a time.
type Ask struct {
	Request
	board *Board
	key   string

	// What follows is guarded by board.mu.
	busy    bool          // somebody claims for it
	missed  bool          // somebody else would have
	gone    bool          // nobody waits any more
	changed chan struct{} // signaled when any of it has changed
	coming  int           // attempts that are on their way
	claims  []Claim       // that have come
}

// expected is an attempt that was claimed for an ask and has not come yet.
type expected struct {
	ask     *Ask
	owner   string
	suspect bool
}

// Claim is a task that a worker has.
type Claim struct {
	Task       task.ID
	Token      sdk.Token
	LeaseUntil time.Time
}

// Key is the same for asks that take the same tasks.
func (a *Ask) Key() string { return a.key }

// Enter has a worker wait. The caller calls Leave in the end. store_unavailable if the
// host ends.
func (b *Board) Enter(r Request) (*Ask, error) {
	a := &Ask{Request: r, board: b, key: askKey(&r), changed: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ending()
	}
	b.asks.PushBack(a)
	return a, nil
}

func askKey(r *Request) string {
	key := strings.Join(r.Types, ",") + "\n" + task.Route(r.Labels).Canonical() + "\n" + r.Version
	if !r.Scope.All {
		key += "\n" + r.Scope.Owner
	}
	return key
}

// ending is why nothing is given or taken any more.
func ending() error {
	return &task.Error{Code: task.CodeStoreUnavailable, Message: "the host is shutting down; claims are kept: try again soon", RetryAfter: time.Second}
}

// Leave ends an ask that has not been answered: what comes to it from now on is given back,
// and so is what has come. After an answer it does nothing.
func (a *Ask) Leave() {
	b := a.board
	b.mu.Lock()
	defer b.mu.Unlock()
	a.gone = true
	for e := b.asks.Front(); e != nil; e = e.Next() {
		if e.Value == a {
			b.asks.Remove(e)
			break
		}
	}
	b.abandon(a.claims)
}

// Asks are the asks that may be claimed for, the oldest first.
func (b *Board) Asks() []*Ask {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []*Ask
	for e := b.asks.Front(); e != nil; e = e.Next() {
		if a := e.Value.(*Ask); a.open() {
			out = append(out, a)
		}
	}
	return out
}

// open says that the ask wants tasks, and has got none; board.mu is held.
func (a *Ask) open() bool { return !a.gone && a.coming == 0 && len(a.claims) == 0 && !a.board.closed }

// Begin says that the caller is about to claim for the ask, and for how many: 0 if it has
// what it wants, or somebody else is at it. After any other answer the caller calls Give.
func (a *Ask) Begin() int {
	b := a.board
	b.mu.Lock()
	defer b.mu.Unlock()
	if !a.open() {
		return 0
	}
	if a.busy {
		a.missed = true
		return 0
	}
	a.busy = true
	return a.Limit
}

// BeginSuspect is Begin for a suspect, of which a worker gets one at a time.
func (a *Ask) BeginSuspect() int {
	a.board.mu.Lock()
	has := a.board.suspects[a.Worker] > 0
	a.board.mu.Unlock()
	if has {
		return 0
	}
	return min(a.Begin(), 1)
}

// Give says which attempts were claimed, before any of them is executed. again says that
// somebody passed the ask by meanwhile, and it has nothing yet: it is to be looked at anew.
func (a *Ask) Give(attempts []*task.Task) (again bool) {
	b := a.board
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range attempts {
		b.expected[sdk.Token(t.Token)] = expected{a, t.Owner, t.Suspect}
		b.countSuspect(a.Worker, t.Suspect, 1)
	}
	a.coming += len(attempts)
	again = a.missed && a.open()
	a.busy = false
	a.missed = false
	a.signal()
	return again
}

func (a *Ask) signal() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// Wait gives what the worker has got, once all that was claimed for it has come: nothing if
// the wait is over before. Its error is that of ctx, which is the worker's, or that the host ends.
func (a *Ask) Wait(ctx context.Context) ([]Claim, error) {
	over := time.NewTimer(a.Request.Wait)
	defer over.Stop()
	late := false
	for {
		b := a.board
		b.mu.Lock()
		settled := a.coming == 0 && !a.busy
		closed := b.closed
		if settled && (len(a.claims) > 0 || late) && !closed {
			a.gone = true // nothing is claimed for it any more
			got := a.claims
			a.claims = nil // they are the worker's
			b.mu.Unlock()
			return got, nil
		}
		b.mu.Unlock()
		if closed {
			return nil, ending()
		}
		select {
		case <-a.changed:
		case <-over.C:
			late = true
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-b.closing:
		}
	}
}
