package fleet

import (
	"bytes"
	"context"
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// handleCheckpoint writes one in a goroutine of its own and then acks it. One that was
// denied is written anew when it is repeated: the denial was not heard. f.mu is held.
func (f *fleet) handleCheckpoint(a *attempt, p wire.Peer, it wire.Item) {
	_, writing := a.savingSeqs[it.Seq]
	switch {
	case a.peer != p || a.phase < running:
		f.refuseToken(p, a.token)
	case it.Seq <= a.lastSavedSeq:
		f.queueItem(p, &wire.Item{Kind: wire.KindAck, Token: a.token, Seq: it.Seq})
	case a.phase == ended && !a.reportedByWorker: // it was lost, and its script still waits
		f.refuseToken(p, a.token)
	case f.closed, a.phase == ended, writing: // the answer will come
	case a.savingBytes > 0 && a.savingBytes+len(it.Data) > maxSaving: // it is repeated
	default:
		if a.savingSeqs == nil {
			a.savingSeqs = make(map[uint64]struct{})
		}
		a.savingSeqs[it.Seq] = struct{}{}
		r := a.callers[0].reporter
		data := bytes.Clone(it.Data)
		a.savingBytes += len(data)
		f.loops.Go(func() { f.writeCheckpoint(a, p, it.Seq, data, r) })
	}
}

func (f *fleet) writeCheckpoint(a *attempt, p wire.Peer, seq uint64, data []byte, r sdk.Reporter) {
	err := r.Checkpoint(data)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(a.savingSeqs, seq)
	a.savingBytes -= len(data)
	if err != nil {
		f.deny(a, p, seq, err)
		return
	}
	a.lastSavedSeq = max(a.lastSavedSeq, seq)
	f.queueItem(p, &wire.Item{Kind: wire.KindAck, Token: a.token, Seq: seq})
}

// handleSpawn has a child made in a goroutine of its own and then says which it is. One that
// is repeated after that is asked for anew: it is there, and so the answer is the same. f.mu is held.
func (f *fleet) handleSpawn(a *attempt, p wire.Peer, it wire.Item) {
	_, asking := a.savingSeqs[it.Seq]
	switch {
	case a.peer != p || a.phase < running:
		f.refuseToken(p, a.token)
	case a.phase == ended && !a.reportedByWorker: // it was lost, and its script still waits
		f.refuseToken(p, a.token)
	case f.closed, a.phase == ended, asking: // the answer will come, or is not waited for
	case len(a.savingSeqs) >= maxAsking, a.savingBytes > 0 && a.savingBytes+len(it.Data) > maxSaving: // it is repeated
	default:
		if a.savingSeqs == nil {
			a.savingSeqs = make(map[uint64]struct{})
		}
		a.savingSeqs[it.Seq] = struct{}{}
		r := a.callers[0].reporter
		c := it.ChildOf()
		size := len(it.Data)
		a.savingBytes += size
		f.loops.Go(func() { f.makeChild(a, p, it.Seq, c, size, r) })
	}
}

func (f *fleet) makeChild(a *attempt, p wire.Peer, seq uint64, c sdk.Child, size int, r sdk.Reporter) {
	id, err := r.Spawn(f.ctx, c)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(a.savingSeqs, seq)
	a.savingBytes -= size
	switch {
	case err != nil && f.ctx.Err() != nil: // it is asked for again, of the next host
	case err != nil:
		f.deny(a, p, seq, err)
	default:
		f.queueItem(p, &wire.Item{Kind: wire.KindSpawned, Token: a.token, Seq: seq, Text: id})
	}
}

// deny says why something was not put on record, and whether it is worth another try. f.mu is held.
func (f *fleet) deny(a *attempt, p wire.Peer, seq uint64, err error) {
	o := sdk.OutcomeOf(context.Background(), sdk.Result{}, err)
	f.queueItem(p, &wire.Item{Kind: wire.KindDeny, Token: a.token, Seq: seq, Text: wire.Clip(err.Error(), wire.MaxLine),
		Outcome: sdk.Outcome{Permanent: o.Permanent, RetryAfter: o.RetryAfter}})
}

// passToReporters hands progress and lines on. Neither blocks. f.mu is held.
func (f *fleet) passToReporters(a *attempt, it *wire.Item) {
	for _, c := range a.callers {
		r := c.reporter
		if it.Kind == wire.KindProgress {
			r.Progress(it.Done, it.Total, wire.Clip(it.Text, wire.MaxLine))
			continue
		}
		if it.DroppedLines > 0 {
			r.Log().Warn(fmt.Sprintf("%d lines were dropped here", it.DroppedLines))
		}
		level := hclog.Level(it.Level)
		if level < hclog.Trace || level > hclog.Error {
			level = hclog.Info
		}
		args := make([]any, min(len(it.Args), wire.MaxLineArgs))
		for i := range args {
			args[i] = wire.Clip(it.Args[i], wire.MaxLine/4)
		}
		r.Log().Log(level, wire.Clip(it.Text, wire.MaxLine), args...)
	}
}
