package engine

import (
	"context"

	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/task"
)

// grantResource gives a resource on to more of those who are to have it.
func (e *Engine) grantResource(g task.Signal) error {
	err := e.store.Grant(e.ctx, g, e.now())
	e.granted()
	e.wakeSignals() // it may have been given anew
	return err
}

// granted tells what follows from a commit that may have given resources on: tasks may be ready.
// Whose they are is for the executors to find out.
func (e *Engine) granted() {
	e.registry.ServeNew()
	e.registry.WakeAll()
}

// Resources reads a page of the resources that are held or waited for, by name.
func (e *Engine) Resources(ctx context.Context, s task.Scope, after string, limit int) (resource.Page, error) {
	return e.store.Resources(ctx, s, after, limit)
}

// Resource reads who holds a resource and who waits for it.
func (e *Engine) Resource(ctx context.Context, s task.Scope, name string) (resource.Resource, error) {
	return e.store.Resource(ctx, s, name)
}
