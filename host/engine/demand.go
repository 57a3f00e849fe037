package engine

import (
	"sync"
	"time"

	"github.com/taskhost/taskhost/host/board"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
)

// demand is asks for the same tasks, which are claimed for together.
type demand struct {
	asks   []*board.Ask
	counts []int // for how many each
	lanes  []task.LaneID
	ready  int64 // about how many tasks there are
	total  int64 // how many are asked for
}

// claimFor claims for those who wait at the board, the first that came first, and says how
// many tasks. Nothing is claimed that nobody has asked for, so what waits keeps its order
// and takes no slot. A worker gets one suspect at a time, if there is nothing else for it.
func (e *Engine) claimFor(x *registry.Executor, asks []*board.Ask) (took int) {
	if len(asks) == 0 {
		return 0
	}
	set := x.Shares()
	plain := func() int { return e.claimShares(x, set.Plain, asks, (*board.Ask).Begin) }
	suspects := func() int {
		n := e.claimShares(x, set.Suspects, asks, (*board.Ask).BeginSuspect)
		e.suspects.claimed(x, n)
		return n
	}
	if !registry.AnyReady(set.Suspects, e.ready) {
		e.suspects.claimed(x, 1) // none waits
		return plain()
	}
	if e.suspects.patient(x) {
		return plain() + suspects()
	}
	return suspects() + plain()
}

// claimShares claims from these shares for those of the asks that begin lets.
func (e *Engine) claimShares(x *registry.Executor, shares []*registry.Share, asks []*board.Ask, begin func(*board.Ask) int) (took int) {
	for len(asks) > 0 {
		var demands []*demand
		demands, asks = e.demands(shares, asks, begin)
		took += e.claimDemands(x, demands)
	}
	return took
}

// demands puts asks together that take the same tasks, as many as there are tasks for. Asks
// that take some of the same and some others are left for the next time: no lane is in two.
func (e *Engine) demands(shares []*registry.Share, asks []*board.Ask, begin func(*board.Ask) int) (out []*demand, left []*board.Ask) {
	byKey := map[string]*demand{} // nil: left
	taken := map[*registry.Share]bool{}
	for _, a := range asks {
		d, seen := byKey[a.Key()]
		if !seen {
			d = e.demandOf(a, shares, taken)
			byKey[a.Key()] = d
		}
		switch {
		case d == nil:
			left = append(left, a)
			continue
		case d.total >= min(d.ready, claimAtOnce):
			continue
		}
		if n := begin(a); n > 0 {
			d.asks = append(d.asks, a)
			d.counts = append(d.counts, n)
			d.total += int64(n)
			if len(d.asks) == 1 {
				out = append(out, d)
			}
		}
	}
	return out, left
}

// demandOf is the demand of asks such as a, for nobody yet; nil if one before has some of its lanes.
func (e *Engine) demandOf(a *board.Ask, shares []*registry.Share, taken map[*registry.Share]bool) *demand {
	d := &demand{}
	var own []*registry.Share
	for _, s := range shares {
		if !a.Takes(s.Of()) {
			continue
		}
		n := e.ready(s.Lanes())
		switch {
		case n == 0:
			continue
		case taken[s]:
			return nil
		}
		own = append(own, s)
		d.ready += n
		d.lanes = append(d.lanes, s.Lanes()...)
	}
	for _, s := range own {
		taken[s] = true
	}
	return d
}

// claimDemands claims what is asked for, as far as there are slots, and gives it to those who asked.
func (e *Engine) claimDemands(x *registry.Executor, demands []*demand) int {
	var shares []task.Share
	total := int64(0)
	for _, d := range demands {
		shares = append(shares, task.Share{Lanes: d.lanes, Max: int(d.total)})
		total += d.total
	}
	if total == 0 {
		return 0
	}
	most := x.Reserve(min(total, claimAtOnce))
	e.launches.enter()
	defer e.launches.leave()
	claimed := e.claimTasks(x, shares, most)
	if giveClaimed(demands, claimed) {
		for _, other := range e.registry.OnDemand() {
			other.Wake()
		}
	}
	for i := range claimed {
		t := &claimed[i].Change.Task
		s := x.ShareOf(t)
		s.Hold()
		e.launch(x, s, t, false)
	}
	x.Unreserve(most - int64(len(claimed)))
	return len(claimed)
}

// giveClaimed says to those who asked what was claimed for them, in their order. again says
// that somebody else passed one by who has nothing yet.
func giveClaimed(demands []*demand, claimed []task.Claimed) (again bool) {
	of := make([][]*task.Task, len(demands))
	for i := range claimed {
		c := &claimed[i]
		of[c.Share] = append(of[c.Share], &c.Change.Task)
	}
	for i, d := range demands {
		for j, a := range d.asks {
			n := min(d.counts[j], len(of[i]))
			again = a.Give(of[i][:n]) || again
			of[i] = of[i][n:]
		}
	}
	return again
}

// suspectTurns are since when suspects wait behind other tasks at the executors that are on
// demand.
type suspectTurns struct {
	mu    sync.Mutex
	since map[*registry.Executor]time.Time
}

// patient says that the suspects of x, of which some wait, can wait longer.
func (s *suspectTurns) patient(x *registry.Executor) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since == nil {
		s.since = map[*registry.Executor]time.Time{}
	}
	if s.since[x].IsZero() {
		s.since[x] = time.Now()
	}
	return time.Since(s.since[x]) < suspectPatience
}

// claimed says how many suspects of x had their turn.
func (s *suspectTurns) claimed(x *registry.Executor, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 {
		delete(s.since, x)
	}
}
