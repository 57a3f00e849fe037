package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

// errWaitTimeout ends a wait that was as long as it may be.
var errWaitTimeout = errors.New("the wait timed out")

// withWaitTimeout is ctx until so long from now; for as long as it lasts if timeout is 0.
func withWaitTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, timeout, errWaitTimeout)
}

// waitTask returns the task once it is final, showing what happens if follow is set. It
// waits until waiting ends, which is ctx with that timeout.
func (p *program) waitTask(ctx, waiting context.Context, c *client.Client, id string, timeout time.Duration, follow bool) (t api.Task, err error) {
	if follow {
		t, err = p.followTask(waiting, c, id)
	} else {
		t, err = c.Wait(waiting, id)
	}
	switch {
	case err == nil:
		return t, nil
	case ctx.Err() != nil:
		return t, &detachedError{id}
	case waiting.Err() == nil:
		return t, err
	}
	if t, err = c.Get(ctx, id); err != nil || t.State.Final() {
		return t, err
	}
	return t, &exitError{code: exitTimeout, msg: fmt.Sprintf("task %s is not final after %s; it goes on", id, timeout)}
}

func (p *program) waitCmd() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{Use: "wait ID...", Short: "Wait until tasks are final", Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: p.completeTasks(task.Pending, task.Running, task.Canceling, task.Reverting),
		Long: "Wait until tasks are final and show them, over a restart of the server as well.\n" +
			"The exit code is the worst of what became of them: error, not allowed, not found,\n" +
			"failed, canceled, timed out, in this order."}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "wait no longer than this for all (exit code 124); 0 for ever")
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		waiting, cancel := withWaitTimeout(ctx, timeout)
		defer cancel()
		var done []api.Task
		err := forEachOf(ctx, p, c, tasks(), args, func(id string) error {
			t, err := p.waitTask(ctx, waiting, c, id, timeout, false)
			if err != nil {
				return err
			}
			done = append(done, t)
			return outcomeError(&t)
		})
		if perr := printSeveral(p, tasks(), done, len(args) == 1); perr != nil {
			return perr
		}
		return err
	})
	return cmd
}
