package worker

import (
	"math"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

const (
	// maxPull is how many messages are asked for at a time.
	maxPull = 512
	// maxRuns bounds the attempts that a worker has, with those whose outcome the host
	// has not acknowledged: so many it can name on a broker of any kind.
	maxRuns = 30_000
	// maxPutBack bounds the starts that were given back for later and that it names beside them.
	maxPutBack = 5_000
)

// startsPerMessage is how many starts one message may have for this executor: a small part of its slots,
// for what does not fit when it comes is given back to the host.
func (l *localExecutor) startsPerMessage() int { return min(max(l.slots/8, 1), wire.MaxStarts) }

// noteMessage notes how many starts a message had.
func (p *puller) noteMessage(starts int) {
	if p.perMessage == 0 {
		p.perMessage = float64(starts)
	}
	p.perMessage += (float64(starts) - p.perMessage) / 4
}

// expected is how many starts the next messages are taken to have.
func (p *puller) expected() int {
	if p.perMessage == 0 {
		return p.executor.startsPerMessage()
	}
	return int(math.Ceil(p.perMessage))
}

// pullCount is how many messages to ask for. The free slots are shared among the lanes, at
// least one each: what comes beyond the slots is given back. Small change is left to
// gather, as long as something is asked for.
func (l *localExecutor) pullCount(p *puller) int {
	free := l.slots - l.used
	if free <= 0 || l.pullers[p.laneName] != p { // or its lane is not offered any more
		return 0
	}
	share := max(1, free/len(l.pullers)/p.expected())
	n := share - p.requested
	if n <= 0 || p.requested > 0 && n <= share/4 {
		return 0
	}
	return min(n, maxPull)
}

// freeSlot gives back the slot of a run, once. The worker's mu is held.
func (r *run) freeSlot(w *Worker) {
	if r.slotFreed {
		return
	}
	r.slotFreed = true
	r.executor.used--
	for _, p := range r.executor.pullers {
		if r.executor.pullCount(p) > 0 {
			wire.Wake(w.pullWanted)
			return
		}
	}
}
