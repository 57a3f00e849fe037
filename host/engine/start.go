package engine

import (
	"context"
)

// Start learns what the executors offer, takes up what an earlier host left, and begins to
// dispatch. It returns once tasks can be accepted; executors that are not ready
// yet are waited for in the background.
func (e *Engine) Start(ctx context.Context) error {
	if err := e.registry.Load(ctx); err != nil {
		return err
	}
	if err := e.SetQuotas(ctx, e.opts.Quotas); err != nil {
		return err
	}
	for _, x := range e.registry.Executors() {
		e.registry.Refresh(ctx, x)
	}
	if err := e.recover(ctx); err != nil {
		return err
	}
	for _, x := range e.registry.Executors() {
		e.loop(func() { e.registry.WatchOffer(e.ctx, x) })
		e.loop(func() { e.dispatch(x) })
		x.Wake()
	}
	if e.store.Shared() {
		e.loop(e.follow)
	}
	e.loop(e.writeStarts)
	e.loop(e.promote)
	e.loop(e.decideSignals)
	e.loop(e.fireSchedules)
	e.loop(e.openRates)
	e.loop(e.expire)
	e.loop(e.saveNotes)
	e.loop(e.trimRunners)
	e.loop(e.findFailures)
	return nil
}

func (e *Engine) loop(fn func()) {
	e.loops.Add(1)
	go func() {
		defer e.loops.Done()
		fn()
	}()
}
