package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

const (
	// maxLag is how much may wait to be sent before lines are dropped rather than
	// outcomes delayed.
	maxLag = 1 << 20
	// progressPause is between two reports of an attempt's progress; the host writes
	// down no more.
	progressPause = 100 * time.Millisecond
)

// reporter is what the script of a run speaks to.
func (w *Worker) reporter(r *run) sdk.Reporter {
	return sdk.NewReporter(sdk.ReporterFuncs{
		Progress:   func(done, total int64, message string) { w.reportProgress(r, done, total, message) },
		Checkpoint: func(data []byte) error { return w.saveCheckpoint(r, data) },
		Spawn:      func(ctx context.Context, c sdk.Child) (string, error) { return w.spawnChild(ctx, r, c) },
		Line:       func(level hclog.Level, msg string, args []string) { w.reportLine(r, level, msg, args) },
	})
}

func (w *Worker) lagging() bool {
	return !w.broker.Connected() || w.outbox.WaitingBytes(w.peer) > maxLag
}

// reportProgress passes on what is new; a value that comes soon after another waits, and
// only the latest is kept.
func (w *Worker) reportProgress(r *run, done, total int64, message string) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.phase != working {
		return
	}
	r.progress = &wire.Item{Kind: wire.KindProgress, Token: r.start.Task.Token, Done: done, Total: total, Text: wire.Clip(message, wire.MaxLine)}
	if now.Sub(r.progressAt) >= progressPause {
		r.progressAt = now
		r.sendProgress(w)
	}
}

// sendProgress sends the progress that waits. The worker's mu is held.
func (r *run) sendProgress(w *Worker) {
	if r.progress != nil && !w.lagging() {
		w.queueItem(r.progress)
	}
	r.progress = nil
}

func (w *Worker) reportLine(r *run, level hclog.Level, msg string, args []string) {
	lagging := w.lagging()
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.phase != working {
		return
	}
	if lagging {
		r.droppedLines++
		return
	}
	it := &wire.Item{Kind: wire.KindLog, Token: r.start.Task.Token, At: time.Now(), Level: int(level), Text: wire.Clip(msg, wire.MaxLine), DroppedLines: r.droppedLines}
	for _, a := range args[:min(len(args), wire.MaxLineArgs)] {
		it.Args = append(it.Args, wire.Clip(a, wire.MaxLine/4))
	}
	r.droppedLines = 0
	w.queueItem(it)
}

// saveCheckpoint waits until the host has the data on record.
func (w *Worker) saveCheckpoint(r *run, data []byte) error {
	if limit := w.maxMessage(); len(data) > limit {
		return sdk.Permanent(fmt.Errorf("checkpoint of %d bytes: the broker carries %d", len(data), limit))
	}
	// It does not end with the script's context: one that is told to stop may save where it was.
	_, err := w.ask(context.Background(), r, func() wire.Item { return wire.Item{Kind: wire.KindCheckpoint, Data: append([]byte{}, data...)} })
	return err
}

// spawnChild waits until the host has the child on record, and gives its id.
func (w *Worker) spawnChild(ctx context.Context, r *run, c sdk.Child) (string, error) {
	input, _ := c.Input.(json.RawMessage)
	item := wire.Item{Kind: wire.KindSpawn, Child: &c, Data: input}
	if n, limit := len(wire.AppendItem(nil, &item)), w.maxMessage(); n > limit {
		return "", sdk.Permanent(fmt.Errorf("it takes %d bytes: the broker carries %d", n, limit))
	}
	w.mu.Lock()
	able := w.offer.Spawns
	w.mu.Unlock()
	if !able {
		return "", sdk.Permanent(errors.New("the host is too old to take children from its workers"))
	}
	return w.ask(ctx, r, func() wire.Item { return item })
}

// saveTurn is full while a checkpoint or child of a run waits for its answer.
func (w *Worker) saveTurn(r *run) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.saveTurn == nil {
		r.saveTurn = make(chan struct{}, 1)
	}
	return r.saveTurn
}

// ask says an item to the host until it is answered, or ctx ends. One at a time: so one copy is
// kept, however many a script saves at once.
func (w *Worker) ask(ctx context.Context, r *run, item func() wire.Item) (string, error) {
	turn := w.saveTurn(r)
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { <-turn }()
	s := &unackedItem{item: item(), done: make(chan answer, 1), sent: time.Now()}
	w.mu.Lock()
	if r.phase != working || r.fenced {
		w.mu.Unlock()
		return "", errAttemptEnded
	}
	if r.unacked == nil {
		r.unacked = make(map[uint64]*unackedItem)
	}
	r.lastSeq++
	s.item.Token, s.item.Seq = r.start.Task.Token, r.lastSeq
	r.unacked[r.lastSeq] = s
	w.mu.Unlock()
	w.queueItem(&s.item)
	select {
	case a := <-s.done:
		return a.id, a.err
	case <-ctx.Done():
		w.mu.Lock() // nor is it said again
		delete(r.unacked, s.item.Seq)
		w.mu.Unlock()
		return "", context.Cause(ctx)
	case <-w.ctx.Done(): // the worker ends; the attempt's own end still lets it save
		return "", errAttemptEnded
	}
}

func (w *Worker) maxMessage() int { return wire.MessageLimit(w.broker.MaxPayload()) }
