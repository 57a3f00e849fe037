package fleet

import (
	"bytes"
	"errors"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// receiveFromWorkers takes what workers say, one message after the other. It must not block:
// whatever waits for the store is done in a goroutine of its attempt.
func (f *fleet) receiveFromWorkers(p wire.Peer, channel string, data []byte) {
	if !f.owner.ownsQueue() {
		return // repeated to whoever has the queue then
	}
	if p == (wire.Peer{}) {
		f.countGarbage(p, channel)
		return
	}
	switch channel {
	case wire.ChannelHeartbeat:
		h, err := wire.DecodeHeartbeat(data)
		over := (*wire.LimitError)(nil)
		switch {
		case errors.As(err, &over):
			f.mu.Lock()
			was := f.dismissWorker(p, over.Reason)
			f.mu.Unlock()
			if was {
				f.cfg.Changed()
			}
		case err != nil:
			f.countGarbage(p, channel)
		default:
			f.handleHeartbeat(p, h)
		}
	case wire.ChannelItems:
		f.mu.Lock() // once for all: batches are long when there is much to do
		bad, err := wire.DecodeBatch(data, func(it wire.Item) { f.handleWorkerItem(p, it) })
		f.mu.Unlock()
		if bad > 0 || err != nil {
			f.countGarbage(p, channel)
		}
	default:
		f.countGarbage(p, channel)
	}
}

// countGarbage is counted and otherwise ignored; the log speaks of it rarely.
func (f *fleet) countGarbage(p wire.Peer, channel string) {
	if n := f.counters.garbled.Add(1); n&(n-1) == 0 {
		f.log.Warn("messages that make no sense", "worker", p.Name, "channel", channel, "count", n)
	}
}

// handleWorkerItem is one item of a worker. f.mu is held.
func (f *fleet) handleWorkerItem(p wire.Peer, it wire.Item) {
	a := f.attempts[it.Token]
	if a == nil {
		f.handleUnknownToken(p, it)
		return
	}
	switch it.Kind {
	case wire.KindAsk:
		f.handleAsk(a, p)
	case wire.KindFinished:
		f.handleOutcome(a, p, &it)
	case wire.KindCheckpoint:
		f.handleCheckpoint(a, p, it)
	case wire.KindSpawn:
		f.handleSpawn(a, p, it)
	case wire.KindHandback:
		if a.phase == waiting {
			a.alone = true // its worker was full: the next one may have room for one alone
			f.starts.republish(a)
		}
	case wire.KindProgress, wire.KindLog:
		if a.phase == running && a.peer == p {
			f.passToReporters(a, &it)
		}
	default:
		f.counters.garbled.Add(1)
	}
}

// handleUnknownToken is an item whose token is not among the attempts. Early in the life of a
// host it may be that of an attempt which is yet to be rejoined: the worker repeats
// it until somebody knows. f.mu is held.
func (f *fleet) handleUnknownToken(p wire.Peer, it wire.Item) {
	switch it.Kind {
	case wire.KindAsk, wire.KindFinished, wire.KindCheckpoint, wire.KindSpawn:
		if f.unknownForGood(it.Token) {
			f.refuseToken(p, it.Token)
		}
	}
}

// refuseToken tells a worker that nothing of a token is wanted. f.mu is held.
func (f *fleet) refuseToken(p wire.Peer, t sdk.Token) {
	f.counters.refusedReports.Add(1)
	f.queueItem(p, &wire.Item{Kind: wire.KindRefuse, Token: t, Text: "the attempt does not hold its task any more"})
}

// handleAsk is a worker that accepted an attempt and wants to start it: the first that
// asks may, any other may not. f.mu is held.
func (f *fleet) handleAsk(a *attempt, p wire.Peer) {
	switch {
	case a.phase == waiting:
		a.phase = starting // once: nobody goes back to waiting
		a.peer = p
		a.callers[0].reporter.StartedSoon(encodeHandle(p), p.Name, func(err error) { f.startRecorded(a, p, err) })
	case a.phase == ended || a.peer != p:
		f.refuseToken(p, a.token)
	case a.phase == running: // it did not hear the answer
		f.queueItem(p, &wire.Item{Kind: wire.KindGo, Token: a.token, Timeout: a.remainingTime()})
	}
}

// handleOutcome is an outcome. It stays with its worker until it is settled. A large result
// that was put to an earlier process of the host is asked for again. f.mu is held.
func (f *fleet) handleOutcome(a *attempt, p wire.Peer, it *wire.Item) {
	o := it.Outcome
	switch {
	case a.peer != p || a.phase < running:
		f.refuseToken(p, a.token)
	case a.phase == ended:
		if !a.reportedByWorker {
			f.refuseToken(p, a.token) // lost in the meantime
		}
	case o.Result.Stored && it.HostProcess != f.process:
		f.queueItem(p, &wire.Item{Kind: wire.KindPut, Token: a.token, HostProcess: f.process})
	default:
		o.Result.Data = bytes.Clone(o.Result.Data) // the message holds others as well
		a.reportedByWorker = true
		f.endAttempt(a, o)
	}
}
