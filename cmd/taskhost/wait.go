package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

// errWaitTimeout ends a wait that was as long as it may be.
var errWaitTimeout = errors.New("the wait timed out")

// waitTask returns the task once it is final, showing what happens if follow is set.
func (p *program) waitTask(ctx context.Context, c *client.Client, id string, timeout time.Duration, follow bool) (api.Task, error) {
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if timeout > 0 {
		waiting, cancel = context.WithTimeoutCause(ctx, timeout, errWaitTimeout)
	}
	defer cancel()
	var t api.Task
	var err error
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
	case waiting.Err() != nil:
		return t, &exitError{code: exitTimeout, msg: fmt.Sprintf("task %s is not final after %s; it goes on", id, timeout.Round(time.Millisecond))}
	}
	return t, err
}

func (p *program) waitCmd() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{Use: "wait ID...", Short: "Wait until tasks are final", Args: cobra.MinimumNArgs(1),
		Long: "Wait until tasks are final and show them. The exit code is that of the first which did not succeed."}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "wait no longer than this for all (exit code 124); 0 for ever")
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		var done []api.Task
		end := time.Now().Add(timeout)
		err := forEachTask(ctx, c, args, func(id string) error {
			left := time.Duration(0)
			if timeout > 0 {
				left = max(time.Until(end), time.Millisecond)
			}
			t, err := p.waitTask(ctx, c, id, left, false)
			if err == nil {
				done = append(done, t)
			}
			return err
		})
		if err != nil {
			return err
		}
		if err := p.printTasks(done, len(args) == 1); err != nil {
			return err
		}
		for i := range done {
			if err := outcomeError(&done[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}
