package remotequeue

import (
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/sdk"
)

const (
	// maxLag is how much may wait to be sent before lines are dropped rather than
	// outcomes delayed.
	maxLag = 1 << 20
	// progressPause is between two reports of an attempt's progress; the host writes
	// down no more.
	progressPause = 100 * time.Millisecond
	// maxLine and maxLineArgs bound a line of a log; both ends hold to it.
	maxLine     = 16 << 10
	maxLineArgs = 64
)

// reporter is what the script of a run speaks to.
func (w *Worker) reporter(r *run) sdk.Reporter {
	return sdk.NewReporter(sdk.ReporterFuncs{
		Progress:   func(done, total int64, message string) { w.progress(r, done, total, message) },
		Checkpoint: func(data []byte) error { return w.checkpoint(r, data) },
		Line:       func(level hclog.Level, msg string, args []string) { w.line(r, level, msg, args) },
	})
}

func (w *Worker) lagging() bool {
	return !w.nc.IsConnected() || w.out.backlog(w.peer) > maxLag
}

// progress passes on what is new; a value that comes soon after another waits, and
// only the latest is kept.
func (w *Worker) progress(r *run, done, total int64, message string) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.phase != working {
		return
	}
	r.progress = &item{kind: kindProgress, token: r.start.task.Token, done: done, total: total, text: clip(message, maxLine)}
	if now.Sub(r.progressAt) >= progressPause {
		r.progressAt = now
		r.flush(w)
	}
}

// flush sends the progress that waits. The worker's mu is held.
func (r *run) flush(w *Worker) {
	if r.progress != nil && !w.lagging() {
		w.tell(r.progress)
	}
	r.progress = nil
}

func (w *Worker) line(r *run, level hclog.Level, msg string, args []string) {
	lagging := w.lagging()
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.phase != working {
		return
	}
	if lagging {
		r.dropped++
		return
	}
	it := &item{kind: kindLog, token: r.start.task.Token, at: time.Now(), level: int(level), text: clip(msg, maxLine), dropped: r.dropped}
	for _, a := range args[:min(len(args), maxLineArgs)] {
		it.args = append(it.args, clip(a, maxLine/4))
	}
	r.dropped = 0
	w.tell(it)
}

// checkpoint waits until the host has the data on record.
func (w *Worker) checkpoint(r *run, data []byte) error {
	if limit := w.maxMessage(); len(data) > limit {
		return sdk.Permanent(fmt.Errorf("checkpoint of %d bytes: the broker carries %d", len(data), limit))
	}
	r.saveTurn.Lock() // so that one copy is kept, however many a script saves at once
	defer r.saveTurn.Unlock()
	s := &saving{data: append([]byte{}, data...), done: make(chan error, 1), sent: time.Now()}
	w.mu.Lock()
	if r.phase != working || r.fenced {
		w.mu.Unlock()
		return errOver
	}
	if r.saves == nil {
		r.saves = make(map[uint64]*saving)
	}
	r.lastSeq++
	seq := r.lastSeq
	r.saves[seq] = s
	w.mu.Unlock()
	w.tell(&item{kind: kindCheckpoint, token: r.start.task.Token, seq: seq, data: s.data})
	select {
	case err := <-s.done:
		return err
	case <-w.ctx.Done(): // the worker ends; the attempt's own end still lets it save
		return errOver
	}
}

func (w *Worker) maxMessage() int { return roomIn(w.payload.Load()) }

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n]
}
