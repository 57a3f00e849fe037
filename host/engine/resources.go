package engine

import (
	"context"

	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/task"
)

// grantResource gives a resource that is free on to whoever is next.
func (e *Engine) grantResource(g task.Signal) error {
	ready, err := e.store.Grant(e.ctx, g, e.now())
	if len(ready) > 0 { // whose they are is for the executors to find out
		e.registry.ServeNew()
		e.registry.WakeAll()
	}
	return err
}

// Resources reads a page of the resources that are held or waited for, by name.
func (e *Engine) Resources(ctx context.Context, s task.Scope, after string, limit int) (resource.Page, error) {
	return e.store.Resources(ctx, s, after, limit)
}

// Resource reads who holds a resource and who waits for it.
func (e *Engine) Resource(ctx context.Context, s task.Scope, name string) (resource.Resource, error) {
	return e.store.Resource(ctx, s, name)
}
