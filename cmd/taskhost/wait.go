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

// errWaited ends a wait that was as long as it may be.
var errWaited = errors.New("the wait timed out")

// await returns the task once it is final, showing what happens if follow is set.
func (p *program) await(ctx context.Context, c *client.Client, id string, most time.Duration, follow bool) (api.Task, error) {
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if most > 0 {
		waiting, cancel = context.WithTimeoutCause(ctx, most, errWaited)
	}
	defer cancel()
	var t api.Task
	var err error
	if follow {
		t, err = p.follow(waiting, c, id)
	} else {
		t, err = c.Wait(waiting, id)
	}
	switch {
	case err == nil:
		return t, nil
	case ctx.Err() != nil:
		return t, &detached{id}
	case waiting.Err() != nil:
		return t, &exitError{code: exitTimeout, msg: fmt.Sprintf("task %s is not final after %s; it goes on", id, most.Round(time.Millisecond))}
	}
	return t, err
}

func (p *program) waitCmd() *cobra.Command {
	var most time.Duration
	cmd := &cobra.Command{Use: "wait ID...", Short: "Wait until tasks are final", Args: cobra.MinimumNArgs(1),
		Long: "Wait until tasks are final and show them. The exit code is that of the first which did not succeed."}
	cmd.Flags().DurationVar(&most, "timeout", 0, "wait no longer than this for all (exit code 124); 0 for ever")
	cmd.RunE = p.remote(func(ctx context.Context, c *client.Client, args []string) error {
		var done []api.Task
		end := time.Now().Add(most)
		err := eachID(ctx, c, args, func(id string) error {
			left := time.Duration(0)
			if most > 0 {
				left = max(time.Until(end), time.Millisecond)
			}
			t, err := p.await(ctx, c, id, left, false)
			if err == nil {
				done = append(done, t)
			}
			return err
		})
		if err != nil {
			return err
		}
		var body any = api.TaskList{Tasks: done}
		if len(args) == 1 {
			body = done[0]
		}
		if err := list(p, taskRows(), done, body); err != nil {
			return err
		}
		for i := range done {
			if err := outcome(&done[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}
