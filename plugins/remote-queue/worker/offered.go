package worker

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// describeExecutor learns what an executor offers.
func (w *Worker) describeExecutor(ctx context.Context, l *localExecutor) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	info, err := l.Executor.Describe(ctx)
	if err != nil {
		info = sdk.Info{}
	}
	w.mu.Lock()
	w.noteReady(l, err)
	l.slots = l.Slots
	if info.Slots > 0 && (l.slots == 0 || info.Slots < l.slots) {
		l.slots = info.Slots
	}
	if l.slots == 0 {
		l.slots = defaultWorkerSlots
	}
	l.types, l.offered = make(map[string]sdk.TypeInfo, len(info.Types)), nil
	for _, t := range info.Types {
		if t.Version == "" {
			t.Version = w.options.TypeVersion
		}
		if err := t.CheckVersions(); err != nil {
			w.log.Error("a type is not offered", "executor", l.Name, "error", err)
			continue
		}
		if !t.Unavailable {
			l.types[t.Name] = t
			l.offered = append(l.offered, t)
		}
	}
	w.revision++
	w.mu.Unlock()
	w.describeNext.Store(true)
	wire.Wake(w.heartbeatWanted)
	wire.Wake(w.pullWanted)
}

// noteReady has the log tell, once, that an executor is not ready, and that it is again.
// w.mu is held.
func (w *Worker) noteReady(l *localExecutor, err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	switch {
	case why == l.notReady:
	case err != nil:
		w.log.Info("executor is not ready; its types are not offered", "executor", l.Name, "reason", why)
	default:
		w.log.Info("executor is ready; its types are offered", "executor", l.Name)
	}
	l.notReady = why
}

// watchOffer asks again when an executor's offer changes.
func (w *Worker) watchOffer(l *localExecutor) {
	for {
		select {
		case <-w.ctx.Done():
			return
		case _, ok := <-l.Changed:
			if !ok {
				return
			}
			w.describeExecutor(w.ctx, l)
		}
	}
}

// describeSelf is what the worker is. w.mu is held.
func (w *Worker) describeSelf() *wire.WorkerInfo {
	a := &wire.WorkerInfo{Version: w.options.Version, Labels: w.options.Labels, Address: w.broker.LocalAddress(), TypeSlots: make(map[string]int)}
	seen := make(map[string]bool)
	for _, l := range w.executors {
		if n := l.startsPerMessage(); a.Starts == 0 || n < a.Starts {
			a.Starts = n
		}
		a.Slots += l.slots
		for _, t := range l.offered {
			if seen[t.Name] {
				continue
			}
			seen[t.Name] = true
			a.Types = append(a.Types, t)
			if len(w.executors) > 1 { // the slots of each are its own
				a.TypeSlots[t.Name] = l.slots
			}
		}
	}
	return a
}
