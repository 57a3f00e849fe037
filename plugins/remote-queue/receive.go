package remotequeue

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/sdk"
)

// receiveFromWorkers takes what workers say, one message after the other. It must not block:
// whatever waits for the store is done in a goroutine of its attempt.
func (f *fleet) receiveFromWorkers(p peer, channel string, data []byte) {
	if !f.owner.ownsQueue() {
		return // repeated to whoever has the queue then
	}
	if p == (peer{}) {
		f.countGarbage(p, channel)
		return
	}
	switch channel {
	case upHeartbeat:
		h, err := decodeHeartbeat(data)
		over := (*overBudgetError)(nil)
		switch {
		case errors.As(err, &over):
			f.mu.Lock()
			was := f.dismissWorker(p, over.reason)
			f.mu.Unlock()
			if was {
				f.cfg.Changed()
			}
		case err != nil:
			f.countGarbage(p, channel)
		default:
			f.handleHeartbeat(p, h)
		}
	case upItems:
		f.mu.Lock() // once for all: batches are long when there is much to do
		bad, err := decodeBatch(data, func(it item) { f.handleWorkerItem(p, it) })
		f.mu.Unlock()
		if bad > 0 || err != nil {
			f.countGarbage(p, channel)
		}
	default:
		f.countGarbage(p, channel)
	}
}

// countGarbage is counted and otherwise ignored; the log speaks of it rarely.
func (f *fleet) countGarbage(p peer, channel string) {
	if n := f.counters.garbled.Add(1); n&(n-1) == 0 {
		f.log.Warn("messages that make no sense", "worker", p.name, "channel", channel, "count", n)
	}
}

// handleWorkerItem is one item of a worker. f.mu is held.
func (f *fleet) handleWorkerItem(p peer, it item) {
	a := f.attempts[it.token]
	if a == nil {
		f.handleUnknownToken(p, it)
		return
	}
	switch it.kind {
	case kindAsk:
		f.handleAsk(a, p)
	case kindFinished:
		f.handleOutcome(a, p, &it)
	case kindCheckpoint:
		f.handleCheckpoint(a, p, it)
	case kindHandback:
		if a.phase == waiting {
			f.stream.republish(a)
		}
	case kindProgress, kindLog:
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
func (f *fleet) handleUnknownToken(p peer, it item) {
	switch it.kind {
	case kindAsk, kindFinished, kindCheckpoint:
		if f.unknownForGood(it.token) {
			f.refuseToken(p, it.token)
		}
	}
}

// refuseToken tells a worker that nothing of a token is wanted. f.mu is held.
func (f *fleet) refuseToken(p peer, t token) {
	f.counters.refusedReports.Add(1)
	f.queueItem(p, &item{kind: kindRefuse, token: t, text: "the attempt does not hold its task any more"})
}

// handleAsk is a worker that accepted an attempt and wants to start it: the first that
// asks may, any other may not. f.mu is held.
func (f *fleet) handleAsk(a *attempt, p peer) {
	switch {
	case a.phase == waiting:
		a.phase, a.peer = starting, p
		a.firstAsk <- p // one at the most: nobody goes back to waiting
	case a.phase == ended || a.peer != p:
		f.refuseToken(p, a.token)
	case a.phase == running: // it did not hear the answer
		f.queueItem(p, &item{kind: kindGo, token: a.token, timeout: a.remainingTime()})
	}
}

// handleOutcome is an outcome. It stays with its worker until it is settled. A large result
// that was put to an earlier process of the host is asked for again. f.mu is held.
func (f *fleet) handleOutcome(a *attempt, p peer, it *item) {
	o := it.outcome
	switch {
	case a.peer != p || a.phase < running:
		f.refuseToken(p, a.token)
	case a.phase == ended:
		if !a.reportedByWorker {
			f.refuseToken(p, a.token) // lost in the meantime
		}
	case o.Result.Stored && it.hostProcess != f.process:
		f.queueItem(p, &item{kind: kindPut, token: a.token, hostProcess: f.process})
	default:
		o.Result.Data = bytes.Clone(o.Result.Data) // the message holds others as well
		a.reportedByWorker = true
		f.endAttempt(a, o)
	}
}

// handleCheckpoint writes one in a goroutine of its own and then acks it. One that was
// denied is written anew when it is repeated: the denial was not heard. f.mu is held.
func (f *fleet) handleCheckpoint(a *attempt, p peer, it item) {
	_, writing := a.savingSeqs[it.seq]
	switch {
	case a.peer != p || a.phase < running:
		f.refuseToken(p, a.token)
	case it.seq <= a.lastSavedSeq:
		f.queueItem(p, &item{kind: kindAck, token: a.token, seq: it.seq})
	case a.phase == ended && !a.reportedByWorker: // it was lost, and its script still waits
		f.refuseToken(p, a.token)
	case f.closed, a.phase == ended, writing: // the answer will come
	case a.savingBytes > 0 && a.savingBytes+len(it.data) > maxSaving: // it is repeated
	default:
		if a.savingSeqs == nil {
			a.savingSeqs = make(map[uint64]struct{})
		}
		a.savingSeqs[it.seq] = struct{}{}
		r := a.reporters[0]
		data := bytes.Clone(it.data)
		a.savingBytes += len(data)
		f.loops.Go(func() { f.writeCheckpoint(a, p, it.seq, data, r) })
	}
}

func (f *fleet) writeCheckpoint(a *attempt, p peer, seq uint64, data []byte, r sdk.Reporter) {
	err := r.Checkpoint(data)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(a.savingSeqs, seq)
	a.savingBytes -= len(data)
	if err != nil {
		f.queueItem(p, &item{kind: kindDeny, token: a.token, seq: seq, text: err.Error()})
		return
	}
	a.lastSavedSeq = max(a.lastSavedSeq, seq)
	f.queueItem(p, &item{kind: kindAck, token: a.token, seq: seq})
}

// passToReporters hands progress and lines on. Neither blocks. f.mu is held.
func (f *fleet) passToReporters(a *attempt, it *item) {
	for _, r := range a.reporters {
		if it.kind == kindProgress {
			r.Progress(it.done, it.total, clip(it.text, maxLine))
			continue
		}
		if it.droppedLines > 0 {
			r.Log().Warn(fmt.Sprintf("%d lines were dropped here", it.droppedLines))
		}
		level := hclog.Level(it.level)
		if level < hclog.Trace || level > hclog.Error {
			level = hclog.Info
		}
		args := make([]any, min(len(it.args), maxLineArgs))
		for i := range args {
			args[i] = clip(it.args[i], maxLine/4)
		}
		r.Log().Log(level, clip(it.text, maxLine), args...)
	}
}

// watchAttempts lets the fleet's time pass and ends what went unnamed for too long.
func (f *fleet) watchAttempts() {
	usual := time.Duration(f.queueConfig.Heartbeat) / 2
	tick := time.NewTicker(usual)
	defer tick.Stop()
	last := time.Now()
	var swept time.Time
	for {
		select {
		case <-f.ctx.Done():
			f.saveTypes()
			return
		case <-tick.C:
		}
		now := time.Now()
		f.clock.tick(now.Sub(last), usual, f.silenceCounts())
		last = now
		f.mu.Lock()
		f.endOverdue()
		f.withdrawUnserved()
		changed := f.forgetSilentWorkers()
		if now.Sub(swept) >= time.Minute {
			swept = now
			changed = f.forgetTypes(now) || changed
			changed = f.forgetGoneWorkers(now) || changed
		}
		f.mu.Unlock()
		f.saveTypes()
		if changed {
			f.cfg.Changed()
		}
	}
}

// silenceCounts says whether silence means anything: not while the broker is away or the
// queue may be another host's, nor while what workers said is still unread.
func (f *fleet) silenceCounts() bool {
	if !f.broker.Connected() || !f.owner.ownsQueue() {
		return false
	}
	unread, err := f.broker.Unread()
	return err == nil && unread < 1000
}

// keepUnsettled is how long an outcome is kept that nobody settles: a caller that
// does not know of Settled must not fill the memory.
const keepUnsettled = 10 * time.Minute

// endOverdue ends what is lost and repeats what is unheard. f.mu is held.
func (f *fleet) endOverdue() {
	now, lapse := f.clock.now(), time.Duration(f.queueConfig.Lapse)
	for t, a := range f.attempts {
		quiet := now - a.lastNamed
		switch {
		case a.phase == running && quiet > lapse:
			f.log.Warn("attempt lost", "task", a.id, "worker", a.peer.name)
			f.endAttempt(a, lostOutcome(fmt.Sprintf("worker %q did not name the attempt for %s", a.peer.name, lapse)))
		case a.phase == running && a.stopCause != 0 && now-a.cancelSentAt >= time.Duration(f.queueConfig.Heartbeat):
			a.cancelSentAt = now
			f.queueItem(a.peer, &item{kind: kindCancel, token: t, cause: a.stopCause})
		case a.phase == ended && quiet > keepUnsettled:
			f.forgetAttempt(t)
		}
	}
	if len(f.forgottenTokens) > 0 && now > time.Duration(f.queueConfig.Rejoin) {
		clear(f.forgottenTokens)
	}
}
