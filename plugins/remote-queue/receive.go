package remotequeue

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/nats-io/nats.go"

	"github.com/taskhost/taskhost/sdk"
)

// receive takes what workers say, one message after the other. It must not block:
// whatever waits for the store is done in a goroutine of its attempt.
func (f *fleet) receive(m *nats.Msg) {
	if !f.owner.sure() {
		return // repeated to whoever has the queue then
	}
	p, what, ok := f.names.peerOf(m.Subject)
	if !ok {
		f.garbage(m.Subject)
		return
	}
	switch what {
	case upHeartbeat:
		h, err := decodeHeartbeat(m.Data)
		over := (*overBudget)(nil)
		switch {
		case errors.As(err, &over):
			f.mu.Lock()
			was := f.dismiss(p, over.what)
			f.mu.Unlock()
			if was {
				f.cfg.Changed()
			}
		case err != nil:
			f.garbage(m.Subject)
		default:
			f.heard(p, h)
		}
	case upItems:
		f.mu.Lock() // once for all: batches are long when there is much to do
		bad, err := decodeBatch(m.Data, func(it item) { f.take(p, it) })
		f.mu.Unlock()
		if bad > 0 || err != nil {
			f.garbage(m.Subject)
		}
	default:
		f.garbage(m.Subject)
	}
}

// garbage is counted and otherwise ignored; the log speaks of it rarely.
func (f *fleet) garbage(subject string) {
	if n := f.count.garbage.Add(1); n&(n-1) == 0 {
		f.log.Warn("messages that make no sense", "subject", subject, "count", n)
	}
}

// take is one item of a worker. f.mu is held.
func (f *fleet) take(p peer, it item) {
	a := f.attempts[it.token]
	if a == nil {
		f.unknown(p, it)
		return
	}
	switch it.kind {
	case kindAsk:
		f.asked(a, p)
	case kindFinished:
		f.finished(a, p, &it)
	case kindCheckpoint:
		f.checkpoint(a, p, it)
	case kindHandback:
		if a.phase == waiting {
			f.stream.again(a)
		}
	case kindProgress, kindLog:
		if a.phase == running && a.peer == p {
			f.pass(a, &it)
		}
	default:
		f.count.garbage.Add(1)
	}
}

// unknown is an item whose token is not among the attempts. Early in the life of a
// host it may be that of an attempt which is yet to be rejoined: the worker repeats
// it until somebody knows. f.mu is held.
func (f *fleet) unknown(p peer, it item) {
	switch it.kind {
	case kindAsk, kindFinished, kindCheckpoint:
		if f.stranger(it.token) {
			f.refuse(p, it.token)
		}
	}
}

// refuse tells a worker that nothing of a token is wanted. f.mu is held.
func (f *fleet) refuse(p peer, t token) {
	f.count.refused.Add(1)
	f.tell(p, &item{kind: kindRefuse, token: t, text: "the attempt does not hold its task any more"})
}

// asked is a worker that accepted an attempt and wants to start it: the first that
// asks may, any other may not. f.mu is held.
func (f *fleet) asked(a *attempt, p peer) {
	switch {
	case a.phase == waiting:
		a.phase, a.peer = starting, p
		a.asks <- p // one at the most: nobody goes back to waiting
	case a.phase == over || a.peer != p:
		f.refuse(p, a.token)
	case a.phase == running: // it did not hear the answer
		f.tell(p, &item{kind: kindGo, token: a.token, timeout: a.limit()})
	}
}

// finished is an outcome. It stays with its worker until it is settled. A large result
// that was put to an earlier process of the host is asked for again. f.mu is held.
func (f *fleet) finished(a *attempt, p peer, it *item) {
	o := it.outcome
	switch {
	case a.peer != p || a.phase < running:
		f.refuse(p, a.token)
	case a.phase == over:
		if !a.heard {
			f.refuse(p, a.token) // lost in the meantime
		}
	case o.Result.Stored && it.host != f.self:
		f.tell(p, &item{kind: kindPut, token: a.token, host: f.self})
	default:
		o.Result.Data = bytes.Clone(o.Result.Data) // the message holds others as well
		a.heard = true
		f.finish(a, o)
	}
}

// checkpoint writes one in a goroutine of its own and then acks it. One that was
// denied is written anew when it is repeated: the denial was not heard. f.mu is held.
func (f *fleet) checkpoint(a *attempt, p peer, it item) {
	_, writing := a.saving[it.seq]
	switch {
	case a.peer != p || a.phase < running:
		f.refuse(p, a.token)
	case it.seq <= a.saved:
		f.tell(p, &item{kind: kindAck, token: a.token, seq: it.seq})
	case a.phase == over && !a.heard: // it was lost, and its script still waits
		f.refuse(p, a.token)
	case f.closed, a.phase == over, writing: // the answer will come
	case a.savingBytes > 0 && a.savingBytes+len(it.data) > maxSaving: // it is repeated
	default:
		if a.saving == nil {
			a.saving = make(map[uint64]struct{})
		}
		a.saving[it.seq] = struct{}{}
		r := a.reporters[0]
		data := bytes.Clone(it.data)
		a.savingBytes += len(data)
		f.loops.Go(func() { f.save(a, p, it.seq, data, r) })
	}
}

func (f *fleet) save(a *attempt, p peer, seq uint64, data []byte, r sdk.Reporter) {
	err := r.Checkpoint(data)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(a.saving, seq)
	a.savingBytes -= len(data)
	if err != nil {
		f.tell(p, &item{kind: kindDeny, token: a.token, seq: seq, text: err.Error()})
		return
	}
	a.saved = max(a.saved, seq)
	f.tell(p, &item{kind: kindAck, token: a.token, seq: seq})
}

// pass hands progress and lines on. Neither blocks. f.mu is held.
func (f *fleet) pass(a *attempt, it *item) {
	for _, r := range a.reporters {
		if it.kind == kindProgress {
			r.Progress(it.done, it.total, clip(it.text, maxLine))
			continue
		}
		if it.dropped > 0 {
			r.Log().Warn(fmt.Sprintf("%d lines were dropped here", it.dropped))
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

// watch lets the fleet's time pass and ends what went unnamed for too long.
func (f *fleet) watch() {
	usual := time.Duration(f.conf.Heartbeat) / 2
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
		f.clock.tick(now.Sub(last), usual, f.hearing())
		last = now
		f.mu.Lock()
		f.overdue()
		f.giveBack()
		changed := f.forget()
		if now.Sub(swept) >= time.Minute {
			swept = now
			changed = f.forgetTypes(now) || changed
			changed = f.forgetGone(now) || changed
		}
		f.mu.Unlock()
		f.saveTypes()
		if changed {
			f.cfg.Changed()
		}
	}
}

// hearing says whether silence means anything: not while the broker is away or the
// queue may be another host's, nor while what workers said is still unread.
func (f *fleet) hearing() bool {
	if !f.nc.IsConnected() || !f.owner.sure() {
		return false
	}
	unread, _, err := f.sub.Pending()
	return err == nil && unread < 1000
}

// keepUnsettled is how long an outcome is kept that nobody settles: a caller that
// does not know of Settled must not fill the memory.
const keepUnsettled = 10 * time.Minute

// overdue ends what is lost and repeats what is unheard. f.mu is held.
func (f *fleet) overdue() {
	now, lapse := f.clock.now(), time.Duration(f.conf.Lapse)
	for t, a := range f.attempts {
		quiet := now - a.seen
		switch {
		case a.phase == running && quiet > lapse:
			f.log.Warn("attempt lost", "task", a.id, "worker", a.peer.name)
			f.finish(a, lost(fmt.Sprintf("worker %q did not name the attempt for %s", a.peer.name, lapse)))
		case a.phase == running && a.canceled != 0 && now-a.told >= time.Duration(f.conf.Heartbeat):
			a.told = now
			f.tell(a.peer, &item{kind: kindCancel, token: t, cause: a.canceled})
		case a.phase == over && quiet > keepUnsettled:
			f.end(t)
		}
	}
	if len(f.ended) > 0 && now > time.Duration(f.conf.Rejoin) {
		clear(f.ended)
	}
}
